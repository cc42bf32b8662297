//! Values that are given to names of secrets within a text: `PASSWORD=…`, `?token=…`, `"secret": "…"` and header lines.
//!
//! Prose and code speak of passwords all the time, so a value without quotes must follow its name closely, or look like
//! no word.

use memchr::{memchr, memchr2};

use super::found::{Found, Rule};
use super::is_stored_secret;
use crate::guard::names::{Verdict, judge};

const RULE: Rule = "assignment";
/// Longest name that is looked at, and how far a value is looked at to tell it from code, in bytes.
const NAME: usize = 128;
/// Most spaces, and most backslashes before a quote.
const FILL: usize = 8;
/// Fewest characters of a value that stands apart from its name and is not quoted.
const APART: usize = 8;
/// Headers whose whole line is secret.
const HEADERS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"];
/// Values that are no secrets.
const WORDS: [&[u8]; 8] = [b"true", b"false", b"null", b"None", b"nil", b"undefined", b"required", b"optional"];

/// Finds values; names and quotes stay.
pub fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(next) = memchr2(b'=', b':', &bytes[at..]) {
        let sign = at + next;
        at = sign + 1;
        let Some((name, quoted)) = name_before(text, sign) else { continue };
        if judge(name) == Verdict::Harmless && !is_stored_secret(name) {
            continue;
        }
        let is_line = bytes[sign] == b':' && !quoted && HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header));
        if let Some((begin, end)) = if is_line { line(bytes, at) } else { value(bytes, sign, name) } {
            found.push(Found { range: begin..end, rule: RULE });
            at = end;
        }
    }
}

/// The name before a sign, and whether it is in quotes.
fn name_before(text: &str, sign: usize) -> Option<(&str, bool)> {
    let before = text.as_bytes().get(sign.saturating_sub(NAME)..sign)?;
    let end = before.len() - before.iter().rev().take(FILL).take_while(|byte| **byte == b' ').count();
    let is_quote = |byte: &&u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\');
    let quotes = before[..end].iter().rev().take(FILL).take_while(is_quote).count();
    let end = end - quotes;
    let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = before[..end].iter().rev().take_while(is_of_name).count();
    let offset = sign - before.len();
    (length > 0).then(|| (&text[offset + end - length..offset + end], quotes > 0))
}

/// The rest of a header's line, or of the quotes that it stands in.
fn line(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let begin = from + spaces(&text[from..]);
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n' | b'"' | b'\'' | b'`');
    let end = text[begin..].iter().position(ends).map_or(text.len(), |length| begin + length);
    (begin < end).then_some((begin, end))
}

fn spaces(text: &[u8]) -> usize {
    text.iter().take(FILL).take_while(|byte| **byte == b' ').count()
}

fn value(text: &[u8], sign: usize, name: &str) -> Option<(usize, usize)> {
    // `=>`, and not `==`.
    let from = sign + 1 + usize::from(text.get(sign + 1) == Some(&b'>'));
    let filled = spaces(&text[from..]);
    let begin = from + filled;
    let backslashes = text[begin..].iter().take(FILL).take_while(|byte| **byte == b'\\').count();
    if let Some(quote @ (b'"' | b'\'' | b'`')) = text.get(begin + backslashes) {
        let begin = begin + backslashes + 1;
        let closing = memchr(*quote, &text[begin..]).map_or(text.len(), |length| begin + length);
        let end =
            closing - text[begin..closing].iter().rev().take(backslashes).take_while(|byte| **byte == b'\\').count();
        return (begin < end).then_some((begin, end));
    }
    let ends = |byte: &u8| {
        byte.is_ascii_whitespace()
            || matches!(byte, b'&' | b';' | b',' | b'"' | b'\'' | b'`' | b'<' | b'>' | b')' | b'}' | b'|')
    };
    // Only its beginning is looked at as long as it may be passed over.
    let look = &text[begin..text.len().min(begin + NAME)];
    let look = &look[..look.iter().position(ends).unwrap_or(look.len())];
    let is_code = look.first().is_none_or(|byte| matches!(byte, b'$' | b'(' | b'{' | b'[' | b'=' | b'*' | b'\\'))
        || look.iter().any(|byte| matches!(byte, b'(' | b'['))
        || look.eq_ignore_ascii_case(name.as_bytes())
        || WORDS.contains(&look);
    let is_close = text[sign] == b'=' && filled == 0 && text[sign - 1] != b' ';
    let is_no_word =
        look.len() >= APART && look.iter().any(u8::is_ascii_digit) && look.iter().any(u8::is_ascii_alphabetic);
    if is_code || !(is_close || is_no_word) {
        return None;
    }
    let end = text[begin..].iter().position(ends).map_or(text.len(), |length| begin + length);
    Some((begin, end))
}
