//! Credentials behind the name of their scheme: `Bearer …` (RFC 6750) and `Basic …` (RFC 7617).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memchr2_iter;

use super::found::{Found, Rule};
use super::rules::Class;
use super::runs::Runs;

const BEARER: Rule = "bearer";
const BASIC: Rule = "basic";
/// Fewest characters of a bearer token: in "bearer authentication" there is none.
const LEAST: usize = 16;
/// Most spaces before a credential.
const SPACES_MAX: usize = 8;
/// How far a pair is looked at for the colon between name and password: a multiple of four.
const NAME: usize = 512;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Finds credentials; the scheme's name stays.
pub fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut runs = Runs::of(bytes);
    let mut over = 0;
    for at in memchr2_iter(b'b', b'B', bytes) {
        if at < over {
            continue;
        }
        let (rule, begin) = match (after(bytes, at, b"bearer"), after(bytes, at, b"basic")) {
            (Some(begin), _) => (BEARER, begin),
            (None, Some(begin)) => (BASIC, begin),
            (None, None) => continue,
        };
        let end = runs.end(Class::Part, begin);
        if if rule == BEARER { end - begin >= LEAST } else { is_pair(&bytes[begin..end]) } {
            found.push(Found { range: begin..end, rule });
            over = end;
        }
    }
}

/// Where the credential begins, when the scheme's name and a space stand here.
fn after(text: &[u8], at: usize, scheme: &[u8]) -> Option<usize> {
    const SPACES: [&[u8]; 3] = [b" ", b"%20", b"+"];
    let mut rest = at + scheme.len();
    if !text.get(at..rest)?.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let begun = rest;
    // Few: what follows the name of each of many schemes must not be looked at again for each.
    for _ in 0..SPACES_MAX {
        let Some(space) = SPACES.iter().find(|space| text[rest..].starts_with(space)) else { break };
        rest += space.len();
    }
    (rest > begun).then_some(rest)
}

/// Whether it is a name and a password.
fn is_pair(token: &[u8]) -> bool {
    let Ok(pair) = BASE64.decode(&token[..token.len().min(NAME)]) else { return false };
    pair.iter()
        .position(|byte| *byte == b':')
        .is_some_and(|colon| std::str::from_utf8(&pair[..colon]).is_ok_and(|name| !name.chars().any(char::is_control)))
}
