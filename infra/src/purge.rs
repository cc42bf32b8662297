//! Clearing out, beside the requests' path, what nobody can use any more.

use std::time::Duration;

use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};

use crate::db::SqlPurge;

/// How often.
pub const INTERVAL: Duration = Duration::from_hours(1);

/// Clears out at once and then once per interval, for ever. A fault is logged, and tried again the next time.
pub async fn run(store: SqlPurge) {
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        match once(&store).await {
            Ok((0, 0)) => {}
            Ok((refresh_tokens, invitations)) => {
                tracing::info!(refresh_tokens, invitations, "cleared out what was over");
            }
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "what is over stays for another hour");
            }
        }
    }
}

/// Clears out once; how many refresh tokens and invitations went.
///
/// # Errors
/// [`StoreFault`]
pub async fn once(store: &SqlPurge) -> Result<(u64, u64), StoreFault> {
    let now = SystemClock.now();
    Ok((store.refresh_tokens(now).await?, store.invitations(now).await?))
}
