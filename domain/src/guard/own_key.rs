//! Finding one of our own keys in a text: as it is, glued to other letters, or behind escapes.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::key::TokenKeys;
use crate::key::token::{KEY_ID_LENGTH, PREFIX_MAX, PREFIX_MIN, PresentedToken, SECRET_LENGTH, TAIL_LENGTH};

/// How long a token is at least.
pub const LEAST_OWN_KEY: usize = PREFIX_MIN + TAIL_LENGTH;
/// How often escapes are taken off: `%255F` is an underscore to whoever decodes twice.
const LAYERS: usize = 4;

/// Whether one of our tokens is in a text: alone, between other letters, in a URL, in JSON within a string, and with
/// some of its characters percent-encoded or written as `\u006b` or `\x6b`. One pass, and at most fifteen keyed hashes
/// for each look-alike, since letters before it may be part of its prefix or not.
#[must_use]
pub fn holds_token(text: &str, keys: &TokenKeys) -> bool {
    if text.len() < LEAST_OWN_KEY {
        return false;
    }
    if plainly(text, keys) {
        return true;
    }
    if !has_room(text.as_bytes()) {
        return false;
    }
    let mut decoded = Cow::Borrowed(text);
    for _ in 0..LAYERS {
        match unescaped(&decoded) {
            Some(next) => decoded = next.into(),
            None => return false,
        }
        if plainly(&decoded, keys) {
            return true;
        }
    }
    false
}

/// Whether what [`holds_token`] looks at shows a look-alike behind escapes, in any of the texts within a JSON text: JSON's
/// own escapes are one layer more. It says so of more texts than hold a key, and of all that do.
pub fn may_show_one(json: &str) -> bool {
    if !has_room(json.as_bytes()) {
        return false;
    }
    let mut decoded = Cow::Borrowed(json);
    for _ in 0..=LAYERS {
        match unescaped(&decoded) {
            Some(next) => decoded = next.into(),
            None => return false,
        }
        if look_alikes(&decoded).next().is_some() {
            return true;
        }
    }
    false
}

fn plainly(text: &str, keys: &TokenKeys) -> bool {
    look_alikes(text).any(|found| {
        // All ASCII, and so on the borders of characters.
        let token = &text[found.clone()];
        let longest_prefix = found.len() - TAIL_LENGTH;
        (0..=longest_prefix - PREFIX_MIN).any(|skipped| PresentedToken::parse(&token[skipped..], keys).is_ok())
    })
}

/// What has the form of a token of ours, each with the longest prefix that it may have: what stands before the first
/// underscore of the form, up to sixteen lower-case letters and digits.
pub fn look_alikes(text: &str) -> impl Iterator<Item = Range<usize>> {
    // Nothing else of a token is as rare as its underscores.
    let from = memchr(b'_', text.as_bytes()).unwrap_or(text.len());
    Secrets { text: text.as_bytes(), from }.filter_map(move |secret| form(text.as_bytes(), secret))
}

/// The form around a run of letters that is long enough to begin with a secret.
fn form(text: &[u8], secret: usize) -> Option<Range<usize>> {
    let tail = secret.checked_sub(KEY_ID_LENGTH + 2)?;
    let id = &text[tail + 1..secret - 1];
    if text[secret - 1] != b'_' || text[tail] != b'_' || !id.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let before = &text[..tail];
    let is_of_prefix = |byte: &&u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let prefix = before.iter().rev().take(PREFIX_MAX).take_while(is_of_prefix).count();
    (prefix >= PREFIX_MIN).then(|| tail - prefix..secret + SECRET_LENGTH)
}

/// Where runs of letters and digits begin that are at least as long as a secret. It looks from a run's possible end
/// backwards, so that of common text it sees one byte in ten.
struct Secrets<'a> {
    text: &'a [u8],
    from: usize,
}

impl Iterator for Secrets<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let end = self.from + SECRET_LENGTH;
            let window = self.text.get(self.from..end)?;
            if let Some(other) = window.iter().rposition(|byte| !byte.is_ascii_alphanumeric()) {
                self.from += other + 1;
                continue;
            }
            let begin = self.from;
            let rest = self.text[end..].iter();
            self.from = end + rest.take_while(|byte| byte.is_ascii_alphanumeric()).count();
            return Some(begin);
        }
    }
}

