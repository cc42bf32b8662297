//! What an answer itself says of a failure. Servers answer 200 to a tool that failed, so that the status alone does not
//! tell.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

/// Longest text that is looked at, in bytes.
const LENGTH_MAX: usize = 16 * 1024;

// What a failure must have. Quotes within a text are escaped, so that these are names, or texts, wherever they stand.
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
static IS_ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"isError\""));

/// A failure that an answer tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// A JSON-RPC error, with its number.
    Rpc(i64),
    /// The result of a tool that failed (`isError`).
    Tool,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<RpcError>,
    result: Option<ToolResult>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult {
    is_error: Option<bool>,
}

impl AnswerFault {
    /// What a JSON answer tells, given whole. Most tell of nothing, which costs two searches for a word and no reading.
    #[must_use]
    pub fn in_json(answer: &[u8]) -> Option<Self> {
        if answer.len() > LENGTH_MAX || !may_tell(answer) {
            return None;
        }
        let answer: Answer = serde_json::from_slice(answer).ok()?;
        match (answer.error, answer.result) {
            (Some(error), _) => Some(Self::Rpc(error.code)),
            (None, Some(ToolResult { is_error: Some(true) })) => Some(Self::Tool),
            (None, _) => None,
        }
    }

    /// What the last of some server-sent events tells that tells of a failure. An event that is not whole tells nothing.
    #[must_use]
    pub fn in_events(events: &[u8]) -> Option<Self> {
        if events.len() > LENGTH_MAX || !may_tell(events) {
            return None;
        }
        let lines = events.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.rev().filter_map(|line| line.strip_prefix(b"data:")).find_map(Self::in_json)
    }
}

fn may_tell(text: &[u8]) -> bool {
    ERROR.find(text).is_some() || IS_ERROR.find_iter(text).any(|place| is_true(&text[place + "\"isError\"".len()..]))
}

/// Whether the value after a name is `true`.
fn is_true(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<AnswerFault> {
        AnswerFault::in_json(text.as_bytes())
    }

    #[test]
    fn an_error_and_a_tool_that_failed_are_told() {
        let rpc = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#;
        assert_eq!(json(rpc), Some(AnswerFault::Rpc(-32602)));
        for tool in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#,
            "{\"result\": {\"isError\" : \n true, \"content\": [{\"type\": \"text\", \"text\": \"x\"}]}}",
        ] {
            assert_eq!(json(tool), Some(AnswerFault::Tool), "{tool}");
        }
    }

    #[test]
    fn what_only_speaks_of_errors_is_none() {
        for answer in [
            r#"{"result":{"content":[],"isError":false}}"#,
            r#"{"result":{"structuredContent":{"error":"x","isError":true}}}"#,
            r#"{"result":{"content":[{"type":"text","text":"{\"error\":{\"code\":1},\"isError\":true}"}]}}"#,
            r#"{"result":{"structuredContent":{"isError":true},"isError":false}}"#,
            r#"{"error":null,"result":{}}"#,
            r#"{"error":"text"}"#,
            r#"{"error":{"code":1}"#,
            "",
        ] {
            assert_eq!(json(answer), None, "{answer}");
        }
        let long = format!(r#"{{"error":{{"code":1,"message":"{}"}}}}"#, "x".repeat(LENGTH_MAX));
        assert_eq!(json(&long), None, "it is not looked at");
    }

    #[test]
    fn the_last_event_that_tells_of_a_failure_counts() {
        let events = |text: &str| AnswerFault::in_events(text.as_bytes());
        assert_eq!(events("event: message\r\ndata: {\"error\":{\"code\":5}}\r\n\r\n"), Some(AnswerFault::Rpc(5)));
        assert_eq!(
            events(
                "data:{\"error\":{\"code\":5}}\n\nid: 1\ndata: {\"result\":{\"isError\":true}}\n\n: {\"error\":{\"code\":6}}\n"
            ),
            Some(AnswerFault::Tool)
        );
        assert_eq!(
            events("data: {\"method\":\"notifications/message\",\"params\":{\"error\":{\"code\":5}}}\n\n"),
            None
        );
        assert_eq!(events("data: {\"error\":{\"code\":5}"), None);
    }
}
