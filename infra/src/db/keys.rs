//! Keeping keys: their metadata, their lists, their end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::access::permission::{ApiKeysAdminister, ApiKeysRead, ApiKeysWrite, KeysVerify};
use domain::access::rehearse::KeyStanding;
use domain::access::{Grant, TenantScope, WithinOrganization};
use domain::audit::AuditEvent;
use domain::id::{ServerId, UserId};
use domain::key::model::{KeyChange, NewKey};
use domain::key::port::{
    KeyDetails, KeyFilter, KeyOwners, KeyPosition, KeyStore, KeysOf, ListedServer, Revoked, RevokedMany, RotateFault,
    Rotation, TenantsChange, TenantsFault,
};
use domain::key::{Digest, KeyId, KeyRecord, KeyServers};
use domain::page::{Page, PageRequest};
use domain::store::{StoreFault, WriteFault};
use domain::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, ExprTrait, QueryFilter};

use super::audit::record;
use super::commit::Changes;
use super::entity::{api_key, api_key_digest, api_key_tenant, server};
use super::fault::{store_fault, write_fault};
use super::key_changes::insert_servers;
use super::key_pages::{details, key_page, listed_server};
use super::key_rows::{permissions_to_text, rate_columns};
use super::key_tenants::{add_tenants, any_tenant, remove_tenants};
use super::key_tokens::{NewToken, insert_token, tokens};
use super::patience::DatabaseTransaction;
use super::people_rows::hold_actor;
use super::{CHUNK, Database, key_standing, scoped};
use crate::cache::Change;

/// Keys in the database.
pub struct SqlKeyStore {
    pub(super) db: Database,
    pub(super) changes: Changes,
    pub(super) root: Arc<str>,
}

impl SqlKeyStore {
    /// Keeps keys in this database, whose root secret has the fingerprint `root`.
    #[must_use]
    pub fn new(db: Database, changes: Changes, root: &str) -> Self {
        Self { db, changes, root: root.into() }
    }

    pub(super) async fn record(
        &self,
        db: &impl ConnectionTrait,
        scope: &impl WithinOrganization,
        id: KeyId,
    ) -> Result<Option<KeyRecord>, StoreFault> {
        key_standing::record(db, scope, id).await
    }

