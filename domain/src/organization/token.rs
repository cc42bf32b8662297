//! Random tokens of sign-in: 256 bits behind a prefix that tells a reader what leaked where. Only keyed digests of them
//! are stored.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::key::Digest;
use crate::key::token::NoRandomness;
use crate::root::{Purpose, RootSecret, random_text};

/// What is stored of a refresh, bootstrap or invitation token.
#[derive(Clone)]
pub struct TokenDigests {
    key: Zeroizing<[u8; 32]>,
    other: Option<Zeroizing<[u8; 32]>>,
}

impl TokenDigests {
    /// Derives the key from the root secret.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self { key: root.derive(Purpose::RefreshDigest), other: None }
    }

    /// The same, and good for tokens that were issued under another root secret.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>) -> Self {
        Self { other: root.map(|root| root.derive(Purpose::RefreshDigest)), ..self }
    }

    /// The keyed digest under which a token is stored now.
    #[must_use]
    pub fn of(&self, token: &SecretString) -> Digest {
        under(&self.key, token)
    }

    /// Every digest under which a token that is presented may be stored, the present one first.
    pub fn all(&self, token: &SecretString) -> impl Iterator<Item = Digest> + Send {
        let other = self.other.as_ref().map(|key| under(key, token));
        std::iter::once(self.of(token)).chain(other)
    }
}

fn under(key: &[u8; 32], token: &SecretString) -> Digest {
    Digest::from_bytes(*blake3::keyed_hash(key, token.expose_secret().as_bytes()).as_bytes())
}

/// A new token.
///
/// # Errors
/// [`NoRandomness`] when the operating system's source fails.
pub fn new_token(prefix: &str) -> Result<SecretString, NoRandomness> {
    Ok(format!("{prefix}_{}", random_text()?).into())
}
