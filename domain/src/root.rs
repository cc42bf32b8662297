//! The root secret and what is derived from it. One secret to keep, one key per purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::key::token::NoRandomness;

/// Fewest characters of a root secret that an operator chooses.
pub const ROOT_SECRET_MIN: usize = 32;

/// The installation's root secret. It has no `Debug` and no `Display`: it cannot be printed.
#[derive(Clone)]
pub struct RootSecret(Zeroizing<Vec<u8>>);

/// The root secret is too short to protect anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at least {ROOT_SECRET_MIN} characters; `openssl rand -base64 48` makes a good one")]
pub struct WeakRootSecret;

/// The checksum key of a root secret. Tokens carry their checksum for ever.
pub type RetiredChecksum = Zeroizing<[u8; 32]>;

/// Another root secret that is given while one takes the place of the other.
#[derive(Clone)]
pub enum Beside {
    /// The one before: what was made under it is moved.
    Previous(RootSecret),
    /// The one that comes: what other nodes make under it can be read, and nothing is moved.
    Next(RootSecret),
}

impl Beside {
    /// The root secret.
    #[must_use]
    pub const fn secret(&self) -> &RootSecret {
        match self {
            Self::Previous(secret) | Self::Next(secret) => secret,
        }
    }
}

/// Whether somebody makes things under the root secret that is given beside: only then do signatures under it count. Whoever
/// still has it could make them, too.
#[derive(Debug, Clone, Default)]
pub struct Overlap(Arc<AtomicBool>);

impl Overlap {
    /// Whether it is so now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// It is so, or not any more.
    pub fn set(&self, holds: bool) {
        self.0.store(holds, Ordering::Relaxed);
    }
}

/// The root secrets that a node knows, by their fingerprints. Whoever sees them learns nothing of the secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootPrints {
    /// What it makes new things under.
    pub root: String,
    /// All that it can read what is made under; the one above is among them.
    pub reads: Vec<String>,
}

impl RootPrints {
    /// Of a node that makes things under `root`, and also reads what is made under `other`.
    #[must_use]
    pub fn of(root: &RootSecret, other: Option<&RootSecret>) -> Self {
        let reads = std::iter::once(root).chain(other).map(RootSecret::fingerprint).collect();
        Self { root: root.fingerprint(), reads }
    }

    /// Whether each of two nodes can read what the other makes.
    #[must_use]
    pub fn fit(&self, other: &Self) -> bool {
        self.reads.contains(&other.root) && other.reads.contains(&self.root)
    }
}

/// The root secret, what is given beside it, and what is left of those before it.
#[derive(Clone)]
pub struct Roots {
    /// Everything new is made under it.
    pub current: RootSecret,
    /// Another one, while one takes the place of the other.
    pub beside: Option<Beside>,
    /// Whether signatures under that one count.
    pub overlap: Overlap,
    /// The checksum keys of all before it.
    pub retired_checksums: Vec<RetiredChecksum>,
    /// The Ed25519 public keys with which checkpoints of all before it are verified.
    pub retired_signers: Vec<[u8; 32]>,
}

impl Roots {
    /// The root secret that is given beside the present one.
    #[must_use]
    pub fn other(&self) -> Option<&RootSecret> {
        self.beside.as_ref().map(Beside::secret)
    }

    /// What tells which ones they are.
    #[must_use]
    pub fn prints(&self) -> RootPrints {
        RootPrints::of(&self.current, self.other())
    }

    /// Whether what is stored under the other root secret is moved to the present one.
    #[must_use]
    pub const fn moves(&self) -> bool {
        matches!(self.beside, Some(Beside::Previous(_)))
    }
}

/// What a derived key is for. The context strings are part of the format: changing one voids what was made with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Keyed checksum inside tokens.
    TokenChecksum,
    /// Keyed digest of tokens at rest.
    TokenDigest,
    /// Ed25519 seed that signs access tokens of people.
    AccessTokenSigning,
    /// Ed25519 seed of the first key that signs assertions for upstream servers.
    AssertionSigning,
    /// What the seeds of the keys after it are derived from, by number.
    AssertionSeries,
    /// Keyed digest of refresh, bootstrap and invitation tokens at rest.
    RefreshDigest,
    /// Cipher key for upstream credentials at rest.
    CredentialSealing,
    /// What tells one root secret from another without showing it.
    Fingerprint,
    /// Cipher key for session ids handed to MCP clients.
    SessionSealing,
    /// Cipher key for the checksum keys of earlier root secrets.
    RetiredSealing,
    /// Ed25519 seed that signs checkpoints of the audit log.
    AuditCheckpoint,
    /// Keyed digests of writes that may be repeated.
    Idempotency,
    /// Keyed digests of session ids in call records.
    CallSession,
    /// Cipher key for tenants' connections at rest.
    ConnectionSealing,
    /// Cipher key for connect links, and for what consents under way have to remember.
    ConsentSealing,
    /// Keyed digests that bind connect pages to browsers.
    ConnectBrowser,
    /// Cipher key for what a run under way carries from step to step.
    RunSealing,
}

