//! Tenants: whether they exist, whether a key's list has them, and creating them on first use.

use std::sync::Arc;

use async_trait::async_trait;
use domain::access::SystemScope;
use domain::audit::AuditEvent;
use domain::id::{TenantOrgId, TenantUserId};
use domain::key::KeyFacts;
use domain::store::StoreFault;
use domain::tenant::port::TenantDirectory;
use domain::tenant::{Presence, Standing, Tenant, TenantClaim, TenantText};
use domain::time::{Clock, SystemClock};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, QueryFilter};
use uuid::Uuid;

use super::Database;
use super::audit::record;
use super::commit::Changes;
use super::entity::{api_key_tenant, tenant_org, tenant_user};
use super::fault::store_fault;
use super::scoped;
use crate::cache::tenants::TenantCache;

/// Tenants in the database, behind a cache.
#[derive(Clone)]
pub struct SqlTenants {
    pub(super) db: Database,
    pub(super) cache: Arc<TenantCache>,
    pub(super) changes: Changes,
    // One suspension or resumption at a time on this node, so that the set ends as the table does. Those of several nodes
    // reach it in the order of their numbers.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
}

impl SqlTenants {
    /// Puts the cache before the database.
    #[must_use]
    pub fn new(db: Database, changes: Changes) -> Self {
        Self { db, cache: Arc::clone(&changes.caches().tenants), changes, changing: Arc::default() }
    }

    async fn read(&self, key: &KeyFacts, claim: &TenantClaim) -> Result<Standing, StoreFault> {
        let TenantClaim::Below { org, user } = claim else {
            return Ok(Standing { listed: true, org: None, user: None });
        };
        let scope = SystemScope::new(key.organization.id, "the key's scope is being made");
        let db = self.db.reader();
        let listed = !key.tenants.needs_list() || listed(db, &scope, key, org.as_ref(), user.as_ref()).await?;
        if !listed {
            // What else is known of the tenant must not matter, so it is not asked.
            return Ok(Standing { listed, org: None, user: None });
        }
        let org = match org {
            None => None,
            Some(org) => Some(find_org(db, &scope, org).await?),
        };
        let user = match user {
            None => None,
            Some(user) => Some(match parent(org) {
                Some(parent) => find_user(db, &scope, parent, user).await?,
                None => Presence::Unknown,
            }),
        };
        Ok(Standing { listed, org, user })
    }
}

/// The row that a user stands under: its tenant org, or nil for the organization itself. None for an unknown org.
fn parent(org: Option<Presence<TenantOrgId>>) -> Option<Uuid> {
    match org {
        None => Some(Uuid::nil()),
        Some(Presence::Unknown) => None,
        Some(Presence::Active(id) | Presence::Suspended(id)) => Some(id.as_uuid()),
    }
}

async fn listed(
    db: &impl ConnectionTrait,
    scope: &SystemScope,
    key: &KeyFacts,
    org: Option<&TenantText>,
    user: Option<&TenantText>,
) -> Result<bool, StoreFault> {
    use api_key_tenant::Column;
    let org = org.map_or("", TenantText::as_str);
    // Without a user the tenant org's own row decides; with one, either the org's row covers all or the user has a row.
    let by_org = Condition::all().add(Column::TenantUser.eq(""));
    let by = match user {
        None => by_org,
        Some(user) => {
            Condition::any().add(by_org.add(Column::AnyUser.eq(true))).add(Column::TenantUser.eq(user.as_str()))
        }
    };
    let row = scoped::find::<api_key_tenant::Entity>(scope)
        .filter(Column::KeyId.eq(key.id.as_token_part()))
        .filter(Column::TenantOrg.eq(org))
        .filter(by)
        .one(db)
        .await
        .map_err(store_fault)?;
    Ok(row.is_some())
}

async fn find_org(
    db: &impl ConnectionTrait,
    scope: &SystemScope,
    org: &TenantText,
) -> Result<Presence<TenantOrgId>, StoreFault> {
    let row = scoped::find::<tenant_org::Entity>(scope)
        .filter(tenant_org::Column::ExternalId.eq(org.as_str()))
        .one(db)
        .await
        .map_err(store_fault)?;
    Ok(row.map_or(Presence::Unknown, |row| presence(TenantOrgId::from_uuid(row.id), row.suspended_at)))
}

