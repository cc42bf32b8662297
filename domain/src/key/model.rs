//! A key as data: what it may do, whose it is, and what is known of its life.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::token::KeyId;
use crate::access::{PermissionSet, Role};
use crate::id::{OrganizationId, ServerId, UserId};
use crate::organization::{OrganizationRef, UserRef};
use crate::tenant::TenantRule;
use crate::text::{Description, Name};
use crate::time::Timestamp;

/// Whom a key may speak for. Fixed at creation, and not visible in the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// One person: the key's owner.
    Solo,
    /// One company; its people connect with `?user_id=`.
    Client,
    /// A SaaS with many customers; `?org_id=` and `?user_id=`.
    Platform,
}

impl KeyType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::Solo, Self::Client, Self::Platform];

    /// The type's name in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Solo => "solo",
            Self::Client => "client",
            Self::Platform => "platform",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Which servers a key may reach, of those that its owner reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyServers {
    /// Every server, also those that are registered later.
    All,
    /// These alone.
    Listed(HashSet<ServerId>),
}

impl KeyServers {
    /// Whether the key's list lets this server through.
    #[must_use]
    pub fn permit(&self, server: ServerId) -> bool {
        match self {
            Self::All => true,
            Self::Listed(servers) => servers.contains(&server),
        }
    }
}

/// Most requests that a limit can allow, and the longest time that it can count over, in seconds: a day.
pub const RATE_REQUESTS_MAX: u32 = 1_000_000_000;
/// See [`RATE_REQUESTS_MAX`].
pub const RATE_SECONDS_MAX: u32 = 86_400;

/// At most so many requests in any so many seconds; neither is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    requests: u32,
    per_seconds: u32,
}

/// The numbers make no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRateLimit {
    /// Not 1 to [`RATE_REQUESTS_MAX`].
    #[error(
        "must be 1 to {RATE_REQUESTS_MAX} requests; revoke the key to allow none, and leave the limit out to allow all"
    )]
    Requests,
    /// Not 1 to [`RATE_SECONDS_MAX`].
    #[error("must be 1 to {RATE_SECONDS_MAX} seconds")]
    Seconds,
}

impl RateLimit {
    /// A limit of `requests` in any `per_seconds`.
    ///
    /// # Errors
    /// [`InvalidRateLimit`]
    pub const fn new(requests: u32, per_seconds: u32) -> Result<Self, InvalidRateLimit> {
        if requests == 0 || requests > RATE_REQUESTS_MAX {
            return Err(InvalidRateLimit::Requests);
        }
        if per_seconds == 0 || per_seconds > RATE_SECONDS_MAX {
            return Err(InvalidRateLimit::Seconds);
        }
        Ok(Self { requests, per_seconds })
    }

    /// How many requests.
    #[must_use]
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// In how many seconds.
    #[must_use]
    pub const fn per_seconds(&self) -> u32 {
        self.per_seconds
    }
}

/// What a request needs to know of its key: read once, then shared by every request of the key until something changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key's id.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: Arc<str>,
    /// The display hint, `kr_<key-id>_…`.
    pub hint: Arc<str>,
    /// Whom it may speak for.
    pub kind: KeyType,
    /// The organization it belongs to.
    pub organization: OrganizationRef,
    /// The person it belongs to.
    pub owner: UserRef,
    /// The role that was frozen at its creation.
    pub role: Role,
    /// The permissions chosen at its creation.
    pub permissions: PermissionSet,
    /// The servers it may reach.
    pub servers: KeyServers,
    /// The tenants it may speak for.
    pub tenants: TenantRule,
    /// Counts the changes of its allowed tenants, so that what was remembered under an earlier number is not used.
    pub tenants_version: i32,
    /// The limit of its own, if any.
    pub rate_limit: Option<RateLimit>,
    /// From when on it is refused; none for never.
    pub expires_at: Option<Timestamp>,
}

/// A key as its owner and admins see it. Never holds the secret, nor a digest of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// What requests need to know.
    pub facts: KeyFacts,
    /// A longer explanation.
    pub description: Option<Description>,
    /// The owner's role as it is now; none when the owner is no active member any more.
    pub owner_role: Option<Role>,
    /// When it was created, by its owner.
    pub created_at: Timestamp,
    /// When it last made a valid request, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Whether the frozen role is more than the owner's role as it is now. An owner who is no member has none.
    #[must_use]
    pub fn role_above_owner(&self) -> bool {
        self.owner_role.is_none_or(|role| self.facts.role > role)
    }
}

/// A token of a key that was rotated away and works for a while yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierToken {
    /// When it was issued.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub ends_at: Timestamp,
    /// When it last made a valid request, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// What shall be different about a key; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// The name.
    pub name: Option<Name>,
    /// The longer explanation; none inside removes it.
    pub description: Option<Option<Description>>,
    /// The permissions.
    pub permissions: Option<PermissionSet>,
    /// The servers.
    pub servers: Option<KeyServers>,
    /// The end; none inside for never.
    pub expires_at: Option<Option<Timestamp>>,
    /// The limit; none inside for no limit.
    pub rate_limit: Option<Option<RateLimit>>,
}

/// Longest time that a token works after it was rotated away: 30 days, in seconds.
pub const GRACE_MAX: u32 = 30 * 24 * 60 * 60;

/// How long a token works after it was rotated away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grace(u32);

/// The time is longer than [`GRACE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 0 to {GRACE_MAX} seconds, which is 30 days")]
pub struct InvalidGrace;

impl Grace {
    /// So many seconds; 0 for not at all.
    ///
    /// # Errors
    /// [`InvalidGrace`] above [`GRACE_MAX`].
    pub const fn seconds(seconds: u32) -> Result<Self, InvalidGrace> {
        if seconds > GRACE_MAX { Err(InvalidGrace) } else { Ok(Self(seconds)) }
    }

    /// The time itself.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// A key about to be stored.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The id inside the token.
    pub id: KeyId,
    /// The prefix inside the token.
    pub prefix: String,
    /// The organization.
    pub organization: OrganizationId,
    /// The owner and creator.
    pub owner: UserId,
    /// The name.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// Whom it may speak for.
    pub kind: KeyType,
    /// The frozen role.
    pub role: Role,
    /// The chosen permissions.
    pub permissions: PermissionSet,
    /// The servers it may reach.
    pub servers: KeyServers,
    /// The tenants it may speak for.
    pub tenants: crate::tenant::AllowedTenants,
    /// A limit of its own.
    pub rate_limit: Option<RateLimit>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}
