//! Folds calls into what insights read, beside everything else.

use std::time::Duration;

use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};

use crate::db::SqlInsightFold;

/// How often it is looked whether calls wait. Views tell of a call some seconds after its end.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// How long hours are kept; views of more than a day are made of days.
pub const HOURS_KEPT: Duration = Duration::from_hours(3 * 24);

/// Folds until the task is dropped. A fault is logged, and what it left is folded the next time.
pub async fn run(fold: SqlInsightFold) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(fault) = once(&fold, SystemClock.now()).await {
            let cause = &fault as &dyn std::error::Error;
            tracing::warn!(error = cause, "calls wait to be folded into insights; trying again");
        }
    }
}

/// Folds what was left until `now`; how many calls.
///
/// # Errors
/// [`StoreFault`]
pub async fn once(fold: &SqlInsightFold, now: Timestamp) -> Result<usize, StoreFault> {
    fold.fold(now.before(HOURS_KEPT)).await
}
