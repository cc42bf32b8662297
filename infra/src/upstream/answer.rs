//! An upstream's answer: its head, and its body as it comes. The connection is kept for the next request once the body
//! was read to the end that its framing announces, and closed when it is given up before.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::{Body, Incoming};

use super::UpstreamFault;
use super::connection::{Place, Single};
use super::pool::Pool;
use super::target::Endpoint;

/// An answer whose body is still to come.
pub struct Answer {
    head: Parts,
    body: AnswerBody,
}

impl Answer {
    pub(super) fn new(response: Response<Incoming>, lease: Lease) -> Self {
        let (head, incoming) = response.into_parts();
        Self { head, body: AnswerBody { incoming, lease: Some(lease) } }
    }

    /// The answer, if it is one.
    pub(super) fn settled(self) -> Result<Self, UpstreamFault> {
        // hyper takes 101 for the end of the exchange; nobody asked for another protocol.
        if self.head.status.is_informational() { Err(UpstreamFault::Switched) } else { Ok(self) }
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// How many bytes the body has, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.body.incoming.size_hint().exact()
    }

    /// The body.
    #[must_use]
    pub fn into_body(self) -> AnswerBody {
        self.body
    }
}

/// A body on its way. A connection that ends before the body does is an error.
pub struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl Stream for AnswerBody {
    type Item = Result<Bytes, hyper::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                // Trailers are true of one connection only.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.finish();
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl AnswerBody {
    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // Whoever knows the length does not ask for the end.
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }
}

/// The connection under an answer.
pub(super) enum Lease {
    /// It is the answer's alone.
    Single {
        /// It.
        single: Single,
        /// Where it goes when the answer is over.
        pool: Rc<Pool>,
        /// Whom it leads to.
        endpoint: Arc<Endpoint>,
    },
    /// It is shared, and only counts its answers.
    Shared {
        /// Given up when dropped.
        _place: Place,
    },
}

impl Lease {
    pub(super) fn single(single: Single, pool: &Rc<Pool>, endpoint: &Arc<Endpoint>) -> Self {
        Self::Single { single, pool: Rc::clone(pool), endpoint: Arc::clone(endpoint) }
    }

    fn finish(self) {
        if let Self::Single { single, pool, endpoint } = self {
            pool.keep(endpoint, single);
        }
    }
}
