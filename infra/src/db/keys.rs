//! Keeping keys: their metadata, their lists, their end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::access::permission::{ApiKeysRead, ApiKeysWrite};
use domain::access::{Grant, TenantScope, WithinOrganization};
use domain::id::ServerId;
use domain::key::model::NewKey;
use domain::key::port::{KeyOwners, KeyPosition, KeyStore, ListedServer, Revoked, TenantsChange, TenantsFault};
use domain::key::{Digest, KeyFacts, KeyId, KeyRecord, KeyServers};
use domain::page::{Page, PageRequest};
use domain::store::{StoreFault, WriteFault};
use domain::tenant::AllowedTenants;
use domain::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, ExprTrait, Order, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};

use super::commit::commit_then;
use super::entity::{api_key, api_key_digest, api_key_server, api_key_tenant, server};
use super::fault::{store_fault, write_fault};
use super::key_rows::{KeyRow, permissions_to_text, rate_columns, records, with_names};
use super::key_tenants::{add_tenants, any_tenant, listed_tenants, remove_tenants};
use super::scoped;
use super::{CHUNK, Database};
use crate::cache::KeyCache;

/// Keys in the database.
pub struct SqlKeyStore {
    db: Database,
    cache: Arc<KeyCache>,
}

impl SqlKeyStore {
    /// Keeps keys in this database, and this cache true to it.
    #[must_use]
    pub const fn new(db: Database, cache: Arc<KeyCache>) -> Self {
        Self { db, cache }
    }

    async fn record(
        &self,
        db: &impl ConnectionTrait,
        scope: &impl WithinOrganization,
        id: KeyId,
    ) -> Result<Option<KeyRecord>, StoreFault> {
        let row = with_names(scoped::find::<api_key::Entity>(scope))
            .filter(api_key::Column::Id.eq(id.as_token_part()))
            .into_model::<KeyRow>()
            .one(db)
            .await
            .map_err(store_fault)?;
        Ok(records(db, row.into_iter().collect()).await?.into_iter().next())
    }

    async fn digests(
        db: &impl ConnectionTrait,
        scope: &impl WithinOrganization,
        id: KeyId,
    ) -> Result<Vec<Digest>, StoreFault> {
        let rows = scoped::find::<api_key_digest::Entity>(scope)
            .filter(api_key_digest::Column::KeyId.eq(id.as_token_part()))
            .all(db)
            .await
            .map_err(store_fault)?;
        rows.into_iter()
            .map(|row| {
                let bytes = row.digest.try_into().map_err(|_| StoreFault::Corrupt(format!("digest of {id}")))?;
                Ok(Digest::from_bytes(bytes))
            })
            .collect()
    }

    async fn begin(&self) -> Result<DatabaseTransaction, StoreFault> {
        self.db.writer().begin().await.map_err(store_fault)
    }
}

