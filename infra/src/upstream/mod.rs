//! The client for upstream servers: hyper's connections, kept by a pool of our own.
//!
//! One per worker thread. It follows no redirects, decompresses nothing, adds no headers of its own but `Host`, and
//! connects only through the vetting resolver. Why not hyper-util's client: a server's own time to connect, the exact
//! knowledge of what was sent, and none of its allocations per call.

mod answer;
mod connect;
mod connection;
pub mod health;
mod pool;
mod probe;
mod redirect;
mod shared;
mod target;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::egress::{EgressPolicy, EgressRefusal};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use rustls::RootCertStore;

pub use self::answer::{Answer, AnswerBody};
use self::connect::Connector;
use self::connection::{Outgoing, Sent};
use self::pool::Pool;
pub use self::probe::Probe;
pub use self::redirect::Redirect;
pub use self::shared::{BodyFault, SharedAnswer, SharedBody, SharedUpstream};
pub use self::target::{NotATarget, Target};

/// Why an upstream server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFault {
    /// Its address is one that we must not connect to.
    #[error("the address is not allowed")]
    Egress(#[source] EgressRefusal),
    /// No connection was made: nothing was sent.
    #[error("cannot connect")]
    Unreachable(#[source] std::io::Error),
    /// No connection was made in time: nothing was sent.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// The connection was made, but not with the server that was asked for, or not safely: nothing was sent.
    #[error("TLS failed")]
    Tls(#[source] std::io::Error),
    /// The connection broke before the answer began, or what came was not HTTP. The request may have been executed.
    #[error("the connection failed")]
    Broken(#[source] hyper::Error),
    /// What came was HTTP, but no answer: a switch to another protocol that nobody asked for.
    #[error("the server switched protocols")]
    Switched,
    /// The client's thread is gone, as at the very end of the process.
    #[error("the client has ended")]
    Ended,
}

/// Connections to upstream servers, of one worker.
#[derive(Clone)]
pub struct Upstream {
    connector: Rc<Connector>,
    pool: Rc<Pool>,
}

impl Upstream {
    /// A client that connects where the policy allows and trusts the public certificate authorities. It belongs to the
    /// worker that makes it, inside a `LocalSet`.
    #[must_use]
    pub fn new(policy: &Arc<EgressPolicy>) -> Self {
        Self::trusting(policy, public_authorities())
    }

    /// The same, trusting other authorities.
    fn trusting(policy: &Arc<EgressPolicy>, roots: RootCertStore) -> Self {
        Self { connector: Rc::new(Connector::new(Arc::clone(policy), roots)), pool: Pool::start() }
    }

    /// Sends a request and returns when its answer begins. `connect` is the time for a new connection, if it takes one.
    /// Dropping the future, or the answer's body, is how the server learns that nobody waits any more.
    ///
    /// A request that a kept connection did not take, since the server had closed it before the first byte, goes over a
    /// new one; that is the only repetition, as nothing else is certain not to have been executed.
    ///
    /// # Errors
    /// [`UpstreamFault`]
    pub async fn send(
        &self,
        target: &Target,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        connect: Duration,
    ) -> Result<Answer, UpstreamFault> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        if let Some(kept) = self.pool.take(target.endpoint()) {
            match kept.send(&self.pool, target, request).await? {
                Sent::Answered(answer) => return answer.settled(),
                Sent::Untouched(returned, _) => request = returned,
            }
        }
        // Apart, so that what connecting needs takes no room in every call.
        Box::pin(self.send_over_new(target, request, connect)).await
    }

    async fn send_over_new(
        &self,
        target: &Target,
        request: Request<Outgoing>,
        connect: Duration,
    ) -> Result<Answer, UpstreamFault> {
        let fresh = self.connector.connect(target.endpoint(), connect).await?;
        self.pool.share(target.endpoint(), &fresh);
        match fresh.send(&self.pool, target, request).await? {
            Sent::Answered(answer) => answer.settled(),
            Sent::Untouched(_, error) => Err(UpstreamFault::Broken(error)),
        }
    }
}

fn public_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots
}

#[cfg(test)]
mod tests;
