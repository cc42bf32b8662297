//! The verifier: from the text in a header to a scope. The only maker of a key's scope.

use std::sync::Arc;

use super::digest::{Digest, TokenKeys};
use super::model::KeyFacts;
use super::port::{KeyDirectory, LiveKey};
use super::token::{KeyId, NotAToken, PresentedToken};
use crate::access::TenantScope;
use crate::id::OrganizationId;
use crate::store::StoreFault;
use crate::tenant::port::TenantDirectory;
use crate::tenant::resolve::{Admission, claim};
use crate::tenant::{Presence, Standing, Surface, Tenant, TenantClaim, TenantParams, TenantRefusal};
use crate::time::Clock;

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

/// Why no scope came of a verified key.
#[derive(Debug, thiserror::Error)]
pub enum ScopeFault {
    /// The caller may not speak for the tenant.
    #[error(transparent)]
    Refused(#[from] TenantRefusal),
    /// The store could not answer.
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
        /// The digest that it may be stored under yet, while the root secret is being replaced.
        previous: Option<Digest>,
    },
}

/// A scope, and whether its tenant was created for it just now.
#[derive(Debug)]
pub struct Resolved {
    /// What the request may do.
    pub scope: TenantScope,
    /// The tenant was never seen before this request.
    pub first_use: bool,
}

/// Turns tokens into scopes.
pub struct Verifier<K, T, C> {
    token_keys: TokenKeys,
    keys: K,
    tenants: T,
    clock: C,
}

impl<K: KeyDirectory, T: TenantDirectory, C: Clock> Verifier<K, T, C> {
    /// Puts a verifier together.
    pub const fn new(token_keys: TokenKeys, keys: K, tenants: T, clock: C) -> Self {
        Self { token_keys, keys, tenants, clock }
    }

    /// Verifies a token as far as memory goes.
    ///
    /// # Errors
    /// [`Unauthenticated`]
    pub fn verify_cached(&self, token: &str) -> Result<Recalled<K::Live>, Unauthenticated> {
        let presented = PresentedToken::parse(token, &self.token_keys)?;
        let digest = presented.digest(&self.token_keys);
        if let Some(live) = self.keys.cached(&digest) {
            return self.still_valid(live).map(Recalled::Verified);
        }
        let previous = presented.previous_digest(&self.token_keys);
        Ok(Recalled::AskStore { claimed: presented.key(), digest, previous })
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`VerifyFault`]
    pub async fn verify(&self, token: &str) -> Result<VerifiedKey<K::Live>, VerifyFault> {
        match self.verify_cached(token)? {
            Recalled::Verified(verified) => Ok(verified),
            Recalled::AskStore { claimed, digest, previous } => {
                let live =
                    self.keys.load(&digest, previous.as_ref()).await?.ok_or(Unauthenticated::Unknown { claimed })?;
                Ok(self.still_valid(live)?)
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

    fn still_valid(&self, live: K::Live) -> Result<VerifiedKey<K::Live>, Unauthenticated> {
        let key = live.facts().id;
        if live.has_ended() {
            return Err(Unauthenticated::Revoked { key });
        }
        match live.ends_at() {
            Some(end) if end <= self.clock.now() => Err(match live.facts().expires_at {
                Some(expiry) if expiry <= end => Unauthenticated::Expired { key },
                _ => Unauthenticated::Rotated { key },
            }),
            _ => Ok(VerifiedKey { live }),
        }
    }

    /// Resolves the tenant that a verified key speaks for, from memory when it is there.
    ///
    /// # Errors
    /// [`ScopeFault`]
    pub async fn scope(
        &self,
        verified: &VerifiedKey<K::Live>,
        surface: Surface,
        params: TenantParams,
    ) -> Result<Resolved, ScopeFault> {
        let facts = verified.facts();
        let claim = claim(&**facts, surface, params)?;
        let standing = match self.known_standing(facts, &claim) {
            Some(standing) => standing,
            None => self.tenants.standing(facts, &claim).await?,
        };
        let (tenant, first_use) = match claim.admit(facts.tenants, &standing)? {
            Admission::Known(tenant) => (tenant, false),
            Admission::FirstUse => (self.first_use(facts, &claim).await?, true),
        };
        Ok(Resolved { scope: TenantScope::of_key(Arc::clone(facts), tenant), first_use })
    }

    /// Resolves without waiting, as far as memory goes. None means: ask [`Verifier::scope`].
    ///
    /// # Errors
    /// [`TenantRefusal`]
    pub fn scope_cached(
        &self,
        verified: &VerifiedKey<K::Live>,
        surface: Surface,
        params: TenantParams,
    ) -> Result<Option<TenantScope>, TenantRefusal> {
        let facts = verified.facts();
        let claim = claim(&**facts, surface, params)?;
        let Some(standing) = self.known_standing(facts, &claim) else { return Ok(None) };
        Ok(match claim.admit(facts.tenants, &standing)? {
            Admission::Known(tenant) => Some(TenantScope::of_key(Arc::clone(facts), tenant)),
            Admission::FirstUse => None,
        })
    }

    fn known_standing(&self, facts: &KeyFacts, claim: &TenantClaim) -> Option<Standing> {
        match claim {
            TenantClaim::Owner | TenantClaim::Organization => Some(Standing { listed: true, org: None, user: None }),
            TenantClaim::Below { .. } => self.tenants.cached(facts, claim),
        }
    }

    async fn first_use(&self, facts: &KeyFacts, claim: &TenantClaim) -> Result<Tenant, ScopeFault> {
        let created = self.tenants.create(facts, claim).await?;
        match claim.admit(facts.tenants, &created)? {
            Admission::Known(tenant) => Ok(tenant),
            Admission::FirstUse => {
                debug_assert!(!matches!(created.user, Some(Presence::Active(_))));
                Err(StoreFault::Corrupt("a tenant that was just created is not there".to_owned()).into())
            }
        }
    }
}
