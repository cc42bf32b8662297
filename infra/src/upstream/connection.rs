//! One connection, and sending a request over it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::{TrySendError, http1, http2};

use super::UpstreamFault;
use super::answer::{Answer, Lease};
use super::pool::Pool;
use super::target::Target;

/// What requests carry.
pub(super) type Outgoing = Full<Bytes>;

/// A connection.
pub(super) enum Connection {
    /// HTTP/1.1: one request at a time.
    H1(Single),
    /// HTTP/2: many at once.
    H2(Rc<SharedConnection>),
}

/// A connection that takes one request at a time.
pub(super) struct Single {
    pub(super) sender: http1::SendRequest<Outgoing>,
    /// When it was made.
    pub(super) born: Instant,
}

/// A connection that takes many requests at once.
pub(super) struct SharedConnection {
    pub(super) sender: http2::SendRequest<Outgoing>,
    /// When it was made.
    pub(super) born: Instant,
    /// How many answers are under way.
    pub(super) busy: Cell<usize>,
    /// When an answer was last over.
    pub(super) used: Cell<Instant>,
}

impl SharedConnection {
    pub(super) fn new(sender: http2::SendRequest<Outgoing>) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self { sender, born: now, busy: Cell::new(0), used: Cell::new(now) })
    }
}

/// A place among the answers under way of a shared connection.
pub(super) struct Place(Rc<SharedConnection>);

impl Place {
    fn take(connection: &Rc<SharedConnection>) -> Self {
        connection.busy.set(connection.busy.get() + 1);
        Self(Rc::clone(connection))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        self.0.used.set(Instant::now());
    }
}

/// What became of a request.
pub(super) enum Sent {
    /// Its answer begins.
    Answered(Answer),
    /// Not a byte of it was written, and here it is again.
    Untouched(Request<Outgoing>, hyper::Error),
}

impl Connection {
    pub(super) fn h1(sender: http1::SendRequest<Outgoing>) -> Self {
        Self::H1(Single { sender, born: Instant::now() })
    }

    /// Sends a request and waits until its answer begins.
    pub(super) async fn send(
        self,
        pool: &Rc<Pool>,
        target: &Target,
        mut request: Request<Outgoing>,
    ) -> Result<Sent, UpstreamFault> {
        let (sent, lease) = match self {
            Self::H1(mut single) => {
                target.address_h1(&mut request);
                let sent = single.sender.try_send_request(request).await;
                (sent, Lease::single(single, pool, target.endpoint()))
            }
            Self::H2(shared) => {
                target.address_h2(&mut request);
                let place = Place::take(&shared);
                (shared.sender.clone().try_send_request(request).await, Lease::Shared { _place: place })
            }
        };
        match sent {
            Ok(response) => Ok(Sent::Answered(Answer::new(response, lease))),
            Err(error) => untouched(error),
        }
    }
}

fn untouched(mut error: TrySendError<Request<Outgoing>>) -> Result<Sent, UpstreamFault> {
    match error.take_message() {
        Some(request) => Ok(Sent::Untouched(request, error.into_error())),
        None => Err(UpstreamFault::Broken(error.into_error())),
    }
}
