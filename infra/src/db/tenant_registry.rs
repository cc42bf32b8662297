//! Managing tenants: making, listing, suspending and resuming them.

use std::collections::HashMap;

use async_trait::async_trait;
use domain::access::permission::ServersWrite;
use domain::access::{Grant, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::id::{TenantOrgId, TenantUserId};
use domain::key::KeyId;
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::tenant::registry::{Changed, Managed, SuspendFault, TenantFilter, TenantOrg, TenantRegistry, TenantUser};
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement};
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::audit::record;
use super::entity::{api_key_tenant as listed, tenant_org, tenant_user};
use super::fault::store_fault;
use super::{SqlTenants, scoped};
use crate::cache::Change;

fn text(text: &str) -> Result<TenantText, StoreFault> {
    TenantText::new(text).map_err(|_| StoreFault::Corrupt("tenant id".to_owned()))
}

fn org_record(row: &tenant_org::Model) -> Result<TenantOrg, StoreFault> {
    Ok(TenantOrg {
        id: TenantOrgId::from_uuid(row.id),
        external: text(&row.external_id)?,
        created_at: Timestamp::from_micros(row.created_at),
        suspended_at: row.suspended_at.map(Timestamp::from_micros),
    })
}

/// Records of users, with the names of their tenant orgs.
async fn user_records(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    rows: &[tenant_user::Model],
) -> Result<Vec<TenantUser>, StoreFault> {
    let mut parents: Vec<Uuid> = rows.iter().map(|row| row.tenant_org_id).filter(|id| !id.is_nil()).collect();
    parents.sort_unstable();
    parents.dedup();
    let mut names = HashMap::new();
    if !parents.is_empty() {
        let orgs = scoped::find::<tenant_org::Entity>(scope)
            .filter(tenant_org::Column::Id.is_in(parents))
            .all(db)
            .await
            .map_err(store_fault)?;
        names.extend(orgs.into_iter().map(|row| (row.id, row.external_id)));
    }
    rows.iter()
        .map(|row| {
            Ok(TenantUser {
                id: TenantUserId::from_uuid(row.id),
                external: text(&row.external_id)?,
                org: names.get(&row.tenant_org_id).map(|name| text(name)).transpose()?,
                created_at: Timestamp::from_micros(row.created_at),
                suspended_at: row.suspended_at.map(Timestamp::from_micros),
            })
        })
        .collect()
}

/// Names of the tenant orgs on a key's list; with `whole`, of those whose users are all on it.
fn listed_orgs(key: KeyId, whole: bool) -> SelectStatement {
    let mut rows = Query::select();
    rows.column(listed::Column::TenantOrg)
        .from(listed::Entity)
        .and_where(listed::Column::KeyId.eq(key.as_token_part()))
        .and_where(listed::Column::TenantUser.eq(""));
    if whole {
        rows.and_where(listed::Column::AnyUser.eq(true));
    }
    rows
}

/// Those tenant orgs that a caller manages, wholly or in part.
fn managed_orgs(managed: Managed, whole: bool) -> Condition {
    let all = Condition::all();
    match managed {
        Managed::All | Managed::Orgs(None) => all,
        Managed::Users(_) => all.add(Expr::val(1).eq(0)),
        Managed::Orgs(Some(key)) => all.add(tenant_org::Column::ExternalId.in_subquery(listed_orgs(key, whole))),
    }
}

/// Those tenant users that a caller manages.
fn managed_users(scope: &impl WithinOrganization, managed: Managed) -> Condition {
    use tenant_user::Column;
    let own = Column::TenantOrgId.eq(Uuid::nil());
    let all = Condition::all();
    match managed {
        Managed::All => all,
        Managed::Users(None) => all.add(own),
        Managed::Users(Some(key)) => {
            let mut names = Query::select();
            names
                .column(listed::Column::TenantUser)
                .from(listed::Entity)
                .and_where(listed::Column::KeyId.eq(key.as_token_part()))
                .and_where(listed::Column::TenantOrg.eq(""));
            all.add(own).add(Column::ExternalId.in_subquery(names))
        }
        Managed::Orgs(None) => all.add(own.not()),
        Managed::Orgs(Some(key)) => {
            let orgs = |condition: Condition| {
                let mut ids = Query::select();
                ids.column(tenant_org::Column::Id)
                    .from(tenant_org::Entity)
                    .and_where(tenant_org::Column::OrganizationId.eq(scope.organization_id().as_uuid()))
                    .cond_where(condition);
                ids
            };
            let wholly = Condition::all().add(tenant_org::Column::ExternalId.in_subquery(listed_orgs(key, true)));
            // The user's own row on the list, under the name of the user's own tenant org.
            let mut row = Query::select();
            row.expr(Expr::val(1))
                .from(listed::Entity)
                .inner_join(
                    tenant_org::Entity,
                    Expr::col((tenant_org::Entity, tenant_org::Column::ExternalId))
                        .equals((listed::Entity, listed::Column::TenantOrg)),
                )
                .and_where(Expr::col((listed::Entity, listed::Column::KeyId)).eq(key.as_token_part()))
                .and_where(
                    Expr::col((tenant_org::Entity, tenant_org::Column::Id))
                        .equals((tenant_user::Entity, Column::TenantOrgId)),
                )
                .and_where(
                    Expr::col((listed::Entity, listed::Column::TenantUser))
                        .equals((tenant_user::Entity, Column::ExternalId)),
                );
            all.add(Condition::any().add(Column::TenantOrgId.in_subquery(orgs(wholly))).add(Expr::exists(row)))
        }
    }
}

