//! Passwords in the user information of URLs: `postgres://user:password@host`.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::found::{Found, Rule};

const RULE: Rule = "url_password";
static SCHEME_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("://"));

/// Finds passwords.
pub fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    for at in SCHEME_END.find_iter(bytes) {
        let begin = at + 3;
        let ends =
            |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>') || byte.is_ascii_whitespace();
        let length = bytes[begin..].iter().position(ends).unwrap_or(bytes.len() - begin);
        let authority = &bytes[begin..begin + length];
        let Some(end) = authority.iter().rposition(|byte| *byte == b'@') else { continue };
        let Some(colon) = authority[..end].iter().position(|byte| *byte == b':') else { continue };
        // A placeholder, as documents have it, is none.
        if colon + 1 < end && !matches!(authority[colon + 1], b'$' | b'{' | b'[') {
            found.push(Found { range: begin + colon + 1..begin + end, rule: RULE });
        }
    }
}