impl Purpose {
    const fn context(self) -> &'static str {
        match self {
            Self::TokenChecksum => "keyrack 2026-11-21 token checksum v1",
            Self::TokenDigest => "keyrack 2026-11-21 token digest v1",
            Self::AccessTokenSigning => "keyrack 2026-11-21 access token signing v1",
            Self::AssertionSigning => "keyrack 2026-11-21 assertion signing v1",
            Self::AssertionSeries => "keyrack 2026-11-21 assertion series v1",
            Self::RefreshDigest => "keyrack 2026-11-21 refresh digest v1",
            Self::CredentialSealing => "keyrack 2026-11-21 credential sealing v1",
            Self::Fingerprint => "keyrack 2026-11-21 root secret fingerprint v1",
            Self::SessionSealing => "keyrack 2026-11-21 session sealing v1",
            Self::RetiredSealing => "keyrack 2026-11-21 retired key sealing v1",
            Self::AuditCheckpoint => "keyrack 2026-11-21 audit checkpoint v1",
            Self::Idempotency => "keyrack 2026-11-21 idempotency v1",
            Self::CallSession => "keyrack 2026-11-21 call session v1",
            Self::ConnectionSealing => "keyrack 2026-11-21 connection sealing v1",
            Self::ConsentSealing => "keyrack 2026-11-21 consent sealing v1",
            Self::ConnectBrowser => "keyrack 2026-11-21 connect browser v1",
            Self::RunSealing => "keyrack 2026-11-22 run sealing v1",
        }
    }
}

impl RootSecret {
    /// Takes the operator's secret.
    ///
    /// # Errors
    /// [`WeakRootSecret`] when it has fewer than [`ROOT_SECRET_MIN`] bytes.
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, WeakRootSecret> {
        let secret = Zeroizing::new(secret.into());
        if secret.len() < ROOT_SECRET_MIN { Err(WeakRootSecret) } else { Ok(Self(secret)) }
    }

    /// What tells this root secret from another, in 32 hexadecimal digits. It does not help to guess it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hex = blake3::Hash::from_bytes(*self.derive(Purpose::Fingerprint)).to_hex();
        hex[..32].to_owned()
    }

    /// What checks the tokens that were issued under this root secret, also when it is one no longer.
    #[must_use]
    pub fn checksum_key(&self) -> RetiredChecksum {
        self.derive(Purpose::TokenChecksum)
    }

    /// The seed of the assertion key with this number.
    #[must_use]
    pub fn assertion_seed(&self, number: u32) -> Zeroizing<[u8; 32]> {
        if number == 0 {
            return self.derive(Purpose::AssertionSigning);
        }
        let series = self.derive(Purpose::AssertionSeries);
        Zeroizing::new(*blake3::keyed_hash(&series, &number.to_le_bytes()).as_bytes())
    }

    /// The 256-bit key for one purpose (BLAKE3 `derive_key`).
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose.context(), &self.0))
    }
}

/// A new root secret's text: 256 random bits in hexadecimal.
///
/// # Errors
/// [`NoRandomness`] when the operating system's source fails.
pub fn random_text() -> Result<String, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SysRng.try_fill_bytes(bytes.as_mut()).map_err(|_| NoRandomness)?;
    Ok(blake3::Hash::from_bytes(*bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_have_different_keys() {
        let root = RootSecret::new([7_u8; 32]).expect("long enough");
        let purposes = [
            Purpose::TokenChecksum,
            Purpose::TokenDigest,
            Purpose::AccessTokenSigning,
            Purpose::AssertionSigning,
            Purpose::AssertionSeries,
            Purpose::RefreshDigest,
            Purpose::CredentialSealing,
            Purpose::Fingerprint,
            Purpose::SessionSealing,
            Purpose::RetiredSealing,
            Purpose::AuditCheckpoint,
            Purpose::Idempotency,
            Purpose::CallSession,
            Purpose::ConnectionSealing,
            Purpose::ConsentSealing,
            Purpose::ConnectBrowser,
            Purpose::RunSealing,
        ];
        let keys: std::collections::HashSet<[u8; 32]> = purposes.iter().map(|purpose| *root.derive(*purpose)).collect();
        assert_eq!(keys.len(), purposes.len());
    }

    #[test]
    fn every_assertion_key_is_another() {
        let root = RootSecret::new([7_u8; 32]).expect("long enough");
        let seeds: std::collections::HashSet<[u8; 32]> = (0..100).map(|number| *root.assertion_seed(number)).collect();
        assert_eq!(seeds.len(), 100);
        assert!(!seeds.contains(&*root.derive(Purpose::AssertionSeries)));
    }

    #[test]
    fn two_nodes_fit_when_each_reads_what_the_other_makes() {
        let prints = |root: &str, reads: &[&str]| RootPrints {
            root: root.to_owned(),
            reads: reads.iter().map(|print| (*print).to_owned()).collect(),
        };
        let (old, coming) = (prints("old", &["old"]), prints("old", &["old", "new"]));
        let (moving, new) = (prints("new", &["new", "old"]), prints("new", &["new"]));
        for (one, other, fit) in [
            (&old, &coming, true),
            (&coming, &moving, true),
            (&moving, &new, true),
            (&old, &moving, false),
            (&old, &new, false),
            (&coming, &new, false),
        ] {
            assert_eq!((one.fit(other), other.fit(one)), (fit, fit), "{one:?} {other:?}");
            assert!(one.fit(one) && other.fit(other));
        }
    }

    #[test]
    fn a_short_root_secret_is_refused() {
        assert!(RootSecret::new([7_u8; 31]).is_err());
    }
}