#[async_trait]
impl TenantRegistry for SqlTenants {
    async fn make_org(
        &self,
        grant: &Grant<ServersWrite>,
        org: &TenantText,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Changed<TenantOrg>, StoreFault> {
        use tenant_org::Column;
        let row = tenant_org::ActiveModel {
            id: ActiveValue::Set(TenantOrgId::new().as_uuid()),
            organization_id: ActiveValue::NotSet,
            external_id: ActiveValue::Set(org.as_str().to_owned()),
            created_at: ActiveValue::Set(at.as_micros()),
            suspended_at: ActiveValue::Set(None),
        };
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let unique = [Column::OrganizationId, Column::ExternalId];
        let made = scoped::insert::<tenant_org::Entity, _>(grant, [row])
            .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        let row = scoped::find::<tenant_org::Entity>(grant)
            .filter(Column::ExternalId.eq(org.as_str()))
            .one(&transaction)
            .await
            .map_err(store_fault)?;
        let row = row.ok_or_else(|| StoreFault::Corrupt("a tenant that was just made is not there".to_owned()))?;
        let now = org_record(&row)?;
        if made == 1 {
            record(&transaction, [event.about(AuditTarget::TenantOrg(now.id))]).await?;
        }
        transaction.commit().await.map_err(store_fault)?;
        Ok(Changed { now, newly: made == 1 })
    }

    async fn make_user(
        &self,
        grant: &Grant<ServersWrite>,
        org: Option<&TenantText>,
        user: &TenantText,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<Changed<TenantUser>>, StoreFault> {
        use tenant_user::Column;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let parent = match org {
            None => Uuid::nil(),
            Some(org) => {
                let row = scoped::find::<tenant_org::Entity>(grant)
                    .filter(tenant_org::Column::ExternalId.eq(org.as_str()))
                    .one(&transaction)
                    .await
                    .map_err(store_fault)?;
                let Some(row) = row else { return Ok(None) };
                row.id
            }
        };
        let row = tenant_user::ActiveModel {
            id: ActiveValue::Set(TenantUserId::new().as_uuid()),
            organization_id: ActiveValue::NotSet,
            tenant_org_id: ActiveValue::Set(parent),
            external_id: ActiveValue::Set(user.as_str().to_owned()),
            created_at: ActiveValue::Set(at.as_micros()),
            suspended_at: ActiveValue::Set(None),
        };
        let unique = [Column::OrganizationId, Column::TenantOrgId, Column::ExternalId];
        let made = scoped::insert::<tenant_user::Entity, _>(grant, [row])
            .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        let rows = scoped::find::<tenant_user::Entity>(grant)
            .filter(Column::TenantOrgId.eq(parent))
            .filter(Column::ExternalId.eq(user.as_str()))
            .all(&transaction)
            .await
            .map_err(store_fault)?;
        let found = user_records(&transaction, grant, &rows).await?.pop();
        let now = found.ok_or_else(|| StoreFault::Corrupt("a tenant that was just made is not there".to_owned()))?;
        if made == 1 {
            record(&transaction, [event.about(AuditTarget::TenantUser(now.id))]).await?;
        }
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(Changed { now, newly: made == 1 }))
    }

    async fn orgs(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        filter: TenantFilter,
        page: PageRequest<TenantOrgId>,
    ) -> Result<Page<TenantOrg, TenantOrgId>, StoreFault> {
        use tenant_org::Column;
        let mut orgs = scoped::find::<tenant_org::Entity>(grant).filter(managed_orgs(managed, false));
        if let Some(org) = filter.org {
            orgs = orgs.filter(Column::ExternalId.eq(org.as_str()));
        }
        if let Some(suspended) = filter.suspended {
            let column = Column::SuspendedAt;
            orgs = orgs.filter(if suspended { column.is_not_null() } else { column.is_null() });
        }
        if let Some(after) = page.after {
            orgs = orgs.filter(Column::Id.gt(after.as_uuid()));
        }
        let rows = orgs
            .order_by_asc(Column::Id)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let orgs = rows.iter().map(org_record).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::of_overread(orgs, page.limit, |org| org.id))
    }

