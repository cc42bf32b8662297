//! Lists of tools that are text already. Two thousand tools are megabytes of JSON: written once when they are fetched, and
//! put into rmcp's answer where it left an empty list, so that everything else of the answer is the protocol's.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use infra::mcp_client::Tool;

/// What rmcp writes for a list without tools. A caller's own text in the answer, the request's id, has no bare quotes.
const EMPTY: &[u8] = br#""tools":[]"#;

/// A tool as lists have it; none for one that cannot be written.
#[must_use]
pub fn written(tool: &Tool) -> Option<Vec<u8>> {
    serde_json::to_vec(tool).ok()
}

/// Puts tools, each piece one or more of them with commas between them, into an answer that has none.
///
/// # Errors
/// The answer, when it has no place for them.
pub fn put_into(answer: Bytes, tools: &[Bytes]) -> Result<Pieces, Bytes> {
    let Some(at) = answer.windows(EMPTY.len()).position(|part| part == EMPTY) else { return Err(answer) };
    // Between the brackets.
    let at = at + EMPTY.len() - 1;
    let mut pieces = VecDeque::with_capacity(2 * tools.len() + 2);
    pieces.push_back(answer.slice(..at));
    for tools in tools.iter().filter(|tools| !tools.is_empty()) {
        if pieces.len() > 1 {
            pieces.push_back(Bytes::from_static(b","));
        }
        pieces.push_back(tools.clone());
    }
    pieces.push_back(answer.slice(at..));
    Ok(Pieces(pieces))
}

/// A body that is there already.
#[derive(Debug)]
pub struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: Pieces) -> String {
        let length: u64 = pieces.0.iter().map(|piece| piece.len() as u64).sum();
        assert_eq!(pieces.size_hint().exact(), Some(length));
        String::from_utf8(pieces.0.into_iter().flatten().collect()).expect("UTF-8")
    }

    fn tools(tools: &[&'static str]) -> Vec<Bytes> {
        tools.iter().map(|tools| Bytes::from_static(tools.as_bytes())).collect()
    }

    #[test]
    fn tools_stand_where_the_list_was_empty_with_commas_between_them() {
        let answer = Bytes::from_static(br#"{"id":"\"tools\":[]","result":{"tools":[],"a":1}}"#);
        let put = |pieces: &[&'static str]| text(put_into(answer.clone(), &tools(pieces)).expect("a place"));
        assert_eq!(put(&["1,2", "", "3"]), r#"{"id":"\"tools\":[]","result":{"tools":[1,2,3],"a":1}}"#);
        assert_eq!(put(&["", "3"]), r#"{"id":"\"tools\":[]","result":{"tools":[3],"a":1}}"#);
        assert_eq!(put(&[]).as_bytes(), &answer[..]);
    }

    #[test]
    fn an_answer_without_a_list_is_given_back() {
        let answer = Bytes::from_static(br#"{"id":1,"error":{"code":-32603,"message":"no"}}"#);
        assert_eq!(put_into(answer.clone(), &tools(&["1"])).map(text), Err(answer));
    }
}
