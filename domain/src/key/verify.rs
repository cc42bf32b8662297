//! The verifier: from the text in a header to a verified key. The only maker of one.

use std::sync::Arc;

use super::digest::{Digest, TokenKeys};
use super::model::KeyFacts;
use super::port::{KeyDirectory, LiveKey};
use super::token::{KeyId, NotAToken, PresentedToken};
use crate::id::OrganizationId;
use crate::store::StoreFault;
use crate::time::{Clock, Timestamp};

/// Why a token was refused. Every variant is the same 401 to the caller; the reason goes to the audit log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// Not a token of ours.
    #[error(transparent)]
    NotAToken(#[from] NotAToken),
    /// A well-formed token that no key has: revoked, rotated away or of a restored backup.
    #[error("no such key")]
    Unknown {
        /// The key-id that the token claims.
        claimed: KeyId,
    },
    /// The key's time is over.
    #[error("expired")]
    Expired {
        /// The key.
        key: KeyId,
    },
    /// The token was rotated away, and its grace is over.
    #[error("rotated")]
    Rotated {
        /// The key.
        key: KeyId,
    },
    /// The key was revoked while the request was under way.
    #[error("revoked")]
    Revoked {
        /// The key.
        key: KeyId,
    },
}

/// Why no verified key came of a token.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFault {
    /// The caller's doing: 401.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// Ours: 503, never 401.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// A key whose token was presented and holds.
#[derive(Debug, Clone)]
pub struct VerifiedKey<L> {
    live: L,
}

impl<L: LiveKey> VerifiedKey<L> {
    /// What is known of the key.
    #[must_use]
    pub fn facts(&self) -> &Arc<KeyFacts> {
        self.live.facts()
    }

    /// The shared state of the key, to notice its end.
    #[must_use]
    pub const fn live(&self) -> &L {
        &self.live
    }
}

/// What memory knows of a presented token.
#[derive(Debug)]
pub enum Recalled<L> {
    /// Its key, verified.
    Verified(VerifiedKey<L>),
    /// Nothing: the store has to be asked for this digest.
    AskStore {
        /// The key-id that the token claims.
        claimed: KeyId,
        /// The token's digest.
        digest: Digest,
        /// The digest that it may be stored under as well, while the root secret is being replaced.
        other: Option<Digest>,
    },
}

/// Turns tokens into verified keys.
pub struct Verifier<K, C> {
    token_keys: TokenKeys,
    keys: K,
    clock: C,
}

impl<K: KeyDirectory, C: Clock> Verifier<K, C> {
    /// Puts a verifier together.
    pub const fn new(token_keys: TokenKeys, keys: K, clock: C) -> Self {
        Self { token_keys, keys, clock }
    }

    /// Verifies a token as far as memory goes.
    ///
    /// # Errors
    /// [`Unauthenticated`]
    pub fn verify_cached(&self, token: &str) -> Result<Recalled<K::Live>, Unauthenticated> {
        let presented = PresentedToken::parse(token, &self.token_keys)?;
        let digest = presented.digest(&self.token_keys);
        if let Some(live) = self.keys.cached(&digest)
            && let Some(verified) = self.still_valid(live)?
        {
            return Ok(Recalled::Verified(verified));
        }
        let other = presented.other_digest(&self.token_keys);
        if let Some(live) = other.as_ref().and_then(|other| self.keys.cached(other))
            && let Some(verified) = self.still_valid(live)?
        {
            return Ok(Recalled::Verified(verified));
        }
        Ok(Recalled::AskStore { claimed: presented.key(), digest, other })
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`VerifyFault`]
    pub async fn verify(&self, token: &str) -> Result<VerifiedKey<K::Live>, VerifyFault> {
        match self.verify_cached(token)? {
            Recalled::Verified(verified) => Ok(verified),
            Recalled::AskStore { claimed, digest, other } => {
                let live =
                    self.keys.load(&digest, other.as_ref()).await?.ok_or(Unauthenticated::Unknown { claimed })?;
                let doubted = || StoreFault::Unavailable("nobody knows whether the key has ended".into());
                Ok(self.still_valid(live)?.ok_or_else(doubted)?)
            }
        }
    }

    /// The organization of a refused key, for the audit log alone.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn organization_of(&self, key: KeyId) -> Result<Option<OrganizationId>, StoreFault> {
        self.keys.organization_of(key).await
    }

    /// None when nobody knows.
    fn still_valid(&self, live: K::Live) -> Result<Option<VerifiedKey<K::Live>>, Unauthenticated> {
        let key = live.facts().id;
        if live.has_ended() {
            return if live.is_doubted() { Ok(None) } else { Err(Unauthenticated::Revoked { key }) };
        }
        match live.ends_at() {
            Some(end) if end <= self.clock.now() => Err(match live.facts().expires_at {
                Some(expiry) if expiry <= end => Unauthenticated::Expired { key },
                _ => Unauthenticated::Rotated { key },
            }),
            _ => Ok(Some(VerifiedKey { live })),
        }
    }
}

/// Whether a key's time is over.
#[must_use]
pub fn expired(facts: &KeyFacts, now: Timestamp) -> bool {
    facts.expires_at.is_some_and(|end| end <= now)
}
