//! What instance admins may do: see and revoke the keys of every organization. Their grant is the only way there.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::KeyRecord;
use super::port::{KeyFilter, KeyPosition, Revoked};
use super::service::KeyFault;
use super::token::KeyId;
use crate::access::Grant;
use crate::access::permission::InstanceKeys;
use crate::audit::AuditEvent;
use crate::id::OrganizationId;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::{Clock, Timestamp};

/// The keys of every organization.
#[async_trait]
pub trait InstanceKeyStore: Send + Sync {
    /// A page of keys, newest first, of one organization or of all.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list_all(
        &self,
        grant: &Grant<InstanceKeys>,
        organization: Option<OrganizationId>,
        filter: &KeyFilter,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, StoreFault>;

    /// One key, whosever it is.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get_any(&self, grant: &Grant<InstanceKeys>, id: KeyId) -> Result<Option<KeyRecord>, StoreFault>;

    /// Ends a key, like [`super::port::KeyStore::revoke`].
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn revoke_any(
        &self,
        grant: &Grant<InstanceKeys>,
        id: KeyId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<Revoked>, StoreFault>;
}

/// The use cases of instance admins.
pub struct InstanceKeyService<C> {
    store: Arc<dyn InstanceKeyStore>,
    clock: C,
}

impl<C: Clock> InstanceKeyService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn InstanceKeyStore>, clock: C) -> Self {
        Self { store, clock }
    }

    /// A page of keys of one organization or of all.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn list(
        &self,
        grant: &Grant<InstanceKeys>,
        organization: Option<OrganizationId>,
        filter: &KeyFilter,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, KeyFault> {
        Ok(self.store.list_all(grant, organization, filter, page).await?)
    }

    /// One key.
    ///
    /// # Errors
    /// [`KeyFault::NotFound`]
    pub async fn get(&self, grant: &Grant<InstanceKeys>, id: KeyId) -> Result<KeyRecord, KeyFault> {
        self.store.get_any(grant, id).await?.ok_or(KeyFault::NotFound)
    }

    /// Revokes a key, for good. Revoking it again changes nothing and succeeds.
    ///
    /// # Errors
    /// [`KeyFault::NotFound`]
    pub async fn revoke(&self, grant: &Grant<InstanceKeys>, id: KeyId, event: AuditEvent) -> Result<Revoked, KeyFault> {
        self.store.revoke_any(grant, id, self.clock.now(), event).await?.ok_or(KeyFault::NotFound)
    }
}
