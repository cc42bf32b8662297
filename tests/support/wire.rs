//! A wire between a node and its database that can be stalled or cut, as networks are.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// What comes is passed on.
    Whole,
    /// Nothing is passed on, and nobody is told.
    Stalled,
    /// Every connection breaks.
    Cut,
}

/// A wire.
#[derive(Clone)]
pub struct Wire {
    /// Where it begins.
    pub address: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

impl Wire {
    /// One that ends at `to`, for as long as the test runs.
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, seen) = watch::channel(State::Whole);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, to, seen.clone()));
            }
        });
        Self { address, state: Arc::new(state) }
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
        self.state.send_replace(State::Stalled);
    }

    /// From now on every connection breaks.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// From now on what comes is passed on, and what came meanwhile.
    pub fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

async fn connection(near: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) {
    if state.wait_for(|state| *state != State::Stalled).await.is_ok_and(|state| *state == State::Cut) {
        return;
    }
    let Ok(far) = TcpStream::connect(to).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_out, near_in), (far_out, far_in)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pass(near_out, far_in, state.clone()) => {}
        () = pass(far_out, near_in, state.clone()) => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if state.wait_for(|state| *state == State::Whole).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
