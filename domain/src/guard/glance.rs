//! A quick look at a JSON text, for the many calls that have nothing to hide: it sees that there is no secret, or it is not
//! sure, and then `walk` looks properly. It never decides against a call.

use memchr::{memchr, memchr2};

use super::names::{Verdict, judge};
use super::own_key::{look_alikes, may_show_one};

/// Deeper than this it is not sure: how deep a text may be is `walk`'s to say.
const DEEP: usize = 100;
/// A number with more digits may be out of range, as may one with an exponent.
const DIGITS: usize = 200;
/// How many words of a string are looked at by hand: most strings are short, and calling for more costs more than that.
const SHORT: usize = 2;
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// Whether it is certain that [`super::walk::walk`] would let a text pass. The text must be JSON, as far as its grammar
/// goes: what is no JSON must not come here.
pub fn sees_no_secret(json: &str) -> bool {
    let Some(escapes) = names_are_harmless(json) else { return false };
    look_alikes(json).next().is_none() && !((escapes || memchr(b'%', json.as_bytes()).is_some()) && may_show_one(json))
}

/// Whether there are escapes that could hide a key; none when it is not sure about a name, a number or the depth.
fn names_are_harmless(json: &str) -> Option<bool> {
    let bytes = json.as_bytes();
    let (mut at, mut depth, mut escapes) = (0, 0_usize, false);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let text = string(bytes, at)?;
                let begin = at;
                at = text.end + 1;
                escapes |= text.hides;
                while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
                    at += 1;
                }
                if bytes.get(at) == Some(&b':') {
                    at += 1;
                    if text.escaped || judge(&json[begin..text.end]) != Verdict::Harmless {
                        return None;
                    }
                }
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEP {
                    return None;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => at = number(bytes, at)?,
            _ => {}
        }
    }
    Some(escapes)
}

/// Where a number ends, of which one digit was read; none when it may be out of range.
fn number(bytes: &[u8], begin: usize) -> Option<usize> {
    let mut end = begin;
    while let Some(b'0'..=b'9' | b'.') = bytes.get(end) {
        end += 1;
    }
    let plain = !matches!(bytes.get(end), Some(b'e' | b'E'));
    (plain && end - begin < DIGITS).then_some(end)
}

/// A string, as it stands in JSON.
struct Text {
    /// Where its closing quote is.
    end: usize,
    /// Whether it has escapes.
    escaped: bool,
    /// Whether it has some that could stand for a character of a key, or hide an escape from the first reader.
    hides: bool,
}

/// The string that begins behind a quote here; none when half of a surrogate pair may be in it.
fn string(bytes: &[u8], begin: usize) -> Option<Text> {
    let (mut at, mut escaped, mut hides) = (begin, false, false);
    loop {
        at += quote_or_escape(bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(Text { end: at, escaped, hides });
        }
        escaped = true;
        match bytes.get(at + 1..)? {
            [b'u', b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..] => return None,
            [b'u', b'0', b'0', ..] | [b'\\', ..] => hides = true,
            _ => {}
        }
        at += 2;
    }
}

/// Where the first quote or backslash is.
fn quote_or_escape(text: &[u8]) -> Option<usize> {
    let (words, _) = text.as_chunks::<8>();
    for (index, word) in words.iter().take(SHORT).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    memchr2(b'"', b'\\', text)
}

