//! Private keys in PEM (RFC 7468), of OpenSSH and of PGP.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::found::{Found, Rule};

const RULE: Rule = "pem";
const BEGIN: &str = "-----BEGIN ";
static BEGINS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGIN));
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// What the label of a private key has; certificates and public keys are no secrets.
const PRIVATE: &str = "PRIVATE KEY";
/// Longest label, in bytes.
const LABEL: usize = 64;

/// Finds private keys. One without an end goes on to the end of the text: it was cut, and what is there of it is secret.
pub fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(begin) = BEGINS.find(&bytes[at..]).map(|next| at + next) {
        at = begin + BEGIN.len();
        let label = &bytes[at..bytes.len().min(at + LABEL)];
        let Some(length) = memmem::find(label, DASHES.as_bytes()) else { continue };
        if memmem::find(&label[..length], PRIVATE.as_bytes()).is_none() {
            continue;
        }
        let body = at + length + DASHES.len();
        let end = memmem::find(&bytes[body..], END.as_bytes()).and_then(|next| {
            let label = body + next + END.len();
            memmem::find(&bytes[label..], DASHES.as_bytes()).map(|next| label + next + DASHES.len())
        });
        at = end.unwrap_or(bytes.len());
        found.push(Found { range: begin..at, rule: RULE });
    }
}
