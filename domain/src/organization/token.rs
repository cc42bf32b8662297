//! Random tokens of sign-in: 256 bits behind a prefix that tells a reader what leaked where. Only keyed digests of them
//! are stored.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::key::Digest;
use crate::key::token::NoRandomness;
use crate::root::{Purpose, RootSecret, random_text};

/// What is stored of a refresh, bootstrap or invitation token.
#[derive(Clone)]
pub struct TokenDigests(Zeroizing<[u8; 32]>);

impl TokenDigests {
    /// Derives the key from the root secret.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self(root.derive(Purpose::RefreshDigest))
    }

    /// The keyed digest of a token.
    #[must_use]
    pub fn of(&self, token: &SecretString) -> Digest {
        Digest::from_bytes(*blake3::keyed_hash(&self.0, token.expose_secret().as_bytes()).as_bytes())
    }
}

/// A new token.
///
/// # Errors
/// [`NoRandomness`] when the operating system's source fails.
pub fn new_token(prefix: &str) -> Result<SecretString, NoRandomness> {
    Ok(format!("{prefix}_{}", random_text()?).into())
}
