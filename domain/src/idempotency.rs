//! Writes that may be repeated: the caller names a write with `Idempotency-Key`, and asking again gives the first
//! answer instead of a second thing.
//!
//! A write is claimed before it is made, and its answer is kept after. So nothing is made twice; what can be lost, by a
//! crash in between, is the answer: then the claim stands, and asking again says that nobody knows ([`Claimed::Unknown`]).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::access::{Actor, TenantScope};
use crate::id::OrganizationId;
use crate::root::{Purpose, RootSecret};
use crate::store::StoreFault;
use crate::time::Timestamp;

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_hours(24);
/// After this long a claim without an answer is no longer under way: its request has ended, and nobody knows how.
pub const LONGEST: Duration = Duration::from_mins(1);
/// Longest key, in characters.
pub const KEY_MAX: usize = 255;

/// What a caller calls its write.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text cannot be such a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be given once, 1 to {KEY_MAX} visible ASCII characters; a random UUID is a good one")]
pub struct InvalidIdempotencyKey;

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if (1..=KEY_MAX).contains(&text.len()) && visible {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Callers may take anything for it, also what they should not.
        out.write_str("IdempotencyKey(…)")
    }
}

/// A write as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, in its canonical form.
    pub path: &'a str,
    /// The query, as it was sent.
    pub query: &'a str,
    /// The body, as it was sent.
    pub body: &'a [u8],
}

/// A caller's claim to a write. Neither the key nor the body can be read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The caller's organization.
    pub organization: OrganizationId,
    /// The caller: `key_…` or `usr_…`.
    pub actor: String,
    /// Keyed digest of the caller's name for the write.
    pub digest: [u8; 32],
    /// Keyed digest of what was asked.
    pub fingerprint: [u8; 32],
    /// The two under another root secret, while it is being replaced: another node may have taken the claim under them.
    pub other: Option<ClaimName>,
}

/// A claim's digests under one root secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimName {
    /// Keyed digest of the caller's name for the write.
    pub digest: [u8; 32],
    /// Keyed digest of what was asked.
    pub fingerprint: [u8; 32],
}

/// Makes claims. The digests are keyed, since bodies hold credentials that could be guessed from a plain one.
pub struct Claims {
    key: Zeroizing<[u8; 32]>,
    other: Option<Zeroizing<[u8; 32]>>,
}

impl Claims {
    /// With the key that is derived from the root secret.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self { key: root.derive(Purpose::Idempotency), other: None }
    }

    /// The same, and knows what was claimed under another root secret.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>) -> Self {
        Self { other: root.map(|root| root.derive(Purpose::Idempotency)), ..self }
    }

    /// The claim of this caller to what it asks.
    #[must_use]
    pub fn claim(&self, scope: &TenantScope, key: &IdempotencyKey, asked: Asked<'_>) -> Claim {
        let actor = match scope.actor() {
            Actor::Key(facts) => facts.id.to_string(),
            Actor::Member(facts) => facts.user.id.to_string(),
        };
        let parts = [asked.method.as_bytes(), asked.path.as_bytes(), asked.query.as_bytes(), asked.body];
        let name = |under: &[u8; 32]| ClaimName {
            digest: digest(under, &[b"key", key.0.as_bytes()]),
            fingerprint: digest(under, &parts),
        };
        let ClaimName { digest, fingerprint } = name(&self.key);
        let other = self.other.as_ref().map(|other| name(other));
        Claim { organization: scope.organization().id, actor, digest, fingerprint, other }
    }
}

/// Each part with its length before it, so that no two lists of parts look alike.
fn digest(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: String,
}

/// What a claim met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing: the write is the caller's to make, and its end to be told with [`IdempotencyStore::end`].
    First,
    /// The write was made; this was the answer.
    Again(KeptAnswer),
    /// The write is being made.
    UnderWay,
    /// The first request has ended, and whether it made the thing is not known.
    Unknown,
    /// The caller used this key for something else.
    Other,
}

/// How a claimed write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was made.
    Made(KeptAnswer),
    /// It was refused and nothing was made: it may be asked again under the same key.
    Refused,
    /// It failed, and may have been made.
    Unknown,
}

/// Keeps claims and answers.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// Claims a write. Of several at once, one is [`Claimed::First`].
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn claim(&self, claim: &Claim, at: Timestamp) -> Result<Claimed, StoreFault>;

    /// Notes how a claimed write ended.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn end(&self, claim: &Claim, ended: Ended) -> Result<(), StoreFault>;

    /// Forgets what was claimed before this point in time; how much that was.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn forget(&self, before: Timestamp) -> Result<u64, StoreFault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii_of_bounded_length() {
        for good in ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", &"~".repeat(255)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "é", "a\u{7f}", &"a".repeat(256)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest(&[7; 32], &[b"ab", b"c"]), digest(&[7; 32], &[b"a", b"bc"]));
        assert_ne!(digest(&[7; 32], &[b"a"]), digest(&[8; 32], &[b"a"]));
    }
}
