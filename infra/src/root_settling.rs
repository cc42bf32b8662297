//! Finishing the replacement of the root secret: what nodes have made under the one before, after the database was moved, is
//! moved when the last of them is gone.

use std::time::Duration;

use domain::root::{Overlap, RootSecret};
use domain::store::StoreFault;
use tokio::time::sleep;

use crate::db::Database;

/// How often a node looks whether it is time.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until nothing is left to be moved. A fault is logged, and tried again.
pub async fn run(database: Database, from: RootSecret, to: RootSecret, overlap: Overlap) {
    let mut told = false;
    loop {
        match settle(&database, &from, &to, &overlap).await {
            Ok(true) => {
                tracing::info!(
                    "everything is sealed under the new root secret; nodes no longer need the previous one for it"
                );
                return;
            }
            Ok(false) if !told => {
                told = true;
                tracing::info!("the previous root secret is needed until all nodes make things under the new one");
            }
            Ok(false) => {}
            Err(fault) => {
                let error = &fault as &dyn std::error::Error;
                tracing::warn!(error, "what the previous root secret has sealed waits to be sealed anew");
            }
        }
        sleep(LOOK).await;
    }
}

/// Whether nothing is left.
async fn settle(
    database: &Database,
    from: &RootSecret,
    to: &RootSecret,
    overlap: &Overlap,
) -> Result<bool, StoreFault> {
    // Before the nodes: one that joins after this notes something else.
    let Some(noted) = database.unsettled().await? else { return Ok(true) };
    if noted.root() != from.fingerprint() || overlap.holds() {
        return Ok(false);
    }
    // What was known of the nodes may be half a second old.
    sleep(LOOK).await;
    if overlap.holds() {
        return Ok(false);
    }
    let settled = database.settle_root(from, to, &noted).await?;
    if settled.resealed > 0 {
        tracing::info!(credentials = settled.resealed, "sealed anew what the previous root secret had sealed");
    }
    Ok(settled.whole)
}
