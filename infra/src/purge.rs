//! Clearing out, beside the requests' path, what nobody can use any more and what is older than it is kept.

use std::time::Duration;

use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};

use crate::db::SqlPurge;

/// How often.
pub const INTERVAL: Duration = Duration::from_hours(1);

/// How long what grows with every call is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Records of calls.
    pub calls: Duration,
    /// Use, by the hour.
    pub usage: Duration,
    /// Runs of workflows, from their end.
    pub runs: Duration,
    /// What insights are made of, by the day.
    pub insights: Duration,
}

/// How many of each were cleared out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Refresh tokens that were over.
    pub refresh_tokens: u64,
    /// Invitations that were over for long.
    pub invitations: u64,
    /// Uses of connect links, and authorizations, that were over.
    pub consents: u64,
    /// Proposed changes of workflows that were over for long.
    pub proposals: u64,
    /// Records of calls.
    pub calls: u64,
    /// Rows of use, each of a key, a server and an hour.
    pub usage: u64,
    /// Runs of workflows.
    pub runs: u64,
    /// Rows of what insights are made of: of scopes and hours or days, sessions and topics.
    pub insights: u64,
}

/// Clears out at once and then once per interval, for ever. A fault is logged, and tried again the next time.
pub async fn run(store: SqlPurge, retention: Retention) {
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        match once(&store, retention, SystemClock.now()).await {
            Ok(cleared) if cleared == Cleared::default() => {}
            Ok(cleared) => tracing::info!(?cleared, "cleared out what was over"),
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "what is over stays for another hour");
            }
        }
    }
}

/// Clears out once what is over at `now`.
///
/// # Errors
/// [`StoreFault`]
pub async fn once(store: &SqlPurge, retention: Retention, now: Timestamp) -> Result<Cleared, StoreFault> {
    Ok(Cleared {
        refresh_tokens: store.refresh_tokens(now).await?,
        invitations: store.invitations(now).await?,
        consents: store.consents(now).await?,
        proposals: store.proposals(now).await?,
        calls: store.calls(now.before(retention.calls)).await?,
        usage: store.usage(now.before(retention.usage)).await?,
        runs: store.runs(now.before(retention.runs)).await?,
        insights: store.insights(now, retention).await?,
    })
}
