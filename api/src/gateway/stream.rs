//! The body on its way back: passed on chunk by chunk, cut when the key is revoked, ended when the upstream is silent
//! for too long.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use domain::key::port::LiveKey;
use futures_util::Stream;
use infra::cache::LiveKeyHandle;

use super::idle::IdleClock;

/// Why a body ended before its time. The connection is closed without the end that HTTP asks for, so that nobody takes
/// a part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The key was revoked or expired, or its token rotated away.
    #[error("the key is over")]
    KeyOver,
    /// The upstream was silent for too long.
    #[error("the server was silent for too long")]
    Idle,
    /// The upstream's connection broke.
    #[error("the server's connection broke")]
    Broken,
}

/// An upstream's body.
pub struct Relayed<S> {
    inner: S,
    size: BodySize,
    live: LiveKeyHandle,
    idle_timeout: Duration,
    clock: IdleClock,
    // Made at the first wait: most bodies are there at once and never need them.
    waiting: Option<Waiting>,
}

struct Waiting {
    ended: Pin<Box<dyn Future<Output = ()>>>,
    idle: Pin<Box<dyn Future<Output = ()>>>,
    // When the last chunk came; the idle future looks at it.
    last: Rc<Cell<Instant>>,
}

impl<S> Relayed<S> {
    /// Relays `inner`, whose length is `length` bytes where the upstream said so.
    pub const fn new(
        inner: S,
        length: Option<u64>,
        live: LiveKeyHandle,
        idle_timeout: Duration,
        clock: IdleClock,
    ) -> Self {
        let size = match length {
            Some(length) => BodySize::Sized(length),
            None => BodySize::Stream,
        };
        Self { inner, size, live, idle_timeout, clock, waiting: None }
    }
}

impl<S, E> MessageBody for Relayed<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Error = Cut;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        let this = self.get_mut();
        if this.live.has_ended() {
            return Poll::Ready(Some(Err(Cut::KeyOver)));
        }
        match Pin::new(&mut this.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                if let Some(waiting) = &this.waiting {
                    waiting.last.set(Instant::now());
                }
                return Poll::Ready(Some(Ok(chunk)));
            }
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(Cut::Broken))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let waiting = this.waiting.get_or_insert_with(|| {
            let live = this.live.clone();
            let last = Rc::new(Cell::new(Instant::now()));
            let (clock, limit, since) = (this.clock.clone(), this.idle_timeout, Rc::clone(&last));
            Waiting {
                ended: Box::pin(async move { live.over().await }),
                idle: Box::pin(async move { clock.silence(limit, || since.get()).await }),
                last,
            }
        });
        if waiting.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Cut::KeyOver)));
        }
        if waiting.idle.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Cut::Idle)));
        }
        Poll::Pending
    }
}
