//! JSON Pointers (RFC 6901): where in a result something stands.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Longest pointer, in bytes.
pub const POINTER_MAX: usize = 512;

/// A JSON Pointer. The empty one is the whole value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pointer(String);

/// The text is no JSON Pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPointer {
    /// It neither is empty nor begins with a slash.
    #[error("a JSON Pointer is empty or begins with `/`, for example /structuredContent/total")]
    Start,
    /// A tilde that stands for nothing.
    #[error("in a JSON Pointer `~` is written `~0`, and `/` within a name `~1`")]
    Escape,
    /// Longer than [`POINTER_MAX`].
    #[error("a pointer has at most {POINTER_MAX} bytes")]
    TooLong,
}

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, InvalidPointer> {
        if text.len() > POINTER_MAX {
            return Err(InvalidPointer::TooLong);
        }
        if !text.is_empty() && !text.starts_with('/') {
            return Err(InvalidPointer::Start);
        }
        let mut escapes = text.split('~').skip(1);
        if escapes.any(|rest| !rest.starts_with(['0', '1'])) {
            return Err(InvalidPointer::Escape);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Pointer {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands there; none when nothing does.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        value.pointer(&self.0)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_finds_what_rfc_6901_says() {
        // Section 5 of the RFC.
        let document = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, " ": 7});
        for (text, value) in [
            ("", document.clone()),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/m~0n", json!(8)),
            ("/ ", json!(7)),
        ] {
            let pointer: Pointer = text.parse().expect("a pointer");
            assert_eq!(pointer.find(&document), Some(&value), "{text}");
        }
        let nowhere: Pointer = "/foo/2".parse().expect("a pointer");
        assert_eq!(nowhere.find(&document), None);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for (text, why) in [
            ("foo", InvalidPointer::Start),
            ("#/foo", InvalidPointer::Start),
            ("/a~", InvalidPointer::Escape),
            ("/a~2", InvalidPointer::Escape),
            ("/~~0", InvalidPointer::Escape),
        ] {
            assert_eq!(text.parse::<Pointer>(), Err(why), "{text}");
        }
        assert_eq!(format!("/{}", "x".repeat(POINTER_MAX)).parse::<Pointer>(), Err(InvalidPointer::TooLong));
    }
}
