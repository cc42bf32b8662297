//! JSON Web Tokens (RFC 7519), signed or encrypted.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem::Finder;

use super::found::{Found, Rule};
use super::rules::Class;
use super::runs::Runs;

const RULE: Rule = "jwt";
/// How every header begins: `{"` in base64url, and one more letter.
static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("eyJ"));

/// Finds texts of two or more parts with dots between them, of which the first is a JSON object. Claims without a signature
/// are found too: who writes tokens down so gives away what they say.
pub fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut runs = Runs::of(bytes);
    let mut at = 0;
    while let Some(begin) = BEGIN.find(&bytes[at..]).map(|next| at + next) {
        let header = runs.end(Class::Url, begin);
        // A dot, and something behind it.
        let goes_on =
            bytes.get(header) == Some(&b'.') && bytes.get(header + 1).is_some_and(|byte| Class::Url.has(*byte));
        if goes_on && is_object(&bytes[begin..header]) {
            let mut end = runs.end(Class::Dotted, begin);
            while matches!(bytes[end - 1], b'.' | b'~') {
                // A sentence's end is none of the token.
                end -= 1;
            }
            found.push(Found { range: begin..end, rule: RULE });
            at = end;
        } else {
            // What follows in this part would be no object either; a header may stand behind the next dot.
            at = header;
        }
    }
}

fn is_object(header: &[u8]) -> bool {
    URL_SAFE_NO_PAD.decode(header).is_ok_and(|json| json.starts_with(b"{\"") && json.ends_with(b"}"))
}
