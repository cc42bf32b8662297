//! Many nodes on one PostgreSQL database, none of which acts by what another has changed. `docs/revocation.md` argues why.
//!
//! Every change of what nodes remember is a numbered row, written in the change's own transaction. A node reads the rows
//! in their order, applies them, and confirms the last; whoever made a change waits until all nodes have confirmed it.
//! Nobody waits for ever for one that does not answer: a node trusts what it remembers for [`HELD`] from before it asked to
//! renew its lease, and others take its lease away when they saw it stand still for [`AWAITED`].

mod known;
mod lease;
mod listener;
mod node;
pub mod roll;
mod supervised;
mod waiting;
mod watchdog;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::receipt::Receipt;
use domain::store::StoreFault;
use tokio::sync::{mpsc, oneshot};

pub use known::{JoinFault, Known, Unfit};
pub use lease::{Lease, Moment};
use node::Parts;
use supervised::Ended;
use watchdog::Watchdog;

use crate::cache::Caches;
use crate::db::{DatabaseUrl, Outdated};

/// How long a node trusts what it remembers, from before it asked to renew its lease.
pub const HELD: Duration = Duration::from_secs(4);
/// For how long others see a lease stand still before they take it away. It is more than [`HELD`] by what two clocks may
/// differ in their rates: a fifth.
pub const AWAITED: Duration = Duration::from_secs(5);
/// How often a lease is renewed.
const RENEWAL: Duration = Duration::from_millis(500);
/// How long a statement may take, and a connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a node that does not fit to another one waits for that to be gone: it may have lost its lease already, and
/// nobody noticed.
const FIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a change waits for other nodes. They have all confirmed or lost their lease before, unless the database
/// cannot be asked.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What others ask of the node.
#[derive(Debug)]
enum Ask {
    /// To tell when every node has applied this change.
    Confirmed { number: i64, began: Instant, answer: oneshot::Sender<Receipt> },
    /// To give up its lease.
    Leave(oneshot::Sender<()>),
}

/// This node among others.
#[derive(Clone)]
pub struct Cluster {
    asks: mpsc::UnboundedSender<Ask>,
}

impl Cluster {
    /// Joins the nodes of this database, and keeps `caches` true to what all of them change, on a thread of its own: neither
    /// requests nor what else runs beside them delay a lease. None for a database that belongs to this process alone.
    /// `outdated` is of the connections that requests use.
    ///
    /// # Errors
    /// [`JoinFault`] when no lease is to be had.
    pub async fn join(
        url: &DatabaseUrl,
        known: Known,
        caches: Caches,
        lease: Arc<Lease>,
        outdated: Arc<Outdated>,
    ) -> Result<Option<Self>, JoinFault> {
        if !matches!(url, DatabaseUrl::Postgres(_)) {
            return Ok(None);
        }
        let unavailable = |error| StoreFault::Unavailable(Box::new(error));
        let watchdog = Watchdog::start(Arc::clone(&lease), caches.clone()).map_err(unavailable)?;
        let (asks, asked) = mpsc::unbounded_channel();
        let (joined, ready) = oneshot::channel();
        let (url, parts) = (url.clone(), Parts { known, caches, lease, outdated, watchdog });
        let run = move || keep(&url, &parts, asked, joined);
        std::thread::Builder::new().name("keyrack-lease".to_owned()).spawn(run).map_err(unavailable)?;
        ready.await.unwrap_or_else(|error| Err(StoreFault::Unavailable(Box::new(error)).into()))?;
        Ok(Some(Self { asks }))
    }

    /// Returns when every node that had a lease when the change of this number was committed has applied it, or lost its
    /// lease. The change must be committed.
    ///
    /// # Errors
    /// [`StoreFault::Unavailable`] when that cannot be found out.
    pub async fn confirmed(&self, number: i64, began: Instant) -> Result<Receipt, StoreFault> {
        let unknown =
            || StoreFault::Unavailable("the change is committed, and nobody knows which nodes act by it".into());
        let (answer, receipt) = oneshot::channel();
        self.asks.send(Ask::Confirmed { number, began, answer }).map_err(|_| unknown())?;
        match tokio::time::timeout(WAIT_MAX, receipt).await {
            Ok(Ok(receipt)) => Ok(receipt),
            Ok(Err(_)) | Err(_) => Err(unknown()),
        }
    }

    /// Gives up the lease, so that nobody waits for this node. Call it when no request is left.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        if self.asks.send(Ask::Leave(done)).is_ok() {
            let _ = left.await;
        }
    }
}

/// Keeps the lease on this thread until the node leaves.
fn keep(
    url: &DatabaseUrl,
    parts: &Parts,
    mut asked: mpsc::UnboundedReceiver<Ask>,
    joined: oneshot::Sender<Result<(), JoinFault>>,
) {
    let mut joined = Some(joined);
    supervised::run(&parts.lease, &parts.caches, || {
        // Another one each time, since nobody knows what the one before was in the middle of.
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(node::run(url.clone(), parts.clone(), &mut asked, &mut joined));
                Ended::Done
            }
            Err(error) => {
                if let Some(joined) = joined.take() {
                    let _ = joined.send(Err(StoreFault::Unavailable(Box::new(error)).into()));
                    parts.watchdog.stop();
                    return Ended::Done;
                }
                Ended::Again
            }
        }
    });
}
