//! Headers that repeat what a modern message says (Streamable HTTP 2026-07-28, "Request Metadata"), so that whoever routes by
//! them does what the message's reader does. Those of legacy messages mean nothing, and nothing is decided by them.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::envelope::Envelope;
use super::{Era, Kind, Revision};

/// A header that may stand in a request once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// It is not there.
    Absent,
    /// Its value.
    Once(&'a [u8]),
    /// It is there more than once.
    Repeated,
}

impl<'a> Header<'a> {
    /// Of all its values.
    pub fn of(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::Once(trimmed(value)),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }

    /// Its value, if it is there once and in ASCII.
    fn text(self) -> Option<&'a str> {
        match self {
            // What is no text is no version that anybody knows.
            Self::Once(value) => Some(std::str::from_utf8(value).unwrap_or_default()),
            Self::Absent | Self::Repeated => None,
        }
    }
}

/// The headers.
#[derive(Debug, Clone, Copy)]
pub struct MirrorHeaders<'a> {
    /// `MCP-Protocol-Version`
    pub version: Header<'a>,
    /// `Mcp-Method`
    pub method: Header<'a>,
    /// `Mcp-Name`
    pub name: Header<'a>,
}

/// A header that does not say what the message says, or is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderMismatch {
    /// `MCP-Protocol-Version`
    #[error(
        "MCP-Protocol-Version must be sent once, with the same value as params._meta[\"io.modelcontextprotocol/protocolVersion\"]"
    )]
    Version,
    /// `Mcp-Method`
    #[error("Mcp-Method must be sent once, with the same value as the message's method")]
    Method,
    /// `Mcp-Name`
    #[error(
        "Mcp-Name must be sent once, with the same value as the message's params.name, params.uri or params.taskId, as \
         =?base64?…?= where that is not plain ASCII"
    )]
    Name,
}

impl MirrorHeaders<'_> {
    /// The era of a request without a message, as by GET and DELETE.
    ///
    /// # Errors
    /// [`HeaderMismatch::Version`] when several versions are named.
    pub fn era(&self) -> Result<Era, HeaderMismatch> {
        if self.version == Header::Repeated { Err(HeaderMismatch::Version) } else { Ok(Era::of(self.version.text())) }
    }

    /// The era of a message, whose headers say the same as it does if it is modern. It is modern when it or its header names
    /// a modern version.
    ///
    /// # Errors
    /// [`HeaderMismatch`]
    pub fn check(&self, message: &Envelope<'_>) -> Result<Era, HeaderMismatch> {
        let era = self.era()?;
        if message.kind == Kind::Batch {
            // Only legacy revisions have batches; a modern message does not hide in one.
            let modern = message.messages().iter().any(|part| Era::of(part.version.as_deref()).is_modern());
            return if modern { Err(HeaderMismatch::Version) } else { Ok(era) };
        }
        let own = message.version.as_deref();
        if !era.is_modern() && !Era::of(own).is_modern() {
            return Ok(era);
        }
        // A request that names no version at all lacks more than that, and the server says what.
        if own.is_some() && own != self.version.text() {
            return Err(HeaderMismatch::Version);
        }
        let handshake = own.is_none() && message.method.as_deref() == Some("initialize");
        // The specification asks nothing of notifications, and the handshake comes before a version is agreed on; what they
        // do say must hold.
        let required = message.kind == Kind::Request && !handshake;
        let method = message.method.as_deref();
        if !says(self.method, method, required && method.is_some(), false) {
            return Err(HeaderMismatch::Method);
        }
        let named = method.map_or(Named::Nothing, Named::by);
        let name = message.name.as_deref();
        if named != Named::Nothing && !says(self.name, name, required && named == Named::Always && name.is_some(), true)
        {
            return Err(HeaderMismatch::Name);
        }
        Ok(if handshake { Era::Legacy(Revision::of(self.version.text().unwrap_or_default())) } else { era })
    }
}

/// Whether `Mcp-Name` goes with a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Always,
    /// Clients send it, and the specification does not ask for it.
    Perhaps,
    Nothing,
}

impl Named {
    fn by(method: &str) -> Self {
        match method {
            "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/update" | "tasks/cancel" => {
                Self::Always
            }
            "resources/subscribe" | "resources/unsubscribe" => Self::Perhaps,
            _ => Self::Nothing,
        }
    }
}