    async fn users(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        filter: TenantFilter,
        page: PageRequest<TenantUserId>,
    ) -> Result<Page<TenantUser, TenantUserId>, StoreFault> {
        use tenant_user::Column;
        let mut users = scoped::find::<tenant_user::Entity>(grant).filter(managed_users(grant, managed));
        if let Some(org) = filter.org {
            let mut ids = Query::select();
            ids.column(tenant_org::Column::Id)
                .from(tenant_org::Entity)
                .and_where(tenant_org::Column::OrganizationId.eq(grant.organization_id().as_uuid()))
                .and_where(tenant_org::Column::ExternalId.eq(org.as_str()));
            users = users.filter(Column::TenantOrgId.in_subquery(ids));
        }
        if let Some(user) = filter.user {
            users = users.filter(Column::ExternalId.eq(user.as_str()));
        }
        if let Some(suspended) = filter.suspended {
            let column = Column::SuspendedAt;
            users = users.filter(if suspended { column.is_not_null() } else { column.is_null() });
        }
        if let Some(after) = page.after {
            users = users.filter(Column::Id.gt(after.as_uuid()));
        }
        let rows = users
            .order_by_asc(Column::Id)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let users = user_records(self.db.reader(), grant, &rows).await?;
        Ok(Page::of_overread(users, page.limit, |user| user.id))
    }

    async fn suspend_org(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        id: TenantOrgId,
        suspended_at: Option<Timestamp>,
        event: AuditEvent,
    ) -> Result<Option<Changed<TenantOrg>>, SuspendFault> {
        use tenant_org::Column;
        let _turn = self.changing.lock().await;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let find = |whole| {
            scoped::find::<tenant_org::Entity>(grant)
                .filter(Column::Id.eq(id.as_uuid()))
                .filter(managed_orgs(managed, whole))
        };
        // Locked also when there is nothing to change: whoever comes next to the row is also the next to tell the nodes.
        let row = find(false).lock_exclusive().one(&transaction).await.map_err(store_fault)?;
        let Some(row) = row else { return Ok(None) };
        if find(true).one(&transaction).await.map_err(store_fault)?.is_none() {
            return Err(SuspendFault::InPart);
        }
        let column = Column::SuspendedAt;
        let changed = scoped::update::<tenant_org::Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(if suspended_at.is_some() { column.is_null() } else { column.is_not_null() })
            .col_expr(column, suspended_at.map(Timestamp::as_micros).into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let now = scoped::find::<tenant_org::Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .one(&transaction)
            .await
            .map_err(store_fault)?;
        let (organization, org) = (grant.organization_id(), text(&row.external_id)?);
        if changed.rows_affected > 0 {
            record(&transaction, [event]).await?;
        }
        let suspended = suspended_at.is_some();
        self.changes.commit(transaction, vec![Change::TenantOrgChanged { organization, id, org, suspended }]).await?;
        let now = now.as_ref().map(org_record).transpose()?;
        Ok(now.map(|now| Changed { now, newly: changed.rows_affected > 0 }))
    }

    async fn suspend_user(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        id: TenantUserId,
        suspended_at: Option<Timestamp>,
        event: AuditEvent,
    ) -> Result<Option<Changed<TenantUser>>, StoreFault> {
        use tenant_user::Column;
        let _turn = self.changing.lock().await;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let find = || {
            scoped::find::<tenant_user::Entity>(grant)
                .filter(Column::Id.eq(id.as_uuid()))
                .filter(managed_users(grant, managed))
        };
        // Locked also when there is nothing to change, as above.
        if find().lock_exclusive().one(&transaction).await.map_err(store_fault)?.is_none() {
            return Ok(None);
        }
        let column = Column::SuspendedAt;
        let changed = scoped::update::<tenant_user::Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(if suspended_at.is_some() { column.is_null() } else { column.is_not_null() })
            .col_expr(column, suspended_at.map(Timestamp::as_micros).into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        // Not as `find` does: the list of who manages it can have changed meanwhile, and the nodes must be told all the same.
        let rows = scoped::find::<tenant_user::Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .all(&transaction)
            .await
            .map_err(store_fault)?;
        let now = user_records(&transaction, grant, &rows).await?.pop();
        if changed.rows_affected > 0 {
            record(&transaction, [event]).await?;
        }
        let change = now.as_ref().map(|now| Change::TenantUserChanged {
            organization: grant.organization_id(),
            id,
            org: now.org.clone(),
            user: now.external.clone(),
            suspended: suspended_at.is_some(),
        });
        self.changes.commit(transaction, change.into_iter().collect()).await?;
        Ok(now.map(|now| Changed { now, newly: changed.rows_affected > 0 }))
    }
}
