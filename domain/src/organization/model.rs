//! Organizations, people and their passwords.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::feature::FeatureSet;
use crate::id::{OrganizationId, UserId};
use crate::text::InvalidText;

/// An organization, as everything that belongs to one names it. Cheap to clone: every request carries one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrganizationRef {
    /// The id.
    pub id: OrganizationId,
    /// The name for addresses.
    pub slug: Arc<str>,
    /// The name for people.
    pub name: Arc<str>,
    /// What it can use besides what everybody can.
    pub features: FeatureSet,
}

/// A person, as everything that belongs to one names them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRef {
    /// The id.
    pub id: UserId,
    /// The e-mail address.
    pub email: Arc<str>,
    /// What the person wants to be called; the e-mail address when they did not say.
    pub display_name: Arc<str>,
}

/// Fewest characters of a password.
pub const PASSWORD_MIN: usize = 12;
/// Most characters of a password.
pub const PASSWORD_MAX: usize = 128;

/// A password as a person typed it. It cannot be printed.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// A new password, of an allowed length.
    ///
    /// # Errors
    /// [`InvalidText`] that says the allowed length and never the password.
    pub fn new(text: SecretString) -> Result<Self, InvalidText> {
        match text.expose_secret().chars().count() {
            0..PASSWORD_MIN => Err(InvalidText::Form("must be at least 12 characters")),
            PASSWORD_MIN..=PASSWORD_MAX => Ok(Self(text)),
            _ => Err(InvalidText::TooLong { max: PASSWORD_MAX }),
        }
    }

    /// The text, for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Password(…)")
    }
}