/// The text with one layer of escapes taken off, of those that can stand in a token; none when there is none.
pub fn unescaped(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr2(b'%', b'\\', &bytes[at..]) {
        at += found;
        let Some((byte, length)) = escape(&bytes[at..]) else {
            at += 1;
            continue;
        };
        if out.is_empty() {
            out.reserve(text.len());
        }
        out.push_str(&text[copied..at]);
        out.push(char::from(byte));
        at += length;
        copied = at;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// Whether a key could stand behind escapes: one run of what keys and escapes are made of, long enough for a key. An escape
/// that stands for something else ends a run, since no reader makes a part of a key of it: `%`, its first byte, is in none.
fn has_room(text: &[u8]) -> bool {
    let (mut at, mut run) = (0, 0);
    while let Some(byte) = text.get(at) {
        let length = match byte {
            b'%' | b'\\' => match any_escape(&text[at..]) {
                Some((byte, length)) if !is_part(byte) => {
                    (at, run) = (at + length, 0);
                    continue;
                }
                Some((_, length)) => length,
                None => 1,
            },
            byte if is_part(*byte) => 1,
            _ => {
                (at, run) = (at + 1, 0);
                continue;
            }
        };
        (at, run) = (at + length, run + length);
        if run >= PREFIX_MIN + TAIL_LENGTH {
            return true;
        }
    }
    false
}

/// Whether a byte can be a part of a key, or of an escape.
const fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'%' | b'\\')
}

/// The byte that an escape at the beginning stands for, if it can stand in a key or in another escape, and the escape's
/// length.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    any_escape(text).filter(|(byte, _)| is_part(*byte))
}

/// The byte that an escape at the beginning stands for, and the escape's length.
fn any_escape(text: &[u8]) -> Option<(u8, usize)> {
    let (high, low, length) = match text {
        [b'%', high, low, ..] => (high, low, 3),
        [b'\\', b'x', high, low, ..] => (high, low, 4),
        [b'\\', b'u', b'0', b'0', high, low, ..] => (high, low, 6),
        // A backslash before a backslash hides the escape from the first reader, and not from the second.
        [b'\\', b'\\', ..] => return Some((b'\\', 2)),
        _ => return None,
    };
    Some(((digit(*high)? << 4) | digit(*low)?, length))
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::IssuedToken;
    use crate::key::token::exposed;
    use crate::root::RootSecret;

    fn keys() -> TokenKeys {
        TokenKeys::derive(&RootSecret::new([9; 32]).expect("long enough"))
    }

    fn token(prefix: &str) -> String {
        let issued = IssuedToken::issue(&prefix.parse().expect("a prefix"), &keys()).expect("randomness");
        exposed(&issued.reveal()).to_owned()
    }

    fn percent(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_key_is_found_wherever_it_stands_and_whatever_it_is_glued_to() {
        for prefix in ["kr", "a2", "a234567890123456"] {
            let token = token(prefix);
            for text in [
                token.clone(),
                format!("x{token}"),
                format!("X{token}"),
                format!("9{token}9"),
                format!("_{token}_"),
                format!("key_{token}"),
                format!("{token}{token}"),
                format!("ключ{token}ключ"),
                format!("https://h/{token}?x=1"),
                format!("{{\"k\":\"{token}\"}}"),
                format!("{}_{token}", "a".repeat(300)),
                token.replace('_', "%5F"),
                token.replace('_', "%255f"),
                percent(&percent(&token)),
                token.replace('_', "\\u005f"),
                token.replace('_', "\\\\u005F"),
                token.replace('_', "\\x5f"),
                format!("\\u00{:02x}{}", token.as_bytes()[0], &token[1..]),
                format!("100% \\ {}", token.replace('_', "%5f")),
            ] {
                assert!(holds_token(&text, &keys()), "{text}");
            }
        }
    }

    #[test]
    fn a_look_alike_is_no_key() {
        let token = token("kr");
        let other = TokenKeys::derive(&RootSecret::new([8; 32]).expect("long enough"));
        assert!(!holds_token(&token, &other) && !holds_token(&format!("glued{token}"), &other));
        for text in [&token[1..], &token[..token.len() - 1], &token.replace('_', "-"), &token.to_uppercase(), "%5F%5f"]
        {
            assert!(!holds_token(text, &keys()), "{text}");
        }
        assert!(!holds_token(&"_".repeat(10_000), &keys()) && !holds_token(&"%5F\\".repeat(10_000), &keys()));
    }

    #[test]
    fn escapes_come_off_a_layer_at_a_time() {
        assert_eq!(unescaped("a%5Fb\\u006b\\x4b").as_deref(), Some("a_bkK"));
        assert_eq!(unescaped("%255F").as_deref(), Some("%5F"));
        for plain in ["", "100 %", "%zz", "%+5", "\\n", "\\u00e9", "%E2%82%AC", "%20", "\\u1", "%5"] {
            assert_eq!(unescaped(plain), None, "{plain}");
        }
    }

    proptest! {
        #[test]
        fn a_key_between_any_texts_is_found(before in ".{0,90}", after in ".{0,90}") {
            let text = format!("{before}{}{after}", token("kr"));
            prop_assert!(holds_token(&text, &keys()), "{}", text);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z_%\\\\ux0-9é]{0,200}") {
            prop_assert!(!holds_token(&text, &keys()));
            let _ = unescaped(&text);
        }
    }
}
