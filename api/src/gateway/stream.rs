//! The body on its way back: passed on chunk by chunk, cut when the key is revoked, ended when the upstream is silent
//! for too long, and a stream of events ended between two of them when the server stops.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use domain::key::port::LiveKey;
use domain::tenant::Tenant;
use futures_util::Stream;
use infra::cache::suspended::SuspendedTenants;
use infra::cache::{CallPlace, LiveKeyHandle};
use infra::sessions::SessionUse;

use super::events::Events;
use super::idle::IdleClock;
use crate::stopping::Stopping;

/// Why a body ended before its time. The connection is closed without the end that HTTP asks for, so that nobody takes
/// a part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The key was revoked or expired, or its token rotated away.
    #[error("the key is over")]
    KeyOver,
    /// This node could not learn whether the key still works.
    #[error("nobody knows whether the key is over")]
    KeyDoubted,
    /// The tenant was suspended.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The upstream was silent for too long.
    #[error("the server was silent for too long")]
    Idle,
    /// The upstream's connection broke.
    #[error("the server's connection broke")]
    Broken,
}

impl Cut {
    /// Of a key with which nothing may go on.
    fn of_key(live: &LiveKeyHandle) -> Self {
        if live.is_doubted() { Self::KeyDoubted } else { Self::KeyOver }
    }
}

impl From<&Cut> for domain::call::Cut {
    fn from(cut: &Cut) -> Self {
        match cut {
            Cut::KeyOver => Self::KeyOver,
            Cut::KeyDoubted => Self::KeyDoubted,
            Cut::TenantSuspended => Self::TenantSuspended,
            Cut::Idle => Self::Idle,
            Cut::Broken => Self::Broken,
        }
    }
}

/// Whom a body is for, and what ends it before its time.
pub struct Speaker {
    /// The key.
    pub live: LiveKeyHandle,
    /// The tenant that the key speaks for.
    pub tenant: Tenant,
    /// Tenants that were suspended meanwhile.
    pub suspended: Arc<SuspendedTenants>,
    /// Its place among the calls that the key has under way.
    #[expect(dead_code, reason = "held for as long as the body is")]
    pub place: CallPlace,
    /// The session that the body belongs to, in use while it lasts.
    #[expect(dead_code, reason = "it is held, and what counts is when it is let go")]
    pub session: Option<SessionUse>,
}

/// A stream of events, which can be ended between two of them.
pub struct Ending {
    /// Whether the server stops.
    pub stopping: Arc<Stopping>,
    /// Whether the client only listens, and waits for no answer.
    pub listens: bool,
    /// How far it has come.
    pub events: Events,
}

impl Ending {
    fn is_due(&self) -> bool {
        self.stopping.ends(self.listens)
    }
}

/// An upstream's body.
pub struct Relayed<S> {
    inner: S,
    size: BodySize,
    speaker: Speaker,
    // Of a stream of events alone.
    ending: Option<Ending>,
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
        speaker: Speaker,
        ending: Option<Ending>,
        idle_timeout: Duration,
        clock: IdleClock,
    ) -> Self {
        let size = match length {
            Some(length) => BodySize::Sized(length),
            None => BodySize::Stream,
        };
        Self { inner, size, speaker, ending, idle_timeout, clock, waiting: None }
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
        if this.speaker.live.has_ended() {
            return Poll::Ready(Some(Err(Cut::of_key(&this.speaker.live))));
        }
        // A stream that is silent comes here as well, once a second, when its clock ticks.
        if this.speaker.suspended.covers(&this.speaker.tenant) {
            return Poll::Ready(Some(Err(Cut::TenantSuspended)));
        }
        let ends = this.ending.as_ref().is_some_and(Ending::is_due);
        if ends && this.ending.as_ref().is_some_and(|ending| ending.events.between()) {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(mut chunk))) => {
                match &mut this.ending {
                    Some(ending) if ends => chunk.truncate(ending.events.finish(&chunk)),
                    Some(ending) => ending.events.pass(&chunk),
                    None => {}
                }
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
            let live = this.speaker.live.clone();
            let last = Rc::new(Cell::new(Instant::now()));
            let (clock, limit, since) = (this.clock.clone(), this.idle_timeout, Rc::clone(&last));
            Waiting {
                ended: Box::pin(async move { live.over().await }),
                idle: Box::pin(async move { clock.silence(limit, || since.get()).await }),
                last,
            }
        });
        if waiting.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Cut::of_key(&this.speaker.live))));
        }
        if waiting.idle.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Cut::Idle)));
        }
        Poll::Pending
    }
}
