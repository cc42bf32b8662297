//! Which headers cross the gateway. The one place that says so, in both directions.

use actix_web::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use http::HeaderMap as UpstreamHeaders;

use super::bridge;

/// The session id of legacy protocol versions.
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The protocol version, in all versions but the first.
pub const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The message's method, in modern versions.
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// What the method is called on, in modern versions.
pub const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Hop-by-hop (RFC 9110, section 7.6.1): true of one connection only. By text, here and below: an array of names would be
/// built and dropped again for every header of every call.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The caller's own, or what would tell the server about our side of the connection.
fn is_callers_own(name: &str) -> bool {
    matches!(
        name,
        "accept-charset"
            | "authorization"
            | "content-length"
            | "cookie"
            | "expect"
            | "forwarded"
            | "host"
            | "mcp-session-id"
            | "origin"
            | "proxy-authorization"
            | "referer"
            | "x-api-key"
    ) || ["x-forwarded-", "x-original-", "x-real-", "x-keyrack-", "sec-", "cf-"].iter().any(|own| name.starts_with(own))
}

/// What the server says to its own peer, or to somebody who asked it directly. Length and session id are the forwarder's to
/// write.
fn is_servers_own(name: &str) -> bool {
    matches!(name, "content-length" | "location" | "mcp-session-id" | "set-cookie" | "www-authenticate")
        // Which pages may read an answer is this installation's to say, not the server's.
        || name.starts_with("access-control-")
        // Ours have these names, and mean another limit.
        || name.starts_with("ratelimit")
}

fn named_by_connection<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<HeaderName> {
    lines
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

/// Whether a body is what the guard takes it for: UTF-8 and not encoded. Else a server could read another one.
pub fn says_utf8(headers: &HeaderMap) -> bool {
    let plain = headers.get_all(CONTENT_ENCODING).all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    let charsets = headers.get_all(CONTENT_TYPE).filter_map(|value| value.to_str().ok()).flat_map(|value| {
        value.split(';').skip(1).filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
        })
    });
    plain && charsets.into_iter().all(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

/// Copies what goes upstream.
pub fn copy_request(from: &HeaderMap, to: &mut UpstreamHeaders) {
    let dropped = named_by_connection(from.get_all(CONNECTION).map(HeaderValue::as_bytes));
    for (name, value) in from {
        let text = name.as_str();
        if !is_hop_by_hop(text)
            && !is_callers_own(text)
            && !dropped.contains(name)
            && let Some((name, value)) = bridge::name_up(name).zip(bridge::value_up(value))
        {
            to.append(name, value);
        }
    }
}

/// Copies what goes back.
pub fn copy_response(from: &UpstreamHeaders, to: &mut HeaderMap) {
    let dropped = named_by_connection(from.get_all(http::header::CONNECTION).iter().map(http::HeaderValue::as_bytes));
    for (name, value) in from {
        let text = name.as_str();
        // Before anything is translated: most of what a server sends is its own.
        if is_hop_by_hop(text) || is_servers_own(text) || dropped.iter().any(|dropped| dropped == text) {
            continue;
        }
        if let Some((name, value)) = bridge::name_down(name).zip(bridge::value_down(value)) {
            to.append(name, value);
        }
    }
    if is_event_stream(to) {
        // A proxy in front must not hold events back.
        if !to.contains_key(X_ACCEL_BUFFERING) {
            to.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        }
        if !to.contains_key(CACHE_CONTROL) {
            to.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
    }
}

/// Whether the body is a stream of events.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(headers: &[(&str, &str)]) -> UpstreamHeaders {
        let mut map = UpstreamHeaders::new();
        for (name, value) in headers {
            map.append(
                name.parse::<http::HeaderName>().expect("a name"),
                http::HeaderValue::from_str(value).expect("a value"),
            );
        }
        map
    }

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse().expect("a name"), HeaderValue::from_str(value).expect("a value"));
        }
        map
    }

    #[test]
    fn nothing_of_the_callers_own_goes_upstream() {
        let from = map(&[
            ("authorization", "Bearer t"),
            ("x-api-key", "t"),
            ("cookie", "c"),
            ("host", "h"),
            ("origin", "o"),
            ("proxy-authorization", "p"),
            ("forwarded", "f"),
            ("x-forwarded-for", "1"),
            ("x-forwarded-host", "h"),
            ("x-original-url", "/"),
            ("x-keyrack-assertion", "forged"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("content-length", "3"),
            ("sec-fetch-site", "none"),
            ("referer", "r"),
            ("mcp-session-id", "s"),
        ]);
        let mut to = UpstreamHeaders::new();
        copy_request(&from, &mut to);
        assert_eq!(to.len(), 0, "{to:?}");
    }

    #[test]
    fn what_the_protocol_needs_goes_upstream() {
        let names = [
            "content-type",
            "accept",
            "accept-encoding",
            "mcp-protocol-version",
            "last-event-id",
            "mcp-method",
            "mcp-name",
            "mcp-param-region",
            "traceparent",
            "tracestate",
            "baggage",
            "user-agent",
        ];
        let from = map(&names.map(|name| (name, "v")));
        let mut to = UpstreamHeaders::new();
        copy_request(&from, &mut to);
        for name in names {
            assert_eq!(to.get(name).map(http::HeaderValue::as_bytes), Some(b"v".as_slice()), "{name}");
        }
    }

    #[test]
    fn what_would_mislead_the_caller_does_not_come_back() {
        let from = upstream(&[
            ("set-cookie", "c"),
            ("www-authenticate", "Bearer resource_metadata=x"),
            ("location", "/"),
            ("content-type", "text/event-stream"),
            ("retry-after", "3"),
            ("access-control-allow-origin", "*"),
            ("ratelimit-remaining", "7"),
            ("ratelimit-policy", "10;w=1"),
        ]);
        let mut to = HeaderMap::new();
        copy_response(&from, &mut to);
        let mut names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "content-type", "retry-after", "x-accel-buffering"]);
    }
}