/// The high bit of each byte that is zero; above the lowest of them, perhaps also of others ("Bit Twiddling Hacks", S. E.
/// Anderson, "Determine if a word has a zero byte").
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::walk::walk;
    use super::*;
    use crate::guard::AllowedFields;
    use crate::key::token::exposed;
    use crate::key::{IssuedToken, KeyPrefix, TokenKeys};
    use crate::root::RootSecret;

    fn keys() -> TokenKeys {
        TokenKeys::derive(&RootSecret::new([9; 32]).expect("long enough"))
    }

    fn passes(json: &str) -> bool {
        walk(json, &AllowedFields::default(), &keys()).is_ok()
    }

    #[test]
    fn common_calls_are_seen_through_at_once() {
        for harmless in [
            json!({}),
            json!({"query": "select 1", "pageToken": "abc", "limit": 50, "deep": [{"a": null, "b": [true, false, -1.5]}]}),
            json!({"text": "a \"quoted\" line\n and C:\\temp and ünïcödé", "n": 12_345_678_901_234_567_u64}),
            json!({"url": "https://h/a%20b?x=%C3%A9", "diff": "-    old_name = token\n+    new_name = token\n"}),
        ] {
            let text = harmless.to_string();
            assert!(sees_no_secret(&text) && passes(&text), "{text}");
        }
        assert!(sees_no_secret("{ \"a\" : \"\\u00e9\\u3042\" ,\n \"b\" : 1 }"));
    }

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_is() {
        for length in 0..40 {
            for end in ["\"", "\\", "\"\\", "\\\""] {
                let text = format!("{}{end}{}", "#!]".repeat(14).split_at(length).0, "\"#\\".repeat(9));
                assert_eq!(quote_or_escape(text.as_bytes()), Some(length), "{text}");
            }
        }
        assert_eq!(quote_or_escape(b"0123456789abcdefghij"), None);
    }

    #[test]
    fn what_it_cannot_be_sure_of_it_leaves() {
        for unsure in [
            r#"{"password":1}"#,
            r#"{"p\u0061ssword":1}"#,
            r#"{"a" : {"token" : 1}}"#,
            r#"{"a":1e999}"#,
            r#"{"a":1E5}"#,
            r#"{"a":1.5e5}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\uDFFF"}"#,
            &format!("[{}]", "9".repeat(400)),
            &format!("{}{}", "[".repeat(130), "]".repeat(130)),
        ] {
            assert!(!sees_no_secret(unsure), "{unsure}");
        }
    }

    /// A JSON text of any value, with strings escaped in one of several ways.
    fn written(value: &Value, escape: fn(&str) -> String) -> String {
        match value {
            Value::String(text) => format!("\"{}\"", escape(text)),
            Value::Array(items) => {
                format!("[{}]", items.iter().map(|item| written(item, escape)).collect::<Vec<_>>().join(" , "))
            }
            Value::Object(fields) => {
                let field =
                    |(name, value): (&String, &Value)| format!("\"{}\" :{}", escape(name), written(value, escape));
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain.to_string(),
        }
    }

    fn plain(text: &str) -> String {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    }

    fn all_escaped(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
    }

    fn some_escaped(text: &str) -> String {
        let escape = |c: char| {
            if matches!(c, '_' | '%' | 'o' | '\\') { all_escaped(&c.to_string()) } else { plain(&c.to_string()) }
        };
        text.chars().map(escape).collect()
    }

    /// Any value; in about half of them stands a key, in one of several ways.
    fn values() -> impl Strategy<Value = Value> {
        let names = prop_oneof![
            6 => "[a-z_]{0,12}".boxed(),
            1 => Just("password".to_owned()).boxed(),
            1 => Just("Api-Key".to_owned()).boxed(),
            1 => Just("auth".to_owned()).boxed(),
            1 => ".{0,6}".boxed(),
        ];
        let token = IssuedToken::issue(&KeyPrefix::default(), &keys()).expect("randomness").reveal();
        let token = exposed(&token).to_owned();
        let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let twice = percent(&percent(&token));
        let texts = prop_oneof![
            8 => ".{0,40}".boxed(),
            2 => "[%\\\\ux0-9a-f_]{0,60}".boxed(),
            1 => Just(token.clone()).boxed(),
            1 => Just(format!("glued{token}")).boxed(),
            1 => Just(token.replace('_', "%5F")).boxed(),
            1 => Just(token.replace('_', "\\u005f")).boxed(),
            1 => Just(token.replace('_', "\\\\\\\\x5f")).boxed(),
            1 => Just(twice).boxed(),
            1 => Just(format!("\"{token}\\")).boxed(),
        ];
        let leaves = prop_oneof![
            3 => texts.prop_map(Value::from).boxed(),
            1 => any::<f64>().prop_map(Value::from).boxed(),
            1 => any::<i64>().prop_map(Value::from).boxed(),
            1 => Just(Value::Null).boxed(),
        ];
        leaves.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((names.clone(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn it_never_passes_what_a_proper_look_refuses(value in values()) {
            for escape in [plain, all_escaped, some_escaped] {
                let text = written(&value, escape);
                prop_assert!(!sees_no_secret(&text) || passes(&text), "{}", text);
            }
        }
    }
}
