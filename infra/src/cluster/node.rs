//! What a node does to keep its lease, on a thread of its own: it reads changes and applies them, renews and thereby
//! confirms, takes leases away that stand still, and tells those who wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::store::StoreFault;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::listener::{self, Heard, Told};
use super::roll::Roll;
use super::waiting::WaitingRoom;
use super::{AWAITED, Ask, FIT_PATIENCE, HELD, JoinFault, Known, Lease, Moment, PATIENCE, RENEWAL, Watchdog};
use crate::cache::{Caches, change_text};
use crate::db::{DatabaseUrl, Outdated, Server, SqlNodes};

/// Changes per statement.
const AT_ONCE: i64 = 500;
/// How often the other nodes' rows are read while somebody waits for them, beside what is heard.
const LOOK: Duration = Duration::from_millis(50);
/// How often old changes are deleted.
const PURGE: Duration = Duration::from_mins(10);

/// How often this node has connected.
#[derive(Debug, Clone, Copy, Default)]
pub struct Met {
    /// Connections that were made.
    pub connections: u64,
    /// Those of them that led to another server than the one before.
    pub servers: u64,
}

/// The last change that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    number: i64,
    mark: Uuid,
}

/// What a node is made of.
#[derive(Clone)]
pub struct Parts {
    /// What it tells the others.
    pub known: Known,
    /// What it remembers.
    pub caches: Caches,
    /// Whether it may trust that.
    pub lease: Arc<Lease>,
    /// Which connections of its requests are to be replaced.
    pub outdated: Arc<Outdated>,
    /// Ends what is under way without a lease; told to stop before the node gives its lease up.
    pub watchdog: Watchdog,
}

/// Who waits for the node's first lease; nobody any more once it was had.
pub type Joined = Option<oneshot::Sender<Result<(), JoinFault>>>;

struct Node {
    nodes: SqlNodes,
    met: watch::Receiver<Met>,
    // How many servers were met when confirmations began to be noted.
    servers: u64,
    known: Known,
    caches: Caches,
    lease: Arc<Lease>,
    // None while there is no lease to renew. Another one each time: nobody mistakes what an earlier one confirmed.
    id: Option<Uuid>,
    place: Place,
    roll: Roll,
    room: WaitingRoom,
}

/// What there is to do.
#[derive(Debug, Default)]
struct Due {
    renewal: bool,
    changes: bool,
    nodes: bool,
}

/// Runs until everybody who could ask is gone, or the node is to leave. Tells `joined` when it has its first lease, or
/// why it has none; where nobody waits for that any more, it joins when it can.
pub async fn run(
    url: DatabaseUrl,
    Parts { known, caches, lease, outdated, watchdog }: Parts,
    asked: &mut mpsc::UnboundedReceiver<Ask>,
    joined: &mut Joined,
) {
    let nodes = match SqlNodes::at(&url, PATIENCE) {
        Ok(Some(nodes)) => nodes,
        Ok(None) => return,
        Err(fault) => {
            watchdog.stop();
            return tell(joined, Err(fault.into()));
        }
    };
    let (tells, met) = watch::channel(Met::default());
    let nodes = {
        let (caches, replaced) = (caches.clone(), Arc::clone(&outdated));
        nodes.telling(outdated, move |server| meet(server, &replaced, &caches, &tells))
    };
    let place = Place { number: 0, mark: Uuid::nil() };
    let (roll, room) = (Roll::default(), WaitingRoom::default());
    let mut node = Node { nodes, met: met.clone(), servers: 0, known, caches, lease, id: None, place, roll, room };
    if joined.is_some() {
        let first = node.join_first().await;
        let failed = first.is_err();
        tell(joined, first);
        if failed {
            return watchdog.stop();
        }
    }
    let (tell, mut heard) = mpsc::unbounded_channel();
    let listener = tokio::spawn(listener::run(url, met, tell));
    let mut renewal = interval(RENEWAL);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut purge = interval(PURGE);
    let left = loop {
        let mut due = Due::default();
        let mut ask = None;
        tokio::select! {
            biased;
            _ = renewal.tick() => due.renewal = true,
            next = asked.recv() => match next {
                Some(next) => ask = Some(next),
                None => break None,
            },
            Some(told) = heard.recv() => node.hear(told, &mut due),
            () = sleep(LOOK), if !node.room.is_empty() => due.nodes = true,
            _ = purge.tick() => node.purge().await,
        }
        while let Ok(told) = heard.try_recv() {
            node.hear(told, &mut due);
        }
        let mut leave = None;
        while let Some(next) = ask {
            match next {
                Ask::Confirmed { number, began, answer } => {
                    node.room.enter(number, began, answer);
                    due.nodes = true;
                }
                Ask::Leave(done) => leave = Some(done),
            }
            ask = asked.try_recv().ok();
        }
        if leave.is_some() {
            break leave;
        }
        if let Err(fault) = node.act(&due).await {
            tracing::debug!(error = &fault as &dyn std::error::Error, "the other nodes cannot be asked; trying again");
        }
        node.room.settle();
    };
    watchdog.stop();
    listener.abort();
    node.leave().await;
    if let Some(left) = left {
        let _ = left.send(());
    }
}

