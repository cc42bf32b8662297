//! Names that callers write, fit to be kept: a tool's, a method's, a version's.

use smol_str::SmolStr;

use crate::guard::holds_token;
use crate::key::TokenKeys;

/// Longest name that is kept, in bytes; what is longer is cut.
pub const LABEL_MAX: usize = 128;

/// What stands in place of a name that holds one of our keys.
const HIDDEN: &str = "[redacted:keyrack]";

/// A name as it is kept: at most [`LABEL_MAX`] bytes without control characters, which PostgreSQL does not take and
/// terminals obey, and never one of our keys. Up to 23 bytes stand in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(SmolStr);

impl Label {
    /// The name as it may be kept.
    #[must_use]
    pub fn of(name: &str, keys: &TokenKeys) -> Self {
        // Before it is cut: half a key is a key's half.
        if holds_token(name, keys) { Self(SmolStr::new_static(HIDDEN)) } else { Self::of_stored(name) }
    }

    /// The name that a store holds.
    #[must_use]
    pub fn of_stored(name: &str) -> Self {
        let name = &name[..name.floor_char_boundary(LABEL_MAX)];
        if !name.contains(char::is_control) {
            return Self(name.into());
        }
        Self(name.chars().filter(|c| !c.is_control()).collect())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{IssuedToken, KeyPrefix};
    use crate::root::RootSecret;

    fn keys() -> TokenKeys {
        TokenKeys::derive(&RootSecret::new([9; 32]).expect("long enough"))
    }

    #[test]
    fn a_usual_name_is_kept_as_it_is() {
        for name in ["get_weather", "github.issues/list", "größer", ""] {
            assert_eq!(Label::of(name, &keys()).as_str(), name);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_control_characters_go() {
        let long = "ä".repeat(100);
        assert_eq!(Label::of(&long, &keys()).as_str(), "ä".repeat(64));
        assert_eq!(Label::of(&format!("x{long}"), &keys()).as_str().len(), 127);
        assert_eq!(Label::of("a\0b\u{1b}[31m\nc\u{85}", &keys()).as_str(), "ab[31mc");
    }

    #[test]
    fn a_name_that_holds_a_key_is_not_kept() {
        let token = IssuedToken::issue(&KeyPrefix::default(), &keys()).expect("randomness").reveal();
        let token = crate::key::token::exposed(&token);
        for name in [token.to_owned(), format!("run {token}"), format!("{} {token}", "x".repeat(100))] {
            let kept = Label::of(&name, &keys());
            assert_eq!(kept.as_str(), HIDDEN, "{}", name.len());
        }
    }
}
