//! The one redactor: what is stored of calls, and what callers wrote that ends in a log, passes it (design §11).
//!
//! Secrets are told by the names of fields and by their shapes; each is replaced by `[redacted:<rule>]`. It looks at a text
//! a bounded number of times, whatever the text, and keeps what it does not know: a secret without a known name or shape
//! passes. The rules of shapes are the table in `rules`.

mod assignment;
mod encoded;
mod found;
mod jwt;
mod pem;
mod rules;
mod runs;
mod scheme;
mod shape;
mod url;

use std::borrow::Cow;

use serde_json::Value;

use self::found::{Found, Rule, replaced};
use crate::guard::names::{Verdict, judge, normalized};
use crate::guard::own_key::{LEAST_OWN_KEY, look_alikes};
use crate::key::token::SECRET_LENGTH;

/// The rule of a field whose name is that of a secret.
const NAME: Rule = "name";
/// The rule of our own keys. Theirs is the form alone: also a key of another installation is somebody's secret.
const OWN_KEY: Rule = "keyrack";
/// Ends of names, normalized, that the guard lets through and the redactor does not: to refuse a call for them would be too
/// much, to keep what they hold as well.
const MORE_ENDS: [&str; 9] = [
    "accesskey",
    "authtoken",
    "connectionstring",
    "credentials",
    "passphrase",
    "passwd",
    "refreshtoken",
    "secretkey",
    "sessiontoken",
];

/// Shorter than every secret of the tables and than every key of ours.
const SHORT: usize = 15;
const _: () = assert!(rules::LEAST >= SHORT && LEAST_OWN_KEY >= SHORT);

/// Whether a text is too short for those, and has no character of the other secrets, of what they stand behind, or of
/// escapes: most names of tools, tenants and versions, which are looked at for every call.
fn is_plain(text: &str) -> bool {
    text.len() < SHORT && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// A text without the secrets in it.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    if is_plain(text) { Cow::Borrowed(text) } else { looked_through(text) }
}

fn looked_through(text: &str) -> Cow<'_, str> {
    let mut found = shapes(text);
    if encoded::shows_more(text, found.len()) {
        return Cow::Owned(encoded::REPLACED.to_owned());
    }
    assignment::find(text, &mut found);
    url::find(text, &mut found);
    replaced(text, found)
}

/// A JSON value without the secrets in it: under names of secrets whatever stands there but null, and secrets in texts and
/// names.
#[must_use]
pub fn value(value: Value) -> Value {
    match value {
        Value::String(it) => Value::String(match text(&it) {
            Cow::Borrowed(_) => it,
            Cow::Owned(redacted) => redacted,
        }),
        Value::Array(items) => Value::Array(items.into_iter().map(self::value).collect()),
        Value::Object(fields) => Value::Object(fields.into_iter().map(field).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}

/// Whether what stands under this name is redacted for the name alone.
#[must_use]
pub fn is_secret(name: &str, inner: &Value) -> bool {
    match judge(name) {
        Verdict::Secret => true,
        Verdict::SecretUnlessObject => !inner.is_object(),
        Verdict::Harmless => is_stored_secret(name),
    }
}

fn field((name, inner): (String, Value)) -> (String, Value) {
    let inner = if is_secret(&name, &inner) && !inner.is_null() {
        Value::String(format!("[redacted:{NAME}]"))
    } else {
        value(inner)
    };
    (text(&name).into_owned(), inner)
}

/// Whether a name is one of the redactor's own.
fn is_stored_secret(name: &str) -> bool {
    let name = normalized(name);
    MORE_ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether it is a hash rather than a random secret, which consists of hexadecimal digits once in 10^28.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

/// Everything that is a secret by its shape alone.
fn shapes(text: &str) -> Vec<Found> {
    let mut found = vec![];
    let own_keys = look_alikes(text).filter(|range| !is_hex(&text[range.end - SECRET_LENGTH..range.end]));
    found.extend(own_keys.map(|range| Found { range, rule: OWN_KEY }));
    pem::find(text, &mut found);
    jwt::find(text, &mut found);
    scheme::find(text, &mut found);
    shape::find(text, &mut found);
    found
}

#[cfg(test)]
mod tests;