/// Before a single statement goes through a connection that was made just now. Where it leads to another server than the one
/// before, nobody reads from that one any more, and nothing stays that was read there: what is applied and confirmed from
/// now on is the new one's.
fn meet(server: Server, outdated: &Outdated, caches: &Caches, tells: &watch::Sender<Met>) {
    if server == Server::Another {
        tracing::warn!("the database is another server than before, or was started anew; everything is forgotten");
        outdated.server_changed();
        caches.forget_everything();
    }
    tells.send_modify(|met| {
        met.connections += 1;
        met.servers += u64::from(server == Server::Another);
    });
}

fn tell(joined: &mut Joined, outcome: Result<(), JoinFault>) {
    if let Some(joined) = joined.take() {
        let _ = joined.send(outcome);
    }
}

impl Node {
    fn hear(&mut self, Told { heard, connections }: Told, due: &mut Due) {
        match heard {
            Heard::Changed => due.changes = true,
            // Of numbers that may be another's by now.
            Heard::Confirmed(..) if connections != self.met.borrow().connections => due.nodes = true,
            Heard::Confirmed(id, number) => self.room.confirmed(id, number),
            Heard::Gone => due.nodes = true,
        }
    }

    async fn act(&mut self, due: &Due) -> Result<(), StoreFault> {
        let Some(id) = self.id else {
            if due.renewal {
                match self.join().await {
                    Ok(()) => {}
                    Err(JoinFault::Store(fault)) => return Err(fault),
                    Err(fault @ JoinFault::Unfit(_)) => {
                        if !self.lease.is_refused() {
                            let error = &fault as &dyn std::error::Error;
                            tracing::error!(error, "this node serves nobody any more; restart it as the others are");
                        }
                        self.lease.refuse();
                        self.caches.forget_everything();
                    }
                }
            }
            return self.look().await;
        };
        if due.nodes {
            self.look().await?;
        }
        if due.changes || due.renewal {
            // Before the renewal: whoever cannot read changes does not renew.
            let applied = self.follow().await?;
            self.room.confirmed(id, self.place.number);
            self.room.settle();
            if applied || due.renewal {
                self.renew(id, applied).await?;
            }
        }
        if due.renewal { self.look().await } else { Ok(()) }
    }

    /// Gets a lease. The order is what makes it true: once the row is there, later changes wait for this node; what was
    /// committed before is found below the newest number; and what was read before that is forgotten.
    async fn join(&mut self) -> Result<(), JoinFault> {
        let id = Uuid::new_v4();
        self.nodes.join(id, &self.known).await??;
        self.place = self.newest().await?;
        self.caches.forget_everything();
        self.id = Some(id);
        self.lease.accept();
        self.renew(id, true).await?;
        // Before the first request: it asks whether signatures of other nodes count.
        Ok(self.look().await?)
    }