fn says(header: Header<'_>, body: Option<&str>, required: bool, encoded: bool) -> bool {
    match header {
        Header::Absent => !required,
        Header::Repeated => false,
        Header::Once(value) => {
            let value = if encoded { decoded(value) } else { plain(value).map(Cow::Borrowed) };
            value.is_some_and(|value| body.is_some_and(|body| body.as_bytes() == &*value))
        }
    }
}

/// A value that may be encoded: what is not plain ASCII, or begins or ends with white space.
fn decoded(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value.strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?=")) {
        Some(encoded) => STANDARD.decode(encoded).ok().map(Cow::Owned),
        None => plain(value).map(Cow::Borrowed),
    }
}

fn plain(value: &[u8]) -> Option<&[u8]> {
    value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')).then_some(value)
}

/// A field's value without the white space around it (RFC 9110, section 5.6.3).
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// `Err` names the header; headers that are not there are empty.
    fn check(headers: [&str; 3], body: &Value) -> Result<Era, HeaderMismatch> {
        let text = body.to_string();
        let header =
            |value: &'static str| Header::of(std::iter::once(value.as_bytes()).filter(|value| !value.is_empty()));
        let [version, method, name] = headers.map(|value| header(value.to_owned().leak()));
        MirrorHeaders { version, method, name }.check(&Envelope::read(text.as_bytes()).expect("a message"))
    }

    fn modern(method: &str, params: Value) -> Value {
        let mut params = params;
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    }

    const V: &str = "2026-07-28";

    #[test]
    fn a_modern_messages_headers_say_what_it_says() {
        for (method, params, name) in [
            ("tools/call", json!({"name": "add"}), "add"),
            ("tools/call", json!({"name": "add"}), " \tadd \t"),
            ("tools/call", json!({"name": "add"}), "=?base64?YWRk?="),
            ("tools/call", json!({"name": "世界"}), "=?base64?5LiW55WM?="),
            ("tools/call", json!({"name": " padded "}), "=?base64?IHBhZGRlZCA=?="),
            ("tools/call", json!({"name": "=?base64?literal?="}), "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("tools/call", json!({"name": "=?BASE64?YWRk?="}), "=?BASE64?YWRk?="),
            ("prompts/get", json!({"name": "a b"}), "a b"),
            ("resources/read", json!({"uri": "file:///a"}), "file:///a"),
            ("tasks/get", json!({"taskId": "t"}), "t"),
            ("resources/subscribe", json!({"uri": "u"}), ""),
            ("resources/subscribe", json!({"uri": "u"}), "u"),
            ("tools/list", json!({"name": "x"}), ""),
            ("tools/list", json!({}), "whatever"),
            ("tools/call", json!({}), ""),
            ("server/discover", json!({}), ""),
        ] {
            assert_eq!(check([V, method, name], &modern(method, params)), Ok(Era::Modern), "{method} {name}");
        }
    }

    #[test]
    fn a_header_that_is_missing_or_says_something_else_is_a_mismatch() {
        use HeaderMismatch::{Method, Name, Version};
        for (headers, params, mismatch) in [
            (["", "tools/call", "add"], json!({"name": "add"}), Version),
            (["2025-11-25", "tools/call", "add"], json!({"name": "add"}), Version),
            (["2026-07-29", "tools/call", "add"], json!({"name": "add"}), Version),
            (["draft", "tools/call", "add"], json!({"name": "add"}), Version),
            ([V, "", "add"], json!({"name": "add"}), Method),
            ([V, "Tools/Call", "add"], json!({"name": "add"}), Method),
            ([V, "tools/list", "add"], json!({"name": "add"}), Method),
            ([V, "=?base64?dG9vbHMvY2FsbA==?=", "add"], json!({"name": "add"}), Method),
            ([V, "tools/call", ""], json!({"name": "add"}), Name),
            ([V, "tools/call", "Add"], json!({"name": "add"}), Name),
            ([V, "tools/call", "subtract"], json!({"name": "add"}), Name),
            ([V, "tools/call", "add"], json!({}), Name),
            ([V, "tools/call", "5"], json!({"name": 5}), Name),
            ([V, "tools/call", "世界"], json!({"name": "世界"}), Name),
            ([V, "tools/call", "=?base64?YWRk"], json!({"name": "add"}), Name),
            ([V, "tools/call", "=?base64?YWR?="], json!({"name": "add"}), Name),
            ([V, "tools/call", "=?base64?!!!?="], json!({"name": "add"}), Name),
            ([V, "tools/call", "=?base64?=?="], json!({"name": ""}), Name),
        ] {
            assert_eq!(check(headers, &modern("tools/call", params)), Err(mismatch), "{headers:?}");
        }
        for (method, params) in [
            ("prompts/get", json!({"name": "a"})),
            ("resources/read", json!({"uri": "a"})),
            ("tasks/get", json!({"taskId": "a"})),
            ("tasks/update", json!({"taskId": "a"})),
            ("tasks/cancel", json!({"taskId": "a"})),
        ] {
            assert_eq!(check([V, method, ""], &modern(method, params.clone())), Err(Name), "{method}");
            assert_eq!(check([V, method, "b"], &modern(method, params)), Err(Name), "{method}");
        }
        assert_eq!(
            check([V, "resources/subscribe", "x"], &modern("resources/subscribe", json!({"uri": "u"}))),
            Err(Name)
        );
    }

    #[test]
    fn a_header_that_is_repeated_is_a_mismatch_also_with_one_value() {
        let repeated = Header::of([b"2026-07-28".as_slice(), b"2026-07-28"].into_iter());
        let headers = MirrorHeaders { version: repeated, method: Header::Absent, name: Header::Absent };
        assert_eq!(headers.era(), Err(HeaderMismatch::Version));
        let body = modern("ping", json!({})).to_string();
        let message = Envelope::read(body.as_bytes()).expect("a message");
        let version = Header::Once(V.as_bytes());
        let headers = MirrorHeaders { version, method: Header::Repeated, name: Header::Absent };
        assert_eq!(headers.check(&message), Err(HeaderMismatch::Method));
    }

    #[test]
    fn a_modern_header_makes_a_message_modern_and_what_it_lacks_is_the_servers_to_say() {
        let body = json!({"id": 1, "method": "tools/call", "params": {"name": "add"}});
        assert_eq!(check([V, "tools/call", "add"], &body), Ok(Era::Modern));
        assert_eq!(check([V, "tools/call", "sub"], &body), Err(HeaderMismatch::Name));
        assert_eq!(check([V, "", "add"], &body), Err(HeaderMismatch::Method));
    }

    #[test]
    fn of_notifications_nothing_is_asked_and_what_they_say_must_hold() {
        let body = json!({"method": "notifications/cancelled", "params": {}});
        assert_eq!(check([V, "", ""], &body), Ok(Era::Modern));
        assert_eq!(check([V, "notifications/cancelled", ""], &body), Ok(Era::Modern));
        assert_eq!(check([V, "notifications/progress", ""], &body), Err(HeaderMismatch::Method));
        let call = json!({"method": "tools/call", "params": {"name": "add"}});
        assert_eq!(check([V, "tools/call", "sub"], &call), Err(HeaderMismatch::Name));
    }

    #[test]
    fn a_handshake_is_legacy_whatever_its_header_says() {
        let body = json!({"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
        assert_eq!(check([V, "", ""], &body), Ok(Era::Legacy(Revision::V2026_07_28)));
        assert_eq!(check([V, "tools/call", ""], &body), Err(HeaderMismatch::Method));
        assert_eq!(check(["", "", ""], &body), Ok(Era::Legacy(Revision::V2025_03_26)));
    }

    #[test]
    fn headers_of_legacy_messages_mean_nothing() {
        let body = json!({"id": 1, "method": "tools/call", "params": {"name": "add"}});
        for version in ["", "2025-11-25", "2024-11-05", "draft"] {
            assert!(
                check([version, "tools/list", "=?base64?!?="], &body).is_ok_and(|era| !era.is_modern()),
                "{version}"
            );
        }
    }

    #[test]
    fn a_modern_message_does_not_hide_in_a_batch() {
        let batch = json!([{"id": 1, "method": "ping"}, modern("tools/call", json!({"name": "add"}))]);
        assert_eq!(check(["", "", ""], &batch), Err(HeaderMismatch::Version));
        assert_eq!(check(["", "", ""], &json!([{"id": 1, "method": "ping"}])), Ok(Era::Legacy(Revision::V2025_03_26)));
    }
}