async fn find_user(
    db: &impl ConnectionTrait,
    scope: &SystemScope,
    parent: Uuid,
    user: &TenantText,
) -> Result<Presence<TenantUserId>, StoreFault> {
    let row = scoped::find::<tenant_user::Entity>(scope)
        .filter(tenant_user::Column::TenantOrgId.eq(parent))
        .filter(tenant_user::Column::ExternalId.eq(user.as_str()))
        .one(db)
        .await
        .map_err(store_fault)?;
    Ok(row.map_or(Presence::Unknown, |row| presence(TenantUserId::from_uuid(row.id), row.suspended_at)))
}

const fn presence<I>(id: I, suspended_at: Option<i64>) -> Presence<I>
where
    I: Copy,
{
    match suspended_at {
        None => Presence::Active(id),
        Some(_) => Presence::Suspended(id),
    }
}

#[async_trait]
impl TenantDirectory for SqlTenants {
    fn cached(&self, key: &KeyFacts, claim: &TenantClaim) -> Option<Standing> {
        self.cache.get(key, claim)
    }

    async fn standing(&self, key: &KeyFacts, claim: &TenantClaim) -> Result<Standing, StoreFault> {
        let ticket = self.cache.ticket(key, claim);
        let standing = self.db.in_time(self.read(key, claim)).await?;
        if standing.listed {
            self.cache.fill(ticket, key, claim, standing);
        }
        Ok(standing)
    }

    async fn create(&self, key: &KeyFacts, claim: &TenantClaim, event: AuditEvent) -> Result<Standing, StoreFault> {
        self.db.in_time(self.make(key, claim, event)).await
    }
}

impl SqlTenants {
    async fn make(&self, key: &KeyFacts, claim: &TenantClaim, event: AuditEvent) -> Result<Standing, StoreFault> {
        let TenantClaim::Below { org, user } = claim else { return self.read(key, claim).await };
        let scope = SystemScope::new(key.organization.id, "the key's scope is being made");
        let now = SystemClock.now().as_micros();
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let (mut under, mut created) = (Uuid::nil(), 0);
        if let Some(org) = org {
            let row = tenant_org::ActiveModel {
                id: ActiveValue::Set(TenantOrgId::new().as_uuid()),
                organization_id: ActiveValue::NotSet,
                external_id: ActiveValue::Set(org.as_str().to_owned()),
                created_at: ActiveValue::Set(now),
                suspended_at: ActiveValue::Set(None),
            };
            // Two first uses at once both insert; one of them finds the other's row.
            let unique = [tenant_org::Column::OrganizationId, tenant_org::Column::ExternalId];
            created += scoped::insert::<tenant_org::Entity, _>(&scope, [row])
                .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
                .exec_without_returning(&transaction)
                .await
                .map_err(store_fault)?;
            under = parent(Some(find_org(&transaction, &scope, org).await?)).unwrap_or_default();
        }
        let user_id = TenantUserId::new();
        if let Some(user) = user {
            use tenant_user::Column;
            let row = tenant_user::ActiveModel {
                id: ActiveValue::Set(user_id.as_uuid()),
                organization_id: ActiveValue::NotSet,
                tenant_org_id: ActiveValue::Set(under),
                external_id: ActiveValue::Set(user.as_str().to_owned()),
                created_at: ActiveValue::Set(now),
                suspended_at: ActiveValue::Set(None),
            };
            let unique = [Column::OrganizationId, Column::TenantOrgId, Column::ExternalId];
            created += scoped::insert::<tenant_user::Entity, _>(&scope, [row])
                .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
                .exec_without_returning(&transaction)
                .await
                .map_err(store_fault)?;
        }
        if created > 0 {
            // Whoever created something created the user, if there is one: below an org that was just made nobody was.
            let tenant = Tenant::Below {
                org: org.clone().map(|org| (TenantOrgId::from_uuid(under), org)),
                user: user.clone().map(|user| (user_id, user)),
            };
            record(&transaction, [AuditEvent { tenant, ..event }]).await?;
        }
        transaction.commit().await.map_err(store_fault)?;
        self.standing(key, claim).await
    }
}
