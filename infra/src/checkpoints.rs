//! Signs the audit chains, beside everything else, for as long as the program runs and once more when it ends.

use std::time::Duration;

use domain::time::{Clock, SystemClock};

use crate::db::SqlCheckpoints;

/// How often it is looked whether a chain is due.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often it is tried at the end, when the store does not answer.
const CLOSING_TRIES: usize = 3;

/// Signs what is due until the task is dropped.
pub async fn run(checkpoints: SqlCheckpoints) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(fault) = checkpoints.sign_due(SystemClock.now()).await {
            // Rows are written all the same, and signed when the store answers again.
            tracing::warn!(error = &fault as &dyn std::error::Error, "the audit log could not be signed; trying again");
        }
    }
}

/// Signs what is not signed yet. Call it when everything is written.
pub async fn close(checkpoints: &SqlCheckpoints) {
    for _ in 0..CLOSING_TRIES {
        match checkpoints.sign_all(SystemClock.now()).await {
            Ok(_) => return,
            Err(fault) => {
                tracing::error!(
                    error = &fault as &dyn std::error::Error,
                    "the audit log could not be signed at the end"
                );
            }
        }
    }
}
