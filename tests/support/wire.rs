//! A wire between a node and what it depends on, which can be slow, be stalled or cut, or lead nowhere, as networks do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// What comes is passed on.
    Whole,
    /// What comes is passed on so much later, in either direction.
    Slow(Duration),
    /// Nothing is passed on, and nobody is told.
    Stalled,
    /// Every connection breaks.
    Cut,
    /// Every connection breaks, and nobody listens any more.
    Gone,
}

impl State {
    const fn passes(self) -> bool {
        matches!(self, Self::Whole | Self::Slow(_))
    }

    const fn breaks(self) -> bool {
        matches!(self, Self::Cut | Self::Gone)
    }
}

/// How it is now, and the first connection that is still of use; those before it are silent for ever.
#[derive(Debug, Clone, Copy)]
struct Now {
    state: State,
    first: u64,
}

/// One answer that is held up: the first that says something.
struct Awaited {
    says: Vec<u8>,
    met: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

type Hold = Arc<Mutex<Option<Awaited>>>;

/// An answer that is held up, until it is let go.
pub struct Held {
    met: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Returns when the answer was given at the far end, and is held up.
    pub async fn met(&mut self) {
        (&mut self.met).await.expect("the wire is there");
    }

    /// Lets it go on its way.
    pub fn release(self) {
        let _ = self.release.send(());
    }
}

/// A wire.
#[derive(Clone)]
pub struct Wire {
    /// Where it begins.
    pub address: SocketAddr,
    now: Arc<watch::Sender<Now>>,
    connections: Arc<AtomicU64>,
    hold: Hold,
}

impl Wire {
    /// One that ends at `to`, for as long as the test runs.
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (now, seen) = watch::channel(Now { state: State::Whole, first: 0 });
        let (connections, hold) = (Arc::<AtomicU64>::default(), Hold::default());
        tokio::spawn(listen(listener, to, seen, Arc::clone(&connections), Arc::clone(&hold)));
        Self { address, now: Arc::new(now), connections, hold }
    }

    /// One between a node and the database at this address; the address that the node uses instead.
    pub async fn to_database(url: &str) -> (Self, String) {
        let mut url = url::Url::parse(url).expect("an address");
        let host = url.host_str().expect("a host").parse().expect("an IP address");
        let wire = Self::to(SocketAddr::new(host, url.port().expect("a port"))).await;
        url.set_port(Some(wire.address.port())).expect("it has a host");
        (wire, url.to_string())
    }

    /// From now on nothing is passed on, and nobody is told.
    pub fn stall(&self) {
        self.becomes(State::Stalled);
    }

    /// From now on every connection breaks.
    pub fn cut(&self) {
        self.becomes(State::Cut);
    }

    /// From now on every connection breaks, and none is to be had.
    pub fn leads_nowhere(&self) {
        self.becomes(State::Gone);
    }

    /// From now on what comes is passed on so much later, in either direction.
    pub fn slow(&self, delay: Duration) {
        self.becomes(State::Slow(delay));
    }

    /// From now on what comes is passed on, and what came meanwhile.
    pub fn mend(&self) {
        self.becomes(State::Whole);
    }

    /// From now on what comes on new connections is passed on. The others stay silent and nobody is told, as where another
    /// machine has taken the place of one that is lost.
    pub fn mend_for_new_connections(&self) {
        let first = self.connections.load(Ordering::SeqCst);
        self.now.send_replace(Now { state: State::Whole, first });
    }

    /// Holds up the next answer that says this, and with it its connection; all others go on.
    pub fn hold_what_says(&self, text: &str) -> Held {
        let ((met, is_met), (release, released)) = (oneshot::channel(), oneshot::channel());
        let awaited = Awaited { says: text.as_bytes().to_vec(), met, released };
        *self.hold.lock().expect("whole") = Some(awaited);
        Held { met: is_met, release }
    }

    fn becomes(&self, state: State) {
        self.now.send_modify(|now| now.state = state);
    }
}

async fn listen(
    mut listener: TcpListener,
    to: SocketAddr,
    mut now: watch::Receiver<Now>,
    count: Arc<AtomicU64>,
    hold: Hold,
) {
    let address = listener.local_addr().expect("an address");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.ok(),
            () = until(&mut now, |state| state == State::Gone) => None,
        };
        if let Some((near, _)) = accepted {
            let number = count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(connection(near, to, number, now.clone(), Arc::clone(&hold)));
        }
        if now.borrow().state == State::Gone {
            drop(listener);
            until(&mut now, |state| state != State::Gone).await;
            listener = TcpListener::bind(address).await.expect("the port is free still");
        }
    }
}

/// Returns when it is so; never when nobody can change it any more.
async fn until(now: &mut watch::Receiver<Now>, so: impl Fn(State) -> bool) {
    if now.wait_for(|now| so(now.state)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn connection(near: TcpStream, to: SocketAddr, number: u64, mut now: watch::Receiver<Now>, hold: Hold) {
    let reached = now.wait_for(|now| now.state.breaks() || now.state.passes() && number >= now.first).await;
    if reached.is_ok_and(|now| now.state.breaks()) {
        return;
    }
    let Ok(far) = TcpStream::connect(to).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_out, near_in), (far_out, far_in)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pass(near_out, far_in, number, now.clone(), None) => {}
        () = pass(far_out, near_in, number, now.clone(), Some(hold)) => {}
        _ = now.wait_for(|now| now.state.breaks()) => {}
    }
}

/// Waits where this is the answer that is to be held up.
async fn held_up(hold: &Hold, said: &[u8]) {
    let says = |awaited: &mut Awaited| said.windows(awaited.says.len()).any(|part| part == awaited.says);
    let held = hold.lock().expect("whole").take_if(says);
    if let Some(Awaited { met, released, .. }) = held {
        let _ = met.send(());
        let _ = released.await;
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    mut now: watch::Receiver<Now>,
    hold: Option<Hold>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // The end of a connection is told no earlier than what was said before it.
        let delay = match now.wait_for(|now| now.state.passes() && number >= now.first).await.map(|now| now.state) {
            Ok(State::Slow(delay)) => delay,
            Ok(_) => Duration::ZERO,
            Err(_) => return,
        };
        tokio::time::sleep(delay).await;
        let Ok(length @ 1..) = read else { return };
        if let Some(hold) = &hold {
            held_up(hold, &buffer[..length]).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
