//! Arranges the audit chains in blocks, beside everything else.

use std::time::Duration;

use crate::db::SqlAuditBlocks;

/// How often it is looked whether rows wait. Until then, a search looks through them one by one.
const INTERVAL: Duration = Duration::from_secs(2);

/// Writes blocks until the task is dropped.
pub async fn run(blocks: SqlAuditBlocks) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(fault) = blocks.build().await {
            // Searches are slower until it succeeds, and right all the same.
            tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "the audit log could not be arranged; trying again"
            );
        }
    }
}
