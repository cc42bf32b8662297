//! Keeping keys.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::access::permission::{ApiKeysRead, ApiKeysWrite};
use domain::access::{Grant, TenantScope, WithinOrganization};
use domain::audit::AuditEvent;
use domain::id::ServerId;
use domain::key::model::NewKey;
use domain::key::port::{KeyOwners, KeyPosition, KeyStore, ListedServer, Revoked, TenantsChange, TenantsFault};
use domain::key::{Digest, KeyFacts, KeyId, KeyRecord, KeyServers, KeyType};
use domain::page::{Page, PageRequest};
use domain::store::{StoreFault, WriteFault};
use domain::tenant::{AllowedOrg, AllowedTenants, Allowing, TenantRule, TenantText};
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, ExprTrait, Order, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};

use super::Database;
use super::audit::record;
use super::commit::commit_then;
use super::entity::{api_key, api_key_digest, api_key_server, api_key_tenant, server};
use super::fault::{store_fault, write_fault};
use super::key_rows::{KeyRow, permissions_to_text, records, with_names};
use super::scoped;
use crate::cache::KeyCache;

/// Rows per statement when a list is written; keeps within the databases' limits on parameters.
const CHUNK: usize = 1000;

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

fn tenant_rows(id: KeyId, tenants: &AllowedTenants) -> Vec<api_key_tenant::ActiveModel> {
    let row = |org: &str, user: &str, any_user: bool| api_key_tenant::ActiveModel {
        key_id: ActiveValue::Set(id.as_token_part().to_owned()),
        tenant_org: ActiveValue::Set(org.to_owned()),
        tenant_user: ActiveValue::Set(user.to_owned()),
        any_user: ActiveValue::Set(any_user),
        organization_id: ActiveValue::NotSet,
    };
    match tenants {
        AllowedTenants::Owner | AllowedTenants::Users(Allowing::Any) | AllowedTenants::Orgs(Allowing::Any) => vec![],
        AllowedTenants::Users(Allowing::Listed(users)) => {
            users.iter().map(|user| row("", user.as_str(), false)).collect()
        }
        AllowedTenants::Orgs(Allowing::Listed(orgs)) => orgs
            .iter()
            .flat_map(|AllowedOrg { id: org, users }| {
                let (any, listed) = match users {
                    Allowing::Any => (true, &[][..]),
                    Allowing::Listed(users) => (false, &users[..]),
                };
                std::iter::once(row(org.as_str(), "", any))
                    .chain(listed.iter().map(|user| row(org.as_str(), user.as_str(), false)))
                    .collect::<Vec<_>>()
            })
            .collect(),
    }
}

async fn add_tenants(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    id: KeyId,
    tenants: &AllowedTenants,
) -> Result<(), StoreFault> {
    use api_key_tenant::Column;
    // PostgreSQL refuses a statement that names one row twice; of two mentions the wider one counts.
    let mut rows: BTreeMap<(String, String), api_key_tenant::ActiveModel> = BTreeMap::new();
    for row in tenant_rows(id, tenants) {
        let place = (row.tenant_org.as_ref().clone(), row.tenant_user.as_ref().clone());
        if row.any_user == ActiveValue::Set(true) || !rows.contains_key(&place) {
            rows.insert(place, row);
        }
    }
    // Adding never narrows: a tenant org all of whose users are allowed stays so when one of them is named.
    let (all_users, named): (Vec<_>, Vec<_>) =
        rows.into_values().partition(|row| row.any_user == ActiveValue::Set(true));
    let there_already = || OnConflict::columns([Column::KeyId, Column::TenantOrg, Column::TenantUser]);
    for (rows, conflict) in [
        (all_users, there_already().update_column(Column::AnyUser).to_owned()),
        (named, there_already().do_nothing().to_owned()),
    ] {
        for chunk in rows.chunks(CHUNK) {
            scoped::insert::<api_key_tenant::Entity, _>(scope, chunk.iter().cloned())
                .on_conflict(conflict.clone())
                .exec_without_returning(transaction)
                .await
                .map_err(store_fault)?;
        }
    }
    Ok(())
}

