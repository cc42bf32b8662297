//! actix speaks version 0.2 of the `http` crate, hyper version 1: the one place where their types meet.
//!
//! It translates and decides nothing; which headers cross is said in `headers`.

use actix_web::http as theirs;
use http as ours;

/// A header's name for upstream.
#[must_use]
pub fn name_up(name: &theirs::header::HeaderName) -> Option<ours::HeaderName> {
    ours::HeaderName::from_bytes(name.as_str().as_bytes()).ok()
}

/// A header's value for upstream.
#[must_use]
pub fn value_up(value: &theirs::header::HeaderValue) -> Option<ours::HeaderValue> {
    ours::HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// A header's name for the caller.
#[must_use]
pub fn name_down(name: &ours::HeaderName) -> Option<theirs::header::HeaderName> {
    theirs::header::HeaderName::from_bytes(name.as_str().as_bytes()).ok()
}

/// A header's value for the caller.
#[must_use]
pub fn value_down(value: &ours::HeaderValue) -> Option<theirs::header::HeaderValue> {
    theirs::header::HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// A method for upstream.
#[must_use]
pub fn method_up(method: &theirs::Method) -> Option<ours::Method> {
    ours::Method::from_bytes(method.as_str().as_bytes()).ok()
}

/// A status for the caller.
#[must_use]
pub fn status_down(status: ours::StatusCode) -> Option<theirs::StatusCode> {
    theirs::StatusCode::from_u16(status.as_u16()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crosses_is_the_same_on_both_sides() {
        for text in ["content-type", "mcp-param-region", "x"] {
            let there = theirs::header::HeaderName::from_static(text);
            let here = name_up(&there).expect("a name");
            assert_eq!((here.as_str(), name_down(&here)), (text, Some(there)));
        }
        // Bytes that are not text are a header's all the same (RFC 9110, section 5.5).
        for bytes in [&b"text/event-stream; charset=utf-8"[..], b"\xE9t\xE9", b""] {
            let there = theirs::header::HeaderValue::from_bytes(bytes).expect("a value");
            let here = value_up(&there).expect("a value");
            assert_eq!((here.as_bytes(), value_down(&here)), (bytes, Some(there)));
        }
        for code in [100, 200, 404, 599, 999] {
            let here = ours::StatusCode::from_u16(code).expect("a status");
            assert_eq!(status_down(here).map(|status| status.as_u16()), Some(code));
        }
        for method in ["GET", "POST", "DELETE", "PROPFIND"] {
            let there = theirs::Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(method_up(&there).expect("a method").as_str(), method);
        }
    }
}
