//! Committing what caches remember.

use domain::store::StoreFault;
use sea_orm::DatabaseTransaction;

use super::fault::store_fault;

/// Commits, then runs `forget`, also when whoever asked no longer waits: a client that leaves drops the future that
/// serves it, and a change that was committed and not forgotten would go on working.
///
/// `forget` runs after a failed commit too, since nobody knows whether it took place.
///
/// # Errors
/// [`StoreFault`]
pub async fn commit_then(
    transaction: DatabaseTransaction,
    forget: impl FnOnce() + Send + 'static,
) -> Result<(), StoreFault> {
    let task = tokio::spawn(async move {
        let committed = transaction.commit().await.map_err(store_fault);
        forget();
        committed
    });
    task.await.unwrap_or_else(|error| Err(StoreFault::Unavailable(Box::new(error))))
}
