//! What keys ask of a store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::digest::Digest;
use super::model::{EarlierToken, KeyChange, KeyFacts, KeyRecord, KeyType, NewKey};
use super::token::KeyId;
use crate::access::permission::{ApiKeysAdminister, ApiKeysRead, ApiKeysWrite, KeysVerify};
use crate::access::rehearse::KeyStanding;
use crate::access::{Grant, TenantScope};
use crate::audit::AuditEvent;
use crate::id::{OrganizationId, ServerId, UserId};
use crate::page::{Page, PageRequest};
use crate::receipt::Receipt;
use crate::store::{StoreFault, WriteFault};
use crate::tenant::{AllowedTenants, TenantText};
use crate::time::Timestamp;

/// A key in use: its facts, and whether it has ended since they were read.
pub trait LiveKey: Clone + Send + Sync {
    /// What was read of the key.
    fn facts(&self) -> &Arc<KeyFacts>;

    /// Whether the key was revoked since, the token ended at once, or nobody knows. Once true, always true.
    fn has_ended(&self) -> bool;

    /// Whether nobody knows: what is under way must not go on, and its caller may be in the right.
    fn is_doubted(&self) -> bool;

    /// From when on the token is refused, by the key's expiry or its own after a rotation; none for never.
    fn ends_at(&self) -> Option<Timestamp>;
}

/// Finds keys for requests: from memory, else from the store.
#[async_trait]
pub trait KeyDirectory: Send + Sync {
    /// The shared state of a key in use.
    type Live: LiveKey;

    /// What memory holds, without waiting.
    fn cached(&self, digest: &Digest) -> Option<Self::Live>;

    /// What the store holds: one indexed look-up. None when no key has this digest, nor its `other` one, under
    /// which a token may be stored while the root secret is being replaced.
    ///
    /// # Errors
    /// [`StoreFault`] when the store cannot answer; never read as "no such key".
    async fn load(&self, digest: &Digest, other: Option<&Digest>) -> Result<Option<Self::Live>, StoreFault>;

    /// The organization of a key that no longer verifies, for the audit log alone.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn organization_of(&self, key: KeyId) -> Result<Option<OrganizationId>, StoreFault>;
}

/// Whose keys a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwners {
    /// One person's.
    Of(UserId),
    /// Everybody's in the organization.
    Everybody,
}

/// Where a page of keys begins: keys are listed newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPosition {
    /// Creation of the last key on the page before.
    pub created_at: Timestamp,
    /// Its id, for keys of the same instant.
    pub id: KeyId,
}

/// Which of the keys a list shows; what is none does not matter.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// The revoked ones instead of the live ones.
    pub revoked: bool,
    /// Of this type.
    pub kind: Option<KeyType>,
    /// Of this person.
    pub owner: Option<UserId>,
    /// With this in their name, in any case.
    pub name: Option<String>,
    /// Expired by then, or not.
    pub expired: Option<(bool, Timestamp)>,
    /// Whose frozen role is more than their owner's role now, or is not.
    pub role_above_owner: Option<bool>,
}

/// A new token for a key.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The digest of the new token.
    pub digest: Digest,
    /// What it begins with.
    pub prefix: String,
    /// When it was made.
    pub at: Timestamp,
    /// When all earlier ones end at the latest; now or earlier for at once.
    pub earlier_end: Timestamp,
}

/// Most tokens of a key that were rotated away and still work.
pub const EARLIER_MAX: usize = 4;

/// Why a key got no new token.
#[derive(Debug, thiserror::Error)]
pub enum RotateFault {
    /// As many as may be were rotated away and still work.
    #[error("{EARLIER_MAX} earlier tokens of the key still work; wait until one ends, or rotate with graceSeconds 0")]
    TooMany,
    /// The store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for RotateFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// What hangs on keys and is shown with them, for a whole page at once.
#[derive(Debug, Clone, Default)]
pub struct KeyDetails {
    /// The servers that they list.
    pub servers: HashMap<ServerId, ListedServer>,
    /// The servers of their organizations that take calls.
    pub active_servers: HashMap<OrganizationId, HashSet<ServerId>>,
    /// The tenants of those that have a list: the first ones, and how many there are.
    pub tenants: HashMap<KeyId, (AllowedTenants, u64)>,
    /// The tokens that were rotated away and still work, newest first.
    pub earlier: HashMap<KeyId, Vec<EarlierToken>>,
}

/// A revocation that was committed, or had been before.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The key as it stands now.
    pub record: KeyRecord,
    /// Whether this call ended it.
    pub newly: bool,
    /// Which nodes had let go of it.
    pub receipt: Receipt,
}

