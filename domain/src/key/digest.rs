//! What is stored of a token: 32 bytes of keyed BLAKE3.
//!
//! The secret has 256 random bits, so there is nothing that a slow password hash could protect from guessing; the key
//! (the pepper, derived from the root secret) makes a stolen table useless for recognizing a token.

use std::fmt;

use zeroize::Zeroizing;

use crate::root::{Purpose, RetiredChecksum, RootSecret, Roots};

/// `blake3::keyed_hash(pepper, token)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest that a store holds.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Digest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// The two keys behind every token: one for its checksum, one for its digest. And what older tokens were made with.
#[derive(Clone)]
pub struct TokenKeys {
    checksum: Zeroizing<[u8; 32]>,
    pepper: Zeroizing<[u8; 32]>,
    retired_checksums: Vec<RetiredChecksum>,
    other_pepper: Option<Zeroizing<[u8; 32]>>,
}

impl TokenKeys {
    /// Derives both from the root secret.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self {
            checksum: root.derive(Purpose::TokenChecksum),
            pepper: root.derive(Purpose::TokenDigest),
            retired_checksums: Vec::new(),
            other_pepper: None,
        }
    }

    /// The same, and good for tokens that were issued or stored under earlier root secrets, or the next one.
    #[must_use]
    pub fn of(roots: &Roots) -> Self {
        let other = roots.other();
        let mut retired_checksums = roots.retired_checksums.clone();
        if let Some(key) = other.map(RootSecret::checksum_key).filter(|key| !roots.retired_checksums.contains(key)) {
            retired_checksums.push(key);
        }
        Self {
            retired_checksums,
            other_pepper: other.map(|other| other.derive(Purpose::TokenDigest)),
            ..Self::derive(&roots.current)
        }
    }

    pub(super) fn digest(&self, token: &[u8]) -> Digest {
        Digest(*blake3::keyed_hash(&self.pepper, token).as_bytes())
    }

    /// The digest that a token may be stored under while the root secret is being replaced.
    pub(super) fn other_digest(&self, token: &[u8]) -> Option<Digest> {
        self.other_pepper.as_ref().map(|pepper| Digest(*blake3::keyed_hash(pepper, token).as_bytes()))
    }

    /// The checksum of a new token.
    pub(super) fn checksum(&self, text: &[u8]) -> u64 {
        checksum_under(&self.checksum, text)
    }

    /// The checksums that tokens of ours can have: that of new ones first.
    pub(super) fn checksums(&self, text: &[u8]) -> impl Iterator<Item = u64> {
        std::iter::once(&self.checksum).chain(&self.retired_checksums).map(move |key| checksum_under(key, text))
    }
}

fn checksum_under(key: &[u8; 32], text: &[u8]) -> u64 {
    let hash = blake3::keyed_hash(key, text);
    let mut first = [0_u8; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenKeys(…)")
    }
}
