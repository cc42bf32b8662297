//! Pages of keys, and what is shown with them: as many queries for a page as for one key.

use std::collections::{HashMap, HashSet};

use domain::access::Role;
use domain::id::{OrganizationId, ServerId};
use domain::key::model::EarlierToken;
use domain::key::port::{KeyDetails, KeyFilter, KeyPosition, ListedServer};
use domain::key::{KeyId, KeyRecord, KeyServers};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::tenant::AllowedTenants;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, Func, Query, UnionType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};
use uuid::Uuid;

use super::CHUNK;
use super::entity::{api_key, api_key_digest, api_key_tenant, membership, server};
use super::fault::store_fault;
use super::key_rows::{KeyRow, active_role, records, with_names};
use super::key_tenants::listed_tenants;
use super::patience::DatabaseConnection;
use super::scoped::unscoped;

const REASON: &str = "the keys were read under a grant, and this hangs on them";

/// A page of these keys, newest first.
pub async fn key_page(
    db: &DatabaseConnection,
    keys: Select<api_key::Entity>,
    filter: &KeyFilter,
    page: PageRequest<KeyPosition>,
) -> Result<Page<KeyRecord, KeyPosition>, StoreFault> {
    let limit = page.limit;
    let rows = page_rows(keys, filter, page).into_model::<KeyRow>().all(db).await.map_err(store_fault)?;
    Ok(Page::of_overread(records(db, rows).await?, limit, |record| KeyPosition {
        created_at: record.created_at,
        id: record.facts.id,
    }))
}

/// The rows of a page and one more: what a [`KeyRow`] needs.
pub fn page_rows(
    keys: Select<api_key::Entity>,
    filter: &KeyFilter,
    page: PageRequest<KeyPosition>,
) -> Select<api_key::Entity> {
    use api_key::Column;
    let mut keys = with_names(keys).filter(condition(filter));
    if let Some(after) = page.after {
        let at = after.created_at.as_micros();
        // The first half bounds the walk over the index; the second leaves out what was on the page before.
        keys = keys
            .filter(Column::CreatedAt.lte(at))
            .filter(Condition::any().add(Column::CreatedAt.lt(at)).add(Column::Id.lt(after.id.as_token_part())));
    }
    keys.order_by(Column::CreatedAt, Order::Desc)
        .order_by(Column::Id, Order::Desc)
        .limit(u64::from(page.limit.get()) + 1)
}

fn condition(filter: &KeyFilter) -> Condition {
    use api_key::Column;
    let mut all = Condition::all().add(if filter.revoked {
        Column::RevokedAt.is_not_null()
    } else {
        Column::RevokedAt.is_null()
    });
    if let Some(kind) = filter.kind {
        all = all.add(Column::Kind.eq(kind.as_str()));
    }
    if let Some(owner) = filter.owner {
        all = all.add(Column::OwnerId.eq(owner.as_uuid()));
    }
    if let Some(part) = &filter.name {
        // Both databases have `replace`, and it knows no wildcards that would have to be escaped.
        let lower = |expr: Expr| Func::lower(expr);
        let name = || lower(Expr::col((api_key::Entity, Column::Name)));
        let without = Func::cust("replace").arg(name()).arg(lower(Expr::value(part.as_str()))).arg("");
        all = all.add(Expr::expr(name()).ne(without));
    }
    if let Some((expired, now)) = filter.expired {
        let over = Column::ExpiresAt.is_not_null().and(Column::ExpiresAt.lte(now.as_micros()));
        all = all.add(if expired { over } else { over.not() });
    }
    if let Some(above) = filter.role_above_owner {
        let fits = Role::ALL.into_iter().fold(Condition::any(), |any, role| {
            let owners = Role::ALL.into_iter().filter(|owner| *owner >= role).map(Role::as_str);
            let held = Column::Role.eq(role.as_str());
            any.add(held.and(Expr::expr(active_role()).is_in(owners)))
        });
        // An owner who is no member any more has no role that anything could fit.
        all = all.add(if above {
            Condition::any().add(Expr::expr(active_role()).is_null()).add(fits.not())
        } else {
            Condition::all().add(membership::Column::UserId.is_not_null()).add(fits)
        });
    }
    all
}

/// What is shown with these keys.
pub async fn details(
    db: &DatabaseConnection,
    keys: &[KeyRecord],
    tenants: u64,
    at: Timestamp,
) -> Result<KeyDetails, StoreFault> {
    Ok(KeyDetails {
        servers: servers(db, keys).await?,
        active_servers: active_servers(db, keys).await?,
        tenants: listed(db, keys, tenants).await?,
        earlier: earlier(db, keys, at).await?,
    })
}

async fn servers(db: &DatabaseConnection, keys: &[KeyRecord]) -> Result<HashMap<ServerId, ListedServer>, StoreFault> {
    let asked: HashSet<Uuid> = keys
        .iter()
        .filter_map(|key| match &key.facts.servers {
            KeyServers::All => None,
            KeyServers::Listed(servers) => Some(servers),
        })
        .flatten()
        .map(ServerId::as_uuid)
        .collect();
    let asked: Vec<_> = asked.into_iter().collect();
    let mut named = HashMap::with_capacity(asked.len());
    for chunk in asked.chunks(CHUNK) {
        let rows = unscoped(REASON)
            .find::<server::Entity>()
            .filter(server::Column::Id.is_in(chunk.iter().copied()))
            .all(db)
            .await
            .map_err(store_fault)?;
        named.extend(rows.into_iter().map(listed_server));
    }
    Ok(named)
}

