//! Bounded text: names, descriptions, slugs and e-mail addresses. What has one of these types was checked.

use std::fmt;
use std::str::FromStr;

/// Why a text was refused, in words for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing but blanks.
    #[error("must not be empty")]
    Empty,
    /// More characters than the kind of text allows.
    #[error("must be at most {max} characters")]
    TooLong {
        /// The limit, in characters.
        max: usize,
    },
    /// A line break, a NUL or the like.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// Right length, wrong form.
    #[error("{0}")]
    Form(&'static str),
}

/// Longest [`Name`], in characters.
pub const NAME_MAX: usize = 100;
/// Longest [`Description`], in characters.
pub const DESCRIPTION_MAX: usize = 1000;
/// Longest [`Slug`], in characters.
pub const SLUG_MAX: usize = 63;
/// Longest [`Email`], in characters (RFC 5321, section 4.5.3.1.3).
pub const EMAIL_MAX: usize = 254;
/// What a slug looks like, as a regular expression for schemas.
pub const SLUG_PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

fn single_line(text: &str, max: usize) -> Result<&str, InvalidText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidText::Empty);
    }
    if text.chars().count() > max {
        return Err(InvalidText::TooLong { max });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidText::ControlCharacter);
    }
    Ok(text)
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident by $check:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                let check: fn(&str) -> Result<String, InvalidText> = $check;
                check(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, out)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(&self.0)
            }
        }
    )+};
}

texts! {
    /// What a person calls a thing: one line of 1 to 100 characters, without blanks at either end.
    Name by |text| single_line(text, NAME_MAX).map(str::to_owned);
    /// A longer explanation: up to 1000 characters, line breaks allowed.
    Description by |text| {
        let text = text.trim();
        if text.chars().count() > DESCRIPTION_MAX {
            return Err(InvalidText::TooLong { max: DESCRIPTION_MAX });
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(InvalidText::ControlCharacter);
        }
        Ok(text.to_owned())
    };
    /// A name for addresses: `[a-z0-9][a-z0-9-]{0,62}`.
    Slug by |text| {
        let mut bytes = text.bytes();
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let first = bytes.next().ok_or(InvalidText::Empty)?;
        if text.len() > SLUG_MAX {
            return Err(InvalidText::TooLong { max: SLUG_MAX });
        }
        if !good(first) || !bytes.all(|b| good(b) || b == b'-') {
            return Err(InvalidText::Form("must be lower-case letters, digits and hyphens, and begin with a letter or digit"));
        }
        Ok(text.to_owned())
    };
    /// An e-mail address, in lower case, so that one person has one account.
    Email by |text| {
        let text = single_line(text, EMAIL_MAX)?;
        let (local, host) = text.rsplit_once('@').ok_or(InvalidText::Form("must be an e-mail address"))?;
        if local.is_empty() || host.is_empty() || host.starts_with('.') || host.ends_with('.') || text.contains(char::is_whitespace) {
            return Err(InvalidText::Form("must be an e-mail address"));
        }
        Ok(text.to_lowercase())
    };
}

impl Slug {
    /// The slug that a name suggests: `My Notes (2)` becomes `my-notes-2`. None when no letter or digit is left.
    #[must_use]
    pub fn suggested_by(name: &Name) -> Option<Self> {
        let mut slug = String::new();
        for character in name.as_str().chars().flat_map(char::to_lowercase) {
            if character.is_ascii_alphanumeric() {
                slug.push(character);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == SLUG_MAX {
                break;
            }
        }
        slug.trim_end_matches('-').parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!("  CI runner ".parse::<Name>().expect("valid").as_str(), "CI runner");
        assert_eq!("   ".parse::<Name>(), Err(InvalidText::Empty));
        assert_eq!("x".repeat(101).parse::<Name>(), Err(InvalidText::TooLong { max: 100 }));
        assert_eq!("a\nb".parse::<Name>(), Err(InvalidText::ControlCharacter));
        assert!("é".repeat(100).parse::<Name>().is_ok(), "the limit counts characters, not bytes");
    }

    #[test]
    fn slugs_follow_the_contract() {
        for good in ["a", "0", "acme-2", &"a".repeat(63)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn emails_are_compared_in_lower_case() {
        assert_eq!("Ann@Example.COM".parse::<Email>(), "ann@example.com".parse());
        for bad in ["ann", "@example.com", "ann@", "a b@example.com", "ann@.com"] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_suggested_slug_is_a_slug(text in ".{1,120}") {
            if let Some(slug) = text.parse::<Name>().ok().and_then(|name| Slug::suggested_by(&name)) {
                prop_assert!(slug.as_str().parse::<Slug>().is_ok());
            }
        }
    }
}
