//! Committing what caches remember: the one way in which a change of it reaches the caches of this node, and of all others.

use std::sync::Arc;
use std::time::Instant;

use domain::receipt::{LetGo, Receipt, Why};
use domain::store::StoreFault;

use super::changes::announce;
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use crate::cache::{Caches, Change};
use crate::cluster::Cluster;

/// Commits changes, and returns when no node acts by what was before them.
#[derive(Clone)]
pub struct Changes {
    caches: Caches,
    reach: Reach,
}

#[derive(Clone)]
enum Reach {
    /// The database is this process's own.
    Alone(Arc<str>),
    /// Others serve from it, too.
    Cluster(Cluster),
}

impl Changes {
    /// Of a node that has its database to itself and is called `node`.
    #[must_use]
    pub fn alone(caches: Caches, node: &str) -> Self {
        Self { caches, reach: Reach::Alone(node.into()) }
    }

    /// Of one among others.
    #[must_use]
    pub const fn among(caches: Caches, cluster: Cluster) -> Self {
        Self { caches, reach: Reach::Cluster(cluster) }
    }

    /// What the caches remember.
    #[must_use]
    pub const fn caches(&self) -> &Caches {
        &self.caches
    }

    /// Commits, and returns when every node acts by the change: what it remembered is forgotten, or its lease is over.
    /// Goes on when whoever asked no longer waits: a client that leaves drops the future that serves it, and a change that
    /// was committed and not forgotten would go on working.
    ///
    /// # Errors
    /// [`StoreFault`]. Nobody knows then whether the change took place; if it did, every node will have it.
    pub async fn commit(&self, transaction: DatabaseTransaction, changes: Vec<Change>) -> Result<Receipt, StoreFault> {
        self.commit_and(transaction, changes, true).await
    }

    /// The same, and waits for nobody: for what changes nothing that a request may act by, and must only be known before the
    /// next change is. Nodes apply changes in their order.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn commit_in_passing(
        &self,
        transaction: DatabaseTransaction,
        changes: Vec<Change>,
    ) -> Result<(), StoreFault> {
        self.commit_and(transaction, changes, false).await.map(drop)
    }

    async fn commit_and(
        &self,
        transaction: DatabaseTransaction,
        changes: Vec<Change>,
        wait: bool,
    ) -> Result<Receipt, StoreFault> {
        let task = match &self.reach {
            Reach::Alone(node) => {
                let (caches, node) = (self.caches.clone(), Arc::clone(node));
                tokio::spawn(async move { alone(&caches, &node, transaction, changes).await })
            }
            Reach::Cluster(cluster) => {
                let cluster = cluster.clone();
                tokio::spawn(async move { among(&cluster, transaction, &changes, wait).await })
            }
        };
        task.await.unwrap_or_else(|error| Err(StoreFault::Unavailable(Box::new(error))))
    }
}

async fn alone(
    caches: &Caches,
    node: &str,
    transaction: DatabaseTransaction,
    changes: Vec<Change>,
) -> Result<Receipt, StoreFault> {
    let began = Instant::now();
    let committed = transaction.commit().await.map_err(store_fault);
    // After a failed commit too, since nobody knows whether it took place.
    for change in changes {
        caches.apply(&if committed.is_ok() { change } else { change.doubted() });
    }
    committed?;
    Ok(Receipt(vec![LetGo { node: node.to_owned(), after: began.elapsed(), why: Why::Confirmed }]))
}

async fn among(
    cluster: &Cluster,
    transaction: DatabaseTransaction,
    changes: &[Change],
    wait: bool,
) -> Result<Receipt, StoreFault> {
    let began = Instant::now();
    // Also when there is none: whoever repeats what was not answered waits for every change before.
    let number = announce(&transaction, changes).await?;
    // This node hears of it like all others, in the order of numbers: what is committed reaches its caches whatever
    // becomes of this task, and of two changes of one thing the later one stays.
    transaction.commit().await.map_err(store_fault)?;
    if wait { cluster.confirmed(number, began).await } else { Ok(Receipt(vec![])) }
}
