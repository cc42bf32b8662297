//! Which names are those of secrets, and which of them a server may take all the same.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// Names, normalized, that are refused.
const NAMES: [&str; 29] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "apikey",
    "xapikey",
    "accesskey",
    "secretkey",
    "secretaccesskey",
    "token",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "sessiontoken",
    "bearer",
    "bearertoken",
    "authorization",
    "auth",
    "clientsecret",
    "privatekey",
    "credential",
    "credentials",
    "cookie",
    "cookies",
    "setcookie",
    "connectionstring",
    "databaseurl",
    "dsn",
    "passphrase",
];
/// Ends of names, normalized, that are refused.
const ENDS: [&str; 5] = ["password", "secret", "apikey", "accesstoken", "privatekey"];
/// The last two letters of all of them: for each last byte of a name, a bit for each letter that may stand before it, in
/// either case. All bits for what is not ASCII, since some letters beyond are ASCII in lower case.
const LAST_TWO: [u32; 256] = {
    let mut table = [0; 256];
    let mut list = 0;
    while list < 2 {
        let names: &[&str] = if list == 0 { &NAMES } else { &ENDS };
        let mut at = 0;
        while at < names.len() {
            let name = names[at].as_bytes();
            let last = name[name.len() - 1];
            let bit = letter(name[name.len() - 2]);
            table[last as usize] |= bit;
            table[last.to_ascii_uppercase() as usize] |= bit;
            at += 1;
        }
        list += 1;
    }
    let mut byte = 128;
    while byte < 256 {
        table[byte] = u32::MAX;
        byte += 1;
    }
    table
};
/// Longest name that is looked at without an allocation, in bytes, and longest allowed field, in characters.
const LONGEST: usize = 128;

/// What is done about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Harmless,
    /// It is refused.
    Secret,
    /// It is refused, unless its value is an object.
    SecretUnlessObject,
}

/// A name without case, underscores and hyphens, as names are compared.
#[must_use]
pub fn normalized(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Judges a name.
pub fn judge(name: &str) -> Verdict {
    if ends_harmlessly(name) {
        return Verdict::Harmless;
    }
    // Without an allocation: ASCII, and no longer than any name that we know.
    let mut buffer = [0_u8; LONGEST];
    let mut length = 0;
    for byte in name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')) {
        if length == LONGEST || !byte.is_ascii() {
            return judge_normalized(&normalized(name));
        }
        buffer[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    std::str::from_utf8(&buffer[..length]).map_or(Verdict::Harmless, judge_normalized)
}

/// Whether the last two letters are enough to see that a name is none of a secret; most names of tools are seen so.
fn ends_harmlessly(name: &str) -> bool {
    let mut letters = name.bytes().rev().filter(|byte| !matches!(byte, b'_' | b'-'));
    let (Some(last), Some(before)) = (letters.next(), letters.next()) else { return true };
    let befores = LAST_TWO[usize::from(last)];
    befores == 0 || (before.is_ascii() && befores & letter(before) == 0)
}

/// A bit for a letter, the same for both cases; other characters share them.
const fn letter(byte: u8) -> u32 {
    1 << (byte & 31)
}

fn judge_normalized(name: &str) -> Verdict {
    if name == "auth" {
        Verdict::SecretUnlessObject
    } else if NAMES.contains(&name) || ENDS.iter().any(|end| name.ends_with(end)) {
        Verdict::Secret
    } else {
        Verdict::Harmless
    }
}

/// A field that a server may take although its name is that of a secret: a name, or names with dots for a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllowedField(String);

/// The text is no field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a field's name of 1 to 128 characters, or names with dots between them for a place")]
pub struct InvalidAllowedField;

impl FromStr for AllowedField {
    type Err = InvalidAllowedField;

    fn from_str(text: &str) -> Result<Self, InvalidAllowedField> {
        let good = !text.is_empty()
            && text.chars().count() <= LONGEST
            && !text.chars().any(char::is_control)
            && text.split('.').all(|name| !normalized(name).is_empty());
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidAllowedField) }
    }
}

impl fmt::Display for AllowedField {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The fields that a server may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedFields {
    fields: Vec<AllowedField>,
    // The same, normalized.
    names: HashSet<String>,
}

impl AllowedFields {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields, as they were written.
    pub fn iter(&self) -> impl Iterator<Item = &AllowedField> {
        self.fields.iter()
    }

    /// Whether a field is among them, by its name alone or by the end of its place.
    pub(super) fn has(&self, place: &[&str]) -> bool {
        if self.names.is_empty() {
            return false;
        }
        let mut tail = String::new();
        place.iter().rev().any(|name| {
            let name = normalized(name);
            tail = if tail.is_empty() { name } else { format!("{name}.{tail}") };
            self.names.contains(&tail)
        })
    }
}

impl FromIterator<AllowedField> for AllowedFields {
    fn from_iter<I: IntoIterator<Item = AllowedField>>(fields: I) -> Self {
        let fields: Vec<AllowedField> = fields.into_iter().collect();
        let whole = |field: &AllowedField| field.0.split('.').map(normalized).collect::<Vec<_>>().join(".");
        let names = fields.iter().map(whole).collect();
        Self { fields, names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_end_of_a_secret_is_refused_in_every_spelling() {
        for name in NAMES.iter().chain(&ENDS) {
            let spread: String = name.chars().flat_map(|c| ['_', c, '-']).collect();
            for spelling in [(*name).to_owned(), name.to_uppercase(), spread.clone(), format!("_{name}__--")] {
                assert_ne!(judge(&spelling), Verdict::Harmless, "{spelling}");
            }
            // The Kelvin sign is a k in lower case.
            assert_ne!(judge(&name.replace('k', "\u{212a}")), Verdict::Harmless, "{name}");
        }
        for end in ENDS {
            for name in [format!("my{end}"), format!("{}_{end}", "x".repeat(300)), format!("мой_{end}")] {
                assert_eq!(judge(&name), Verdict::Secret, "{name}");
            }
        }
    }

    #[test]
    fn names_without_letters_are_harmless() {
        for name in ["", "_", "-_-", "a", "é", "-k"] {
            assert_eq!(judge(name), Verdict::Harmless, "{name}");
        }
    }
}
