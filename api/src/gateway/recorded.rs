//! The body of an answer on its way to the caller, as far as the call's record goes: how much of it, and how it ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use bytes::Bytes;
use domain::call::{AnswerFault, Cut, Outcome};

use super::recorder::CallUnderWay;
use super::stream;

/// A body whose end is recorded. Dropped before, its caller has left.
pub struct Recorded<B> {
    body: B,
    call: CallUnderWay,
    // None where the length is not known.
    left: Option<u64>,
    look: Look,
}

/// How a failure would be told in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// By JSON, when the first chunk is all of it.
    Json,
    /// By one of the events.
    Events,
    /// Not, or not so that it could be seen.
    Nowhere,
}

impl Look {
    fn at(headers: &HeaderMap) -> Self {
        let media = headers.get(CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
        let is = |name: &str| {
            let (start, rest) = media.split_at(media.len().min(name.len()));
            start.eq_ignore_ascii_case(name.as_bytes()) && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
        };
        if headers.contains_key(CONTENT_ENCODING) {
            Self::Nowhere
        } else if is("application/json") {
            Self::Json
        } else if is("text/event-stream") {
            Self::Events
        } else {
            Self::Nowhere
        }
    }
}

/// The answer, with its body recorded.
pub(super) fn recorded<B>(response: HttpResponse<B>, mut call: CallUnderWay) -> HttpResponse
where
    B: MessageBody<Error = stream::Cut> + Unpin + 'static,
{
    call.answered(response.status());
    let look = Look::at(response.headers());
    response.map_body(|_, body| BoxBody::new(Recorded::new(body, call, look)))
}

impl<B: MessageBody> Recorded<B> {
    fn new(body: B, mut call: CallUnderWay, look: Look) -> Self {
        let left = match body.size() {
            BodySize::None => Some(0),
            BodySize::Sized(length) => Some(length),
            BodySize::Stream => None,
        };
        // Nobody asks a body of no length for its end.
        if left == Some(0) {
            call.ended(Outcome::Answered);
        }
        Self { body, call, left, look }
    }

    fn passed(&mut self, chunk: &[u8]) {
        let fault = match self.look {
            Look::Json => AnswerFault::in_json(chunk),
            Look::Events => AnswerFault::in_events(chunk),
            Look::Nowhere => None,
        };
        if self.look == Look::Json {
            self.look = Look::Nowhere;
        }
        self.call.passed(chunk.len(), fault);
        self.left = self.left.map(|left| left.saturating_sub(chunk.len() as u64));
        // Before the caller can have it, so that whoever has an answer finds its record.
        if self.left == Some(0) {
            self.call.ended(Outcome::Answered);
        }
    }
}

impl<B> MessageBody for Recorded<B>
where
    B: MessageBody<Error = stream::Cut> + Unpin,
{
    type Error = stream::Cut;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.body).poll_next(cx));
        match &next {
            Some(Ok(chunk)) => this.passed(chunk),
            Some(Err(cut)) => this.call.ended(Outcome::Cut(cut.into())),
            // Between two events, by us.
            None if this.look == Look::Events && this.call.stops() => this.call.ended(Outcome::Cut(Cut::Shutdown)),
            None => this.call.ended(Outcome::Answered),
        }
        Poll::Ready(next)
    }
}
