//! Connections of one worker that wait for their next request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use tokio::task::spawn_local;

use super::connection::{Connection, SharedConnection, Single};
use super::target::Endpoint;

/// An idle connection is kept this long; shorter than what servers allow, so that we close first: a request that meets
/// the server's close on its way is lost. Node's and uvicorn's servers, which most MCP servers are, allow 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// A connection is not used for longer than this, so that a name that moved is noticed.
const LIFETIME: Duration = Duration::from_mins(10);
/// How many idle connections to one host are kept.
const IDLE_MAX: usize = 256;
/// How many requests share one connection; more open another. Servers commonly allow a hundred, and streams that stay
/// open must not use up what calls need.
const SHARED_MAX: usize = 64;

/// Idle connections, by where they lead.
pub(super) struct Pool(RefCell<HashMap<Arc<Endpoint>, Kept, RandomState>>);

#[derive(Default)]
struct Kept {
    // The newest last: it is the one that the server has not yet thought of closing.
    idle: Vec<Idle>,
    shared: Vec<Rc<SharedConnection>>,
}

struct Idle {
    single: Single,
    since: Instant,
}

impl Pool {
    /// An empty pool, swept as long as it lives.
    pub(super) fn start() -> Rc<Self> {
        let pool = Rc::new(Self(RefCell::default()));
        let swept = Rc::downgrade(&pool);
        spawn_local(async move {
            let mut interval = tokio::time::interval(KEEP_ALIVE);
            loop {
                interval.tick().await;
                let Some(pool) = swept.upgrade() else { return };
                pool.sweep();
            }
        });
        pool
    }

    /// A connection that takes a request now, as far as is known.
    pub(super) fn take(&self, endpoint: &Arc<Endpoint>) -> Option<Connection> {
        let mut pool = self.0.borrow_mut();
        let kept = pool.get_mut(endpoint)?;
        let now = Instant::now();
        while let Some(idle) = kept.idle.pop() {
            if idle.is_good(now) {
                return Some(Connection::H1(idle.single));
            }
        }
        kept.shared.retain(|shared| is_good(shared, now));
        kept.shared.iter().find(|shared| shared.busy.get() < SHARED_MAX).map(|shared| Connection::H2(Rc::clone(shared)))
    }

    /// Lets other requests use a new connection, if it takes many.
    pub(super) fn share(&self, endpoint: &Arc<Endpoint>, connection: &Connection) {
        if let Connection::H2(shared) = connection {
            self.0.borrow_mut().entry(Arc::clone(endpoint)).or_default().shared.push(Rc::clone(shared));
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn keep(self: Rc<Self>, endpoint: Arc<Endpoint>, mut single: Single) {
        if single.sender.is_ready() {
            self.put(endpoint, single);
        } else if !single.sender.is_closed() {
            // The body is over, but the connection has not yet noticed.
            spawn_local(async move {
                if single.sender.ready().await.is_ok() {
                    self.put(endpoint, single);
                }
            });
        }
    }

    fn put(&self, endpoint: Arc<Endpoint>, single: Single) {
        let now = Instant::now();
        if now.duration_since(single.born) >= LIFETIME {
            return;
        }
        let mut pool = self.0.borrow_mut();
        let idle = &mut pool.entry(endpoint).or_default().idle;
        if idle.len() < IDLE_MAX {
            idle.push(Idle { single, since: now });
        }
    }

    fn sweep(&self) {
        let now = Instant::now();
        self.0.borrow_mut().retain(|_, kept| {
            kept.idle.retain(|idle| idle.is_good(now));
            kept.shared
                .retain(|shared| is_good(shared, now) && (shared.busy.get() > 0 || is_fresh(shared.used.get(), now)));
            !kept.idle.is_empty() || !kept.shared.is_empty()
        });
    }
}

impl Idle {
    fn is_good(&self, now: Instant) -> bool {
        self.single.sender.is_ready() && is_fresh(self.since, now)
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.duration_since(since) < KEEP_ALIVE
}

fn is_good(shared: &SharedConnection, now: Instant) -> bool {
    !shared.sender.is_closed() && now.duration_since(shared.born) < LIFETIME
}
