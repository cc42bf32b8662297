//! Keys of every organization, for instance admins.

use async_trait::async_trait;
use domain::access::permission::InstanceKeys;
use domain::access::{Grant, SystemScope};
use domain::audit::AuditEvent;
use domain::id::OrganizationId;
use domain::key::instance::InstanceKeyStore;
use domain::key::port::{KeyFilter, KeyPosition, Revoked};
use domain::key::{KeyId, KeyRecord};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, QueryFilter};

use super::entity::api_key;
use super::fault::store_fault;
use super::key_pages::key_page;
use super::key_rows::{KeyRow, records, with_names};
use super::keys::SqlKeyStore;
use super::scoped::unscoped;

const REASON: &str = "instance admins look after every organization's keys";

#[async_trait]
impl InstanceKeyStore for SqlKeyStore {
    async fn list_all(
        &self,
        _: &Grant<InstanceKeys>,
        organization: Option<OrganizationId>,
        filter: &KeyFilter,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, StoreFault> {
        let mut keys = unscoped(REASON).find::<api_key::Entity>();
        if let Some(organization) = organization {
            keys = keys.filter(api_key::Column::OrganizationId.eq(organization.as_uuid()));
        }
        key_page(self.db.reader(), keys, filter, page).await
    }

    async fn get_any(&self, _: &Grant<InstanceKeys>, id: KeyId) -> Result<Option<KeyRecord>, StoreFault> {
        let row = with_names(unscoped(REASON).find::<api_key::Entity>())
            .filter(api_key::Column::Id.eq(id.as_token_part()))
            .into_model::<KeyRow>()
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        Ok(records(self.db.reader(), row.into_iter().collect()).await?.into_iter().next())
    }

    async fn revoke_any(
        &self,
        grant: &Grant<InstanceKeys>,
        id: KeyId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<Revoked>, StoreFault> {
        let Some(found) = self.get_any(grant, id).await? else { return Ok(None) };
        let organization = found.facts.organization.id;
        // Not the instance admin's own organization: it is the key's whose log must tell.
        let event = AuditEvent { organization: Some(organization), ..event };
        let scope = SystemScope::new(organization, REASON);
        self.revoke_key(self.begin().await?, &scope, id, grant.user().id, at, event).await
    }
}
