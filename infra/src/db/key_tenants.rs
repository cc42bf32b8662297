//! A key's list of allowed tenants: one row per tenant org and per listed user.

use std::collections::BTreeMap;

use domain::access::WithinOrganization;
use domain::key::port::TenantsFault;
use domain::key::{KeyId, KeyType};
use domain::store::StoreFault;
use domain::tenant::{AllowedOrg, AllowedTenants, Allowing, TenantRule, TenantText};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, Condition, QueryFilter};

use super::entity::api_key_tenant;
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::{CHUNK, scoped};

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

/// Adds what `tenants` names to a key's list. Adding never narrows.
pub(super) async fn add_tenants(
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
pub(super) async fn remove_tenants(
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
            let mut whole: Vec<&str> = Vec::new();
            for AllowedOrg { id, users } in orgs {
                match users {
                    Allowing::Listed(users) if !users.is_empty() => {
                        narrowed.push(id);
                        conditions.extend(users_of(id.as_str(), users));
                    }
                    _ => whole.push(id.as_str()),
                }
            }
            // Few statements however many there are: each holds the writer.
            conditions.extend(
                whole.chunks(CHUNK).map(|orgs| Condition::all().add(Column::TenantOrg.is_in(orgs.iter().copied()))),
            );
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

/// Whether everybody is allowed, so that there is no list.
pub(super) fn any_tenant(tenants: &AllowedTenants) -> bool {
    matches!(tenants.rule(), TenantRule::Users { any: true } | TenantRule::Orgs { any: true })
}

/// Reads a list back, as it was written, from rows in the order of their primary key.
pub(super) fn listed_tenants(kind: KeyType, rows: Vec<api_key_tenant::Model>) -> Result<AllowedTenants, StoreFault> {
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
