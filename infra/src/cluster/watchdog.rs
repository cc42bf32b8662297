//! Ends what is under way when the lease is over. Requests that begin then ask the database; those that began before, and
//! streams, would go on with keys that others have revoked and say so in a receipt.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Lease;
use crate::cache::Caches;

/// Longest sleep: a machine that slept notices the end of its lease no later than this after it wakes.
const LONGEST: Duration = Duration::from_millis(250);
/// How long what began without a lease may go on without one.
const WITHOUT: Duration = Duration::from_secs(1);

/// Watches for ever.
pub async fn run(lease: Arc<Lease>, caches: Caches) {
    loop {
        match lease.left() {
            None => return,
            Some(left) if left > Duration::ZERO => sleep(left.min(LONGEST)).await,
            Some(_) => {
                tracing::warn!("this node has no lease: it asks the database each time, and ends what is under way");
                caches.forget_everything();
                without(&lease, &caches).await;
            }
        }
    }
}

async fn without(lease: &Lease, caches: &Caches) {
    let mut since = tokio::time::Instant::now();
    while !lease.holds() {
        sleep(LONGEST).await;
        if since.elapsed() >= WITHOUT && !lease.holds() {
            caches.forget_everything();
            since = tokio::time::Instant::now();
        }
    }
}