    /// The same at the start, when a node that does not fit may have been killed a moment ago.
    async fn join_first(&mut self) -> Result<(), JoinFault> {
        let until = Instant::now() + FIT_PATIENCE;
        loop {
            match self.join().await {
                Err(JoinFault::Unfit(_)) if Instant::now() < until => {
                    self.look().await?;
                    sleep(RENEWAL).await;
                }
                joined => return joined,
            }
        }
    }

    async fn newest(&mut self) -> Result<Place, StoreFault> {
        let newest = self.nodes.newest_change().await?;
        Ok(newest.map_or(Place { number: 0, mark: Uuid::nil() }, |change| Place {
            number: change.number,
            mark: change.mark,
        }))
    }

    async fn renew(&mut self, id: Uuid, tell: bool) -> Result<(), StoreFault> {
        // Before it is sent: the lease is over for this node before anybody else can think so.
        let asked = Moment::now();
        if self.nodes.renew(id, self.place.number, tell).await? {
            if !self.lease.holds() {
                tracing::info!(node = self.known.name, "this node has a lease and trusts what it remembers");
            }
            self.lease.hold_until(asked.after(HELD));
        } else {
            tracing::warn!(node = self.known.name, "others took this node's lease away; it asks for another");
            self.lease.end();
            self.id = None;
        }
        Ok(())
    }

    /// Reads and applies what has changed; whether anything has.
    async fn follow(&mut self) -> Result<bool, StoreFault> {
        let mut applied = false;
        loop {
            // With the last one that was applied, which shows that these follow on it.
            let changes = self.nodes.changes_since(self.place.number, AT_ONCE).await?;
            self.notice();
            let more = changes.len() == usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
            let begins = changes.first().map(|first| Place { number: first.number, mark: first.mark });
            let new = if self.place.number == 0 {
                &changes[..]
            } else if begins == Some(self.place) {
                &changes[1..]
            } else {
                tracing::warn!(number = self.place.number, "the database has lost changes; everything is forgotten");
                self.place = self.newest().await?;
                self.caches.forget_everything();
                self.room.forget();
                return Ok(true);
            };
            for change in new {
                match change_text::read(&change.changes) {
                    Ok(changes) => changes.iter().for_each(|change| self.caches.apply(change)),
                    Err(error) => {
                        // Of a newer version, perhaps.
                        tracing::warn!(%error, number = change.number, "everything is forgotten");
                        self.caches.forget_everything();
                    }
                }
                self.place = Place { number: change.number, mark: change.mark };
                applied = true;
            }
            if !more {
                return Ok(applied);
            }
        }
    }

    /// Confirmations of another server's numbers say nothing of this one's.
    fn notice(&mut self) {
        let servers = self.met.borrow().servers;
        if servers != self.servers {
            self.servers = servers;
            self.room.forget();
        }
    }

    /// Reads who has a lease, takes away those that stand still, and tells those who wait.
    async fn look(&mut self) -> Result<(), StoreFault> {
        let mut rows = self.nodes.all().await?;
        self.notice();
        for (id, renewals) in self.roll.observe(&rows, Instant::now(), AWAITED) {
            if self.nodes.end(id, renewals).await? {
                let name = rows.iter().find(|row| row.id == id).map(|row| row.name.as_str());
                tracing::warn!(node = name, "a node did not renew its lease; nobody waits for it any more");
                rows.retain(|row| row.id != id);
            }
        }
        if let Some(overlap) = &self.known.overlap {
            overlap.set(rows.iter().any(|row| row.root.as_ref() != Some(&self.known.prints.root)));
        }
        self.room.nodes(&rows);
        Ok(())
    }

    async fn purge(&mut self) {
        if let Err(fault) = self.nodes.purge().await {
            tracing::debug!(error = &fault as &dyn std::error::Error, "old changes stay for a while");
        }
    }

    async fn leave(&mut self) {
        // First: once the row is gone nobody waits.
        self.lease.end();
        if let Some(id) = self.id.take()
            && let Err(fault) = self.nodes.leave(id).await
        {
            tracing::debug!(error = &fault as &dyn std::error::Error, "others wait for this node's lease to end");
        }
    }
}
