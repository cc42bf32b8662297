//! The bodies of answers, read no further than they may be long.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use rmcp::transport::streamable_http_client::SseError;
use sse_stream::{Sse, SseStream};

use super::fault::{Broken, HttpFault};
use crate::upstream::BodyFault;

/// How long a message may be that is the whole body of an answer.
pub(super) const MESSAGE_MAX: usize = 8 << 20;
/// How long a message may be that comes with an HTTP status of failure.
pub(super) const ERROR_MAX: usize = 64 << 10;
/// How long an event of a stream may be.
pub(super) const EVENT_MAX: usize = MESSAGE_MAX;

/// A whole body.
pub(super) async fn whole(
    mut body: impl Stream<Item = Result<Bytes, BodyFault>> + Unpin,
    max: usize,
) -> Result<Vec<u8>, HttpFault> {
    let mut read = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if read.len() + piece.len() > max {
            return Err(HttpFault::Protocol("its answer is too long"));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read)
}

/// A body of events. What breaks it is noted, since nobody is told otherwise.
pub(super) fn events<S>(body: S, broken: Arc<Broken>) -> BoxStream<'static, Result<Sse, SseError>>
where
    S: Stream<Item = Result<Bytes, BodyFault>> + Send + 'static,
{
    let mut event = Event::default();
    let bounded = body.map(move |piece| {
        let fault = match piece {
            Ok(piece) if event.holds(&piece) => return Ok(piece),
            Ok(_) => HttpFault::Protocol("an event of its answer is too long"),
            Err(fault) => fault.into(),
        };
        broken.note(fault);
        Err(Cut)
    });
    // Nothing follows a fault.
    let mut over = false;
    let bounded = bounded.take_while(move |piece| {
        let goes_on = !over;
        over |= piece.is_err();
        std::future::ready(goes_on)
    });
    SseStream::from_bytes_stream(bounded).boxed()
}

/// The stream is over; why is noted.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut")]
struct Cut;

/// How much of an event there is.
#[derive(Default)]
struct Event {
    length: usize,
    // Whether the line has anything in it yet; an empty line ends an event.
    line: bool,
}

impl Event {
    /// Whether what has come of the event is not too long.
    fn holds(&mut self, piece: &[u8]) -> bool {
        piece.iter().all(|byte| {
            self.length += 1;
            match byte {
                b'\n' if !self.line => self.length = 0,
                b'\n' => self.line = false,
                b'\r' => {}
                _ => self.line = true,
            }
            self.length <= EVENT_MAX
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_length_and_a_stream_has_none() {
        let mut event = Event::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; EVENT_MAX - 100], b"\r\n"].concat();
        for _ in 0..3 {
            assert!(event.holds(&line) && event.holds(b"\r\n"), "an event ends at an empty line");
        }
        assert!(event.holds(&line));
        assert!(!event.holds(&line), "two lines of one event count together");
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_bound_and_not_past_it() {
        let pieces = |count: usize| futures_util::stream::iter((0..count).map(|_| Ok(Bytes::from_static(b"12345678"))));
        assert_eq!(whole(pieces(2), 16).await.expect("short enough").len(), 16);
        assert!(matches!(whole(pieces(3), 16).await, Err(HttpFault::Protocol(_))));
    }
}