    pub(super) async fn revoke_key(
        &self,
        transaction: DatabaseTransaction,
        scope: &impl WithinOrganization,
        id: KeyId,
        by: UserId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<Revoked>, StoreFault> {
        let marked = scoped::update::<api_key::Entity>(scope)
            .filter(api_key::Column::Id.eq(id.as_token_part()))
            .filter(api_key::Column::RevokedAt.is_null())
            .col_expr(api_key::Column::RevokedAt, at.as_micros().into())
            .col_expr(api_key::Column::RevokedBy, by.as_uuid().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let tokens = tokens(&transaction, scope, id, None).await?;
        scoped::delete::<api_key_digest::Entity>(scope)
            .filter(api_key_digest::Column::KeyId.eq(id.as_token_part()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let revoked = self.record(&transaction, scope, id).await?;
        let newly = marked.rows_affected > 0;
        if newly {
            record(&transaction, [event]).await?;
        }
        // Also when it was revoked before: whoever did may not have been answered.
        let receipt = self.changes.commit(transaction, vec![Change::KeyEnded { key: id, tokens }]).await?;
        Ok(revoked.map(|record| Revoked { record, newly, receipt }))
    }

    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, StoreFault> {
        self.db.writer().begin().await.map_err(store_fault)
    }
}

#[async_trait]
impl KeyStore for SqlKeyStore {
    async fn insert(
        &self,
        grant: &Grant<ApiKeysWrite>,
        key: NewKey,
        digest: Digest,
        event: AuditEvent,
    ) -> Result<KeyRecord, WriteFault> {
        let transaction = self.begin().await?;
        // Until the commit nobody removes or demotes them: a key never begins after its creator's end.
        hold_actor(&self.db, &transaction, grant).await?;
        let text_id = key.id.as_token_part().to_owned();
        let (rate_requests, rate_seconds) = rate_columns(key.rate_limit);
        let row = api_key::ActiveModel {
            id: ActiveValue::Set(text_id.clone()),
            organization_id: ActiveValue::NotSet,
            owner_id: ActiveValue::Set(key.owner.as_uuid()),
            prefix: ActiveValue::Set(key.prefix),
            name: ActiveValue::Set(key.name.to_string()),
            description: ActiveValue::Set(key.description.as_ref().map(ToString::to_string)),
            kind: ActiveValue::Set(key.kind.as_str().to_owned()),
            role: ActiveValue::Set(key.role.as_str().to_owned()),
            permissions: ActiveValue::Set(permissions_to_text(key.permissions)),
            all_servers: ActiveValue::Set(key.servers == KeyServers::All),
            any_tenant: ActiveValue::Set(any_tenant(&key.tenants)),
            tenants_version: ActiveValue::Set(0),
            rate_requests: ActiveValue::Set(rate_requests),
            rate_seconds: ActiveValue::Set(rate_seconds),
            created_at: ActiveValue::Set(key.created_at.as_micros()),
            expires_at: ActiveValue::Set(key.expires_at.map(Timestamp::as_micros)),
            last_used_at: ActiveValue::Set(None),
            revoked_at: ActiveValue::Set(None),
            revoked_by: ActiveValue::Set(None),
        };
        scoped::insert::<api_key::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "id"))?;
        insert_token(&transaction, grant, key.id, NewToken { issue: 1, digest, at: key.created_at, root: &self.root })
            .await
            .map_err(|error| write_fault(error, "id"))?;
        insert_servers(&transaction, grant, key.id, &key.servers).await?;
        add_tenants(&transaction, grant, key.id, &key.tenants).await?;
        let stored = self.record(&transaction, grant, key.id).await?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        stored.ok_or_else(|| StoreFault::Corrupt("a key that was just stored is not there".to_owned()).into())
    }

    async fn get(&self, grant: &Grant<ApiKeysRead>, id: KeyId) -> Result<Option<KeyRecord>, StoreFault> {
        self.record(self.db.reader(), grant, id).await
    }

    async fn standing(&self, grant: &Grant<KeysVerify>, id: KeyId) -> Result<Option<KeyStanding>, StoreFault> {
        key_standing::standing(self.db.reader(), grant, id).await
    }

    async fn list(
        &self,
        grant: &Grant<ApiKeysRead>,
        owners: KeyOwners,
        filter: &KeyFilter,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, StoreFault> {
        let mut keys = scoped::find::<api_key::Entity>(grant);
        if let KeyOwners::Of(owner) = owners {
            keys = keys.filter(api_key::Column::OwnerId.eq(owner.as_uuid()));
        }
        key_page(self.db.reader(), keys, filter, page).await
    }

    async fn details(&self, records: &[KeyRecord], tenants: u64, at: Timestamp) -> Result<KeyDetails, StoreFault> {
        details(self.db.reader(), records, tenants, at).await
    }

    async fn change(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        change: KeyChange,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, StoreFault> {
        self.change_key(grant, id, change, event).await
    }

    async fn rotate(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        rotation: Rotation,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, RotateFault> {
        self.rotate_key(grant, id, rotation, event).await
    }

    async fn change_tenants(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        change: TenantsChange,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, TenantsFault> {
        use api_key::Column;
        let transaction = self.begin().await?;
        hold_actor(&self.db, &transaction, grant).await?;
        let replaces_with = match &change {
            TenantsChange::Replace(tenants) => Some(any_tenant(tenants)),
            TenantsChange::Patch { .. } => None,
        };
        let mut update = scoped::update::<api_key::Entity>(grant)
            .filter(Column::Id.eq(id.as_token_part()))
            .filter(Column::RevokedAt.is_null())
            .col_expr(Column::TenantsVersion, Expr::col(Column::TenantsVersion).add(1));
        if let Some(any) = replaces_with {
            update = update.col_expr(Column::AnyTenant, any.into());
        }
        // Before the lists, since it takes the row's lock: two changes at once come one after the other.
        if update.exec(&transaction).await.map_err(store_fault)?.rows_affected == 0 {
            return Ok(None);
        }
        match &change {
            TenantsChange::Replace(tenants) => {
                scoped::delete::<api_key_tenant::Entity>(grant)
                    .filter(api_key_tenant::Column::KeyId.eq(id.as_token_part()))
                    .exec(&transaction)
                    .await
                    .map_err(store_fault)?;
                add_tenants(&transaction, grant, id, tenants).await?;
            }
            TenantsChange::Patch { add, remove } => {
                remove_tenants(&transaction, grant, id, remove).await?;
                add_tenants(&transaction, grant, id, add).await?;
            }
        }
        let changed = self.record(&transaction, grant, id).await?;
        let end = changed.as_ref().and_then(|record| record.facts.expires_at);
        let tokens = tokens(&transaction, grant, id, end).await?;
        record(&transaction, [event]).await?;
        self.changes.commit(transaction, vec![Change::KeyChanged { key: id, tokens }]).await?;
        Ok(changed)
    }

    async fn revoke(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<Revoked>, StoreFault> {
        let transaction = self.begin().await?;
        hold_actor(&self.db, &transaction, grant).await?;
        self.revoke_key(transaction, grant, id, grant.user().id, at, event).await
    }

    async fn revoke_many(
        &self,
        grant: &Grant<ApiKeysAdminister>,
        which: &KeysOf,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<RevokedMany, StoreFault> {
        self.revoke_keys_of(grant, which, at, event).await
    }

    async fn servers_named(
        &self,
        scope: &TenantScope,
        servers: &HashSet<ServerId>,
    ) -> Result<HashMap<ServerId, ListedServer>, StoreFault> {
        let asked: Vec<_> = servers.iter().map(ServerId::as_uuid).collect();
        let mut named = HashMap::new();
        for chunk in asked.chunks(CHUNK) {
            let rows = scoped::find::<server::Entity>(scope)
                .filter(server::Column::Id.is_in(chunk.iter().copied()))
                .all(self.db.reader())
                .await
                .map_err(store_fault)?;
            named.extend(rows.into_iter().map(listed_server));
        }
        Ok(named)
    }
}