/// Which keys to revoke at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysOf {
    /// A person's.
    Owner(UserId),
    /// Those whose lists name a tenant: a tenant org, a user of it, or without an org a user of the organization itself.
    Tenant {
        /// The tenant org.
        org: Option<TenantText>,
        /// The tenant user.
        user: Option<TenantText>,
    },
}

/// What became of the keys that were to be revoked at once.
#[derive(Debug, Clone)]
pub struct RevokedMany {
    /// They are revoked now, and were not before.
    pub revoked: Vec<KeyRecord>,
    /// They speak for others too; the tenant is no longer on their lists.
    pub narrowed: Vec<KeyRecord>,
    /// Which nodes had let go of them.
    pub receipt: Receipt,
}

/// A change of a key's allowed tenants.
#[derive(Debug, Clone)]
pub enum TenantsChange {
    /// These instead of the present ones.
    Replace(AllowedTenants),
    /// First remove, then add. Neither may say `"*"`.
    Patch {
        /// To add.
        add: AllowedTenants,
        /// To remove.
        remove: AllowedTenants,
    },
}

/// A server that a key lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedServer {
    /// The id.
    pub id: ServerId,
    /// The name for addresses.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// Whether it takes calls.
    pub active: bool,
}

/// Why a change of tenants was not made.
#[derive(Debug, thiserror::Error)]
pub enum TenantsFault {
    /// A user was to be removed from a tenant org whose users are all allowed.
    #[error("all users of {org} are allowed; replace that tenant org with a list of users first")]
    AllUsers {
        /// The tenant org.
        org: TenantText,
    },
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Keeps keys. Every call takes the grant that it needs, and every change the event that records it: the store writes
/// both or neither, and no event when nothing changed.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Stores a new key and the digest of its token, in one transaction.
    ///
    /// # Errors
    /// [`WriteFault`]
    async fn insert(
        &self,
        grant: &Grant<ApiKeysWrite>,
        key: NewKey,
        digest: Digest,
        event: AuditEvent,
    ) -> Result<KeyRecord, WriteFault>;

    /// One key of the organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<ApiKeysRead>, id: KeyId) -> Result<Option<KeyRecord>, StoreFault>;

    /// One key of the organization, and whether a token of it would verify.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn standing(&self, grant: &Grant<KeysVerify>, id: KeyId) -> Result<Option<KeyStanding>, StoreFault>;

    /// A page of keys, newest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<ApiKeysRead>,
        owners: KeyOwners,
        filter: &KeyFilter,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, StoreFault>;

    /// What is shown with these keys, which were read under a grant; of each list of tenants the first `tenants`. Takes as
    /// many queries for a page as for one key.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn details(&self, records: &[KeyRecord], tenants: u64, at: Timestamp) -> Result<KeyDetails, StoreFault>;

    /// Changes a key. When it returns, every request that starts sees the change. None when there is no such key, or it is
    /// revoked.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn change(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        change: KeyChange,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, StoreFault>;

    /// Gives a key a new token, and its earlier ones their end. When it returns, every request that starts sees it. None
    /// when there is no such key, or it is revoked.
    ///
    /// # Errors
    /// [`RotateFault`]
    async fn rotate(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        rotation: Rotation,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, RotateFault>;

    /// Changes a key's allowed tenants. When it returns, every request that starts sees the change. None when there is no
    /// such key, or it is revoked.
    ///
    /// # Errors
    /// [`TenantsFault`]
    async fn change_tenants(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        change: TenantsChange,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, TenantsFault>;

    /// Ends a key: deletes its digests and marks its metadata, in one transaction, and returns when no node's memory
    /// holds it any more.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn revoke(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<Revoked>, StoreFault>;

    /// Ends many keys in one transaction. A key whose list names the tenant and others too only loses it. Returns when no
    /// node's memory holds any of them as it was.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn revoke_many(
        &self,
        grant: &Grant<ApiKeysAdminister>,
        which: &KeysOf,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<RevokedMany, StoreFault>;

    /// Those of these servers that the organization has.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn servers_named(
        &self,
        scope: &TenantScope,
        servers: &HashSet<ServerId>,
    ) -> Result<HashMap<ServerId, ListedServer>, StoreFault>;
}