/// Removes what `tenants` names: a user, or a tenant org with all its users when it is named with `"*"` or no users.
async fn remove_tenants(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    id: KeyId,
    tenants: &AllowedTenants,
) -> Result<(), TenantsFault> {
    use api_key_tenant::Column;
    let mut conditions: Vec<Condition> = Vec::new();
    let mut narrowed: Vec<&TenantText> = Vec::new();
    let in_org = |org: &str| Condition::all().add(Column::TenantOrg.eq(org));
    let users_of = |org: &str, users: &[TenantText]| -> Vec<Condition> {
        users
            .chunks(CHUNK)
            .map(|chunk| in_org(org).add(Column::TenantUser.is_in(chunk.iter().map(TenantText::as_str))))
            .collect()
    };
    match tenants {
        AllowedTenants::Users(Allowing::Listed(users)) => conditions.extend(users_of("", users)),
        AllowedTenants::Orgs(Allowing::Listed(orgs)) => {
            for AllowedOrg { id, users } in orgs {
                match users {
                    Allowing::Listed(users) if !users.is_empty() => {
                        narrowed.push(id);
                        conditions.extend(users_of(id.as_str(), users));
                    }
                    _ => conditions.push(in_org(id.as_str())),
                }
            }
        }
        AllowedTenants::Owner | AllowedTenants::Users(Allowing::Any) | AllowedTenants::Orgs(Allowing::Any) => {}
    }
    for chunk in narrowed.chunks(CHUNK) {
        let covering = scoped::find::<api_key_tenant::Entity>(scope)
            .filter(Column::KeyId.eq(id.as_token_part()))
            .filter(Column::TenantOrg.is_in(chunk.iter().map(|org| org.as_str())))
            .filter(Column::AnyUser.eq(true))
            .one(transaction)
            .await
            .map_err(store_fault)?;
        if let Some(org) = covering.and_then(|row| chunk.iter().find(|org| org.as_str() == row.tenant_org)) {
            return Err(TenantsFault::AllUsers { org: (*org).clone() });
        }
    }
    for condition in conditions {
        scoped::delete::<api_key_tenant::Entity>(scope)
            .filter(Column::KeyId.eq(id.as_token_part()))
            .filter(condition)
            .exec(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(())
}

fn any_tenant(tenants: &AllowedTenants) -> bool {
    matches!(tenants.rule(), TenantRule::Users { any: true } | TenantRule::Orgs { any: true })
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
        let text_id = key.id.as_token_part().to_owned();
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
            rate_requests: ActiveValue::Set(None),
            rate_seconds: ActiveValue::Set(None),
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
        let stored = self.record(&transaction, grant, key.id).await?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        stored.ok_or_else(|| StoreFault::Corrupt("a key that was just stored is not there".to_owned()).into())
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
        event: AuditEvent,
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
        let changed = self.record(&transaction, grant, id).await?;
        record(&transaction, [event]).await?;
        let cache = Arc::clone(&self.cache);
        commit_then(transaction, move || cache.changed(&digests)).await?;
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
        let revoked = self.record(&transaction, grant, id).await?;
        let newly = marked.rows_affected > 0;
        if newly {
            record(&transaction, [event]).await?;
        }
        let cache = Arc::clone(&self.cache);
        // Only after the commit: an entry that is read again before it would be the old one.
        commit_then(transaction, move || cache.revoked(id, &digests)).await?;
        Ok(revoked.map(|record| Revoked { record, newly }))
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

fn listed_tenants(kind: KeyType, rows: Vec<api_key_tenant::Model>) -> Result<AllowedTenants, StoreFault> {
    let text = |text: &str| TenantText::new(text).map_err(|_| StoreFault::Corrupt("tenant id".to_owned()));
    if kind == KeyType::Client {
        let users = rows.iter().map(|row| text(&row.tenant_user)).collect::<Result<_, _>>()?;
        return Ok(AllowedTenants::Users(Allowing::Listed(users)));
    }
    let mut orgs: Vec<AllowedOrg> = Vec::new();
    // In the order of the primary key an org's own row, with its empty user, comes before its users.
    for row in rows {
        if row.tenant_user.is_empty() {
            let users = if row.any_user { Allowing::Any } else { Allowing::Listed(vec![]) };
            orgs.push(AllowedOrg { id: text(&row.tenant_org)?, users });
        } else if let Some(AllowedOrg { users: Allowing::Listed(users), .. }) = orgs.last_mut() {
            users.push(text(&row.tenant_user)?);
        }
    }
    Ok(AllowedTenants::Orgs(Allowing::Listed(orgs)))
}
