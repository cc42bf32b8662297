//! What keys ask of a store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::digest::Digest;
use super::model::{KeyFacts, KeyRecord, NewKey};
use super::token::KeyId;
use crate::access::permission::{ApiKeysRead, ApiKeysWrite};
use crate::access::{Grant, TenantScope};
use crate::audit::AuditEvent;
use crate::id::{OrganizationId, ServerId, UserId};
use crate::page::{Page, PageRequest};
use crate::store::{StoreFault, WriteFault};
use crate::tenant::{AllowedTenants, TenantText};
use crate::time::Timestamp;

/// A key in use: its facts, and whether it has ended since they were read.
pub trait LiveKey: Clone + Send + Sync {
    /// What was read of the key.
    fn facts(&self) -> &Arc<KeyFacts>;

    /// Whether the key was revoked since. Once true, always true.
    fn has_ended(&self) -> bool;
}

/// Finds keys for requests: from memory, else from the store.
#[async_trait]
pub trait KeyDirectory: Send + Sync {
    /// The shared state of a key in use.
    type Live: LiveKey;

    /// What memory holds, without waiting.
    fn cached(&self, digest: &Digest) -> Option<Self::Live>;

    /// What the store holds: one indexed look-up. None when no key has this digest.
    ///
    /// # Errors
    /// [`StoreFault`] when the store cannot answer; never read as "no such key".
    async fn load(&self, digest: &Digest) -> Result<Option<Self::Live>, StoreFault>;

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

/// A revocation that was committed, or had been before.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The key as it stands now.
    pub record: KeyRecord,
    /// Whether this call ended it.
    pub newly: bool,
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

    /// A page of keys, newest first; revoked ones or live ones.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<ApiKeysRead>,
        owners: KeyOwners,
        revoked: bool,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, StoreFault>;

    /// The tenants that a key lists, as they were written: the first `limit` of them, and how many there are. None for a
    /// key without a list.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn listed_tenants(
        &self,
        grant: &Grant<ApiKeysRead>,
        key: &KeyFacts,
        limit: u64,
    ) -> Result<Option<(AllowedTenants, u64)>, StoreFault>;

    /// How many servers of the organization take calls.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn active_servers(&self, grant: &Grant<ApiKeysRead>) -> Result<u64, StoreFault>;

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