#[async_trait]
impl KeyStore for SqlKeyStore {
    async fn insert(&self, grant: &Grant<ApiKeysWrite>, key: NewKey, digest: Digest) -> Result<KeyRecord, WriteFault> {
        let transaction = self.begin().await?;
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
        let row = api_key_digest::ActiveModel {
            digest: ActiveValue::Set(digest.as_bytes().to_vec()),
            key_id: ActiveValue::Set(text_id.clone()),
            organization_id: ActiveValue::NotSet,
            created_at: ActiveValue::Set(key.created_at.as_micros()),
            expires_at: ActiveValue::Set(None),
        };
        scoped::insert::<api_key_digest::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "id"))?;
        if let KeyServers::Listed(servers) = &key.servers {
            let rows: Vec<_> = servers
                .iter()
                .map(|server| api_key_server::ActiveModel {
                    key_id: ActiveValue::Set(text_id.clone()),
                    server_id: ActiveValue::Set(server.as_uuid()),
                    organization_id: ActiveValue::NotSet,
                })
                .collect();
            for chunk in rows.chunks(CHUNK) {
                scoped::insert::<api_key_server::Entity, _>(grant, chunk.iter().cloned())
                    .exec_without_returning(&transaction)
                    .await
                    .map_err(store_fault)?;
            }
        }
        add_tenants(&transaction, grant, key.id, &key.tenants).await?;
        let record = self.record(&transaction, grant, key.id).await?;
        transaction.commit().await.map_err(store_fault)?;
        record.ok_or_else(|| StoreFault::Corrupt("a key that was just stored is not there".to_owned()).into())
    }

    async fn get(&self, grant: &Grant<ApiKeysRead>, id: KeyId) -> Result<Option<KeyRecord>, StoreFault> {
        self.record(self.db.reader(), grant, id).await
    }

    async fn list(
        &self,
        grant: &Grant<ApiKeysRead>,
        owners: KeyOwners,
        revoked: bool,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, StoreFault> {
        use api_key::Column;
        let mut keys = with_names(scoped::find::<api_key::Entity>(grant));
        if let KeyOwners::Of(owner) = owners {
            keys = keys.filter(Column::OwnerId.eq(owner.as_uuid()));
        }
        keys = keys.filter(if revoked { Column::RevokedAt.is_not_null() } else { Column::RevokedAt.is_null() });
        if let Some(after) = page.after {
            let at = after.created_at.as_micros();
            keys = keys.filter(
                Condition::any()
                    .add(Column::CreatedAt.lt(at))
                    .add(Column::CreatedAt.eq(at).and(Column::Id.lt(after.id.as_token_part()))),
            );
        }
        let rows = keys
            .order_by(Column::CreatedAt, Order::Desc)
            .order_by(Column::Id, Order::Desc)
            .limit(u64::from(page.limit.get()) + 1)
            .into_model::<KeyRow>()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let records = records(self.db.reader(), rows).await?;
        Ok(Page::of_overread(records, page.limit, |record| KeyPosition {
            created_at: record.created_at,
            id: record.facts.id,
        }))
    }

    async fn listed_tenants(
        &self,
        grant: &Grant<ApiKeysRead>,
        key: &KeyFacts,
        limit: u64,
    ) -> Result<Option<(AllowedTenants, u64)>, StoreFault> {
        use api_key_tenant::Column;
        if !key.tenants.needs_list() {
            return Ok(None);
        }
        let listed = || scoped::find::<api_key_tenant::Entity>(grant).filter(Column::KeyId.eq(key.id.as_token_part()));
        // A tenant org's own row allows somebody only when it allows all.
        let allowing = Condition::any().add(Column::TenantUser.ne("")).add(Column::AnyUser.eq(true));
        let count = listed().filter(allowing).count(self.db.reader()).await.map_err(store_fault)?;
        let rows = listed()
            .order_by(Column::TenantOrg, Order::Asc)
            .order_by(Column::TenantUser, Order::Asc)
            .limit(limit)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        Ok(Some((listed_tenants(key.kind, rows)?, count)))
    }

    async fn active_servers(&self, grant: &Grant<ApiKeysRead>) -> Result<u64, StoreFault> {
        scoped::find::<server::Entity>(grant)
            .filter(server::Column::ArchivedAt.is_null())
            .count(self.db.reader())
            .await
            .map_err(store_fault)
    }

    async fn change_tenants(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        change: TenantsChange,
    ) -> Result<Option<KeyRecord>, TenantsFault> {
        use api_key::Column;
        let transaction = self.begin().await?;
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
        // First of all, since it takes the row's lock: two changes at once come one after the other.
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
        let digests = Self::digests(&transaction, grant, id).await?;
        let record = self.record(&transaction, grant, id).await?;
        let cache = Arc::clone(&self.cache);
        commit_then(transaction, move || cache.changed(&digests)).await?;
        Ok(record)
    }

    async fn revoke(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        at: Timestamp,
    ) -> Result<Option<Revoked>, StoreFault> {
        let transaction = self.begin().await?;
        let marked = scoped::update::<api_key::Entity>(grant)
            .filter(api_key::Column::Id.eq(id.as_token_part()))
            .filter(api_key::Column::RevokedAt.is_null())
            .col_expr(api_key::Column::RevokedAt, at.as_micros().into())
            .col_expr(api_key::Column::RevokedBy, grant.user().id.as_uuid().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let digests = Self::digests(&transaction, grant, id).await?;
        scoped::delete::<api_key_digest::Entity>(grant)
            .filter(api_key_digest::Column::KeyId.eq(id.as_token_part()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let record = self.record(&transaction, grant, id).await?;
        let cache = Arc::clone(&self.cache);
        // Only after the commit: an entry that is read again before it would be the old one.
        commit_then(transaction, move || cache.revoked(id, &digests)).await?;
        Ok(record.map(|record| Revoked { record, newly: marked.rows_affected > 0 }))
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
            named.extend(rows.into_iter().map(|row| {
                let id = ServerId::from_uuid(row.id);
                (id, ListedServer { id, slug: row.slug, name: row.name, active: row.archived_at.is_none() })
            }));
        }
        Ok(named)
    }
}