/// A server's row as a key's list shows it.
pub fn listed_server(row: server::Model) -> (ServerId, ListedServer) {
    let id = ServerId::from_uuid(row.id);
    (id, ListedServer { id, slug: row.slug, name: row.name, active: row.archived_at.is_none() })
}

async fn active_servers(
    db: &DatabaseConnection,
    keys: &[KeyRecord],
) -> Result<HashMap<OrganizationId, HashSet<ServerId>>, StoreFault> {
    let organizations: HashSet<Uuid> = keys.iter().map(|key| key.facts.organization.id.as_uuid()).collect();
    if organizations.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, Uuid)> = unscoped(REASON)
        .find::<server::Entity>()
        .filter(server::Column::OrganizationId.is_in(organizations))
        .filter(server::Column::ArchivedAt.is_null())
        .select_only()
        .columns([server::Column::OrganizationId, server::Column::Id])
        .into_tuple()
        .all(db)
        .await
        .map_err(store_fault)?;
    let mut active: HashMap<OrganizationId, HashSet<ServerId>> = HashMap::new();
    for (organization, server) in rows {
        active.entry(OrganizationId::from_uuid(organization)).or_default().insert(ServerId::from_uuid(server));
    }
    Ok(active)
}

async fn listed(
    db: &DatabaseConnection,
    keys: &[KeyRecord],
    limit: u64,
) -> Result<HashMap<KeyId, (AllowedTenants, u64)>, StoreFault> {
    use api_key_tenant::Column;
    #[derive(FromQueryResult)]
    struct Counted {
        key_id: String,
        tenants: i64,
    }
    let listing: Vec<&KeyRecord> = keys.iter().filter(|key| key.facts.tenants.needs_list()).collect();
    if listing.is_empty() {
        return Ok(HashMap::new());
    }
    let ids = listing.iter().map(|key| key.facts.id.as_token_part());
    // A tenant org's own row allows somebody only when it allows all.
    let allowing = Condition::any().add(Column::TenantUser.ne("")).add(Column::AnyUser.eq(true));
    let counted: HashMap<String, u64> = unscoped(REASON)
        .find::<api_key_tenant::Entity>()
        .filter(Column::KeyId.is_in(ids))
        .filter(allowing)
        .select_only()
        .column(Column::KeyId)
        .column_as(Column::TenantOrg.count(), "tenants")
        .group_by(Column::KeyId)
        .into_model::<Counted>()
        .all(db)
        .await
        .map_err(store_fault)?
        .into_iter()
        .map(|row| (row.key_id, row.tenants.unsigned_abs()))
        .collect();
    let mut rows: HashMap<String, Vec<api_key_tenant::Model>> = HashMap::new();
    // One statement, and of every key no more rows are touched than are shown.
    let mut first = listing.iter().map(|key| {
        let own = unscoped(REASON)
            .find::<api_key_tenant::Entity>()
            .filter(Column::KeyId.eq(key.facts.id.as_token_part()))
            .order_by(Column::TenantOrg, Order::Asc)
            .order_by(Column::TenantUser, Order::Asc)
            .limit(limit)
            .into_query();
        Query::select().expr(Expr::col(sea_orm::sea_query::Asterisk)).from_subquery(own, "own").to_owned()
    });
    let Some(mut statement) = first.next() else { return Ok(HashMap::new()) };
    for more in first {
        statement.union(UnionType::All, more);
    }
    let statement = db.get_database_backend().build(&statement);
    for row in api_key_tenant::Model::find_by_statement(statement).all(db).await.map_err(store_fault)? {
        rows.entry(row.key_id.clone()).or_default().push(row);
    }
    listing
        .into_iter()
        .map(|key| {
            let id = key.facts.id;
            let mut rows = rows.remove(id.as_token_part()).unwrap_or_default();
            // A union promises no order.
            rows.sort_by(|a, b| (&a.tenant_org, &a.tenant_user).cmp(&(&b.tenant_org, &b.tenant_user)));
            let count = counted.get(id.as_token_part()).copied().unwrap_or_default();
            Ok((id, (listed_tenants(key.facts.kind, rows)?, count)))
        })
        .collect()
}

async fn earlier(
    db: &DatabaseConnection,
    keys: &[KeyRecord],
    at: Timestamp,
) -> Result<HashMap<KeyId, Vec<EarlierToken>>, StoreFault> {
    use api_key_digest::Column;
    let ends: HashMap<&str, (KeyId, Option<Timestamp>)> =
        keys.iter().map(|key| (key.facts.id.as_token_part(), (key.facts.id, key.facts.expires_at))).collect();
    if ends.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = unscoped(REASON)
        .find::<api_key_digest::Entity>()
        .filter(Column::KeyId.is_in(ends.keys().copied()))
        .filter(Column::ExpiresAt.gt(at.as_micros()))
        .order_by(Column::Issue, Order::Desc)
        .all(db)
        .await
        .map_err(store_fault)?;
    let mut earlier: HashMap<KeyId, Vec<EarlierToken>> = HashMap::new();
    for row in rows {
        let Some((id, key_end)) = ends.get(row.key_id.as_str()) else { continue };
        let own = row.expires_at.map(Timestamp::from_micros);
        let Some(ends_at) = own.into_iter().chain(*key_end).min().filter(|end| *end > at) else { continue };
        earlier.entry(*id).or_default().push(EarlierToken {
            created_at: Timestamp::from_micros(row.created_at),
            ends_at,
            last_used_at: row.last_used_at.map(Timestamp::from_micros),
        });
    }
    Ok(earlier)
}
