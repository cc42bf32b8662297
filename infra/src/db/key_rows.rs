//! Reading keys: one join for what every view of a key needs, and the order in which many are locked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::access::{Permission, PermissionSet, Role, WithinOrganization};
use domain::id::{ServerId, UserId};
use domain::key::token::hint;
use domain::key::{InvalidRateLimit, KeyFacts, KeyId, KeyRecord, KeyServers, KeyType, RateLimit};
use domain::organization::UserRef;
use domain::store::StoreFault;
use domain::tenant::TenantRule;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, LockType, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, FromQueryResult, IntoSimpleExpr, JoinType, Order, QueryFilter,
    QueryOrder, QuerySelect, RelationTrait, Select,
};
use uuid::Uuid;

use super::entity::{api_key, api_key_server, membership, organization, user};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::people_rows::organization_ref;
use super::scoped::{self, unscoped};

/// A key with the names of its organization and owner.
#[derive(Debug, FromQueryResult)]
pub struct KeyRow {
    id: String,
    organization_id: Uuid,
    owner_id: Uuid,
    prefix: String,
    name: String,
    description: Option<String>,
    kind: String,
    role: String,
    permissions: String,
    all_servers: bool,
    any_tenant: bool,
    tenants_version: i32,
    rate_requests: Option<i32>,
    rate_seconds: Option<i32>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
    organization_slug: String,
    organization_name: String,
    organization_features: String,
    owner_email: String,
    owner_display_name: Option<String>,
    owner_role: Option<String>,
}

/// Adds what a [`KeyRow`] needs to a selection of keys.
pub fn with_names(keys: Select<api_key::Entity>) -> Select<api_key::Entity> {
    keys.join(JoinType::InnerJoin, api_key::Relation::Organization.def())
        .join(JoinType::InnerJoin, api_key::Relation::Owner.def())
        .join(JoinType::LeftJoin, api_key::Relation::Membership.def())
        .column_as(organization::Column::Slug, "organization_slug")
        .column_as(organization::Column::Name, "organization_name")
        .column_as(organization::Column::Features, "organization_features")
        .column_as(user::Column::Email, "owner_email")
        .column_as(user::Column::DisplayName, "owner_display_name")
        .column_as(active_role(), "owner_role")
}

/// The owner's role, while both the owner and the membership are active. For selections that have [`with_names`].
pub fn active_role() -> SimpleExpr {
    let active = Condition::all().add(membership::Column::DisabledAt.is_null()).add(user::Column::DisabledAt.is_null());
    Expr::case(active, membership::Column::Role.into_simple_expr()).finally(Expr::value(Option::<String>::None)).into()
}

/// Turns rows into records; one more query for the server lists of those keys that have one.
pub async fn records(db: &impl ConnectionTrait, rows: Vec<KeyRow>) -> Result<Vec<KeyRecord>, StoreFault> {
    let listing: Vec<&str> = rows.iter().filter(|row| !row.all_servers).map(|row| row.id.as_str()).collect();
    let mut servers: HashMap<String, HashSet<ServerId>> = HashMap::new();
    if !listing.is_empty() {
        let listed = unscoped("the key ids come from rows that were scoped")
            .find::<api_key_server::Entity>()
            .filter(api_key_server::Column::KeyId.is_in(listing))
            .all(db)
            .await
            .map_err(store_fault)?;
        for row in listed {
            servers.entry(row.key_id).or_default().insert(ServerId::from_uuid(row.server_id));
        }
    }
    rows.into_iter()
        .map(|row| {
            let listed = servers.remove(&row.id).unwrap_or_default();
            record(row, listed)
        })
        .collect()
}

fn record(row: KeyRow, listed: HashSet<ServerId>) -> Result<KeyRecord, StoreFault> {
    let corrupt = |what: &str| StoreFault::Corrupt(format!("key {}: {what}", row.id));
    let id = KeyId::from_token_part(&row.id).map_err(|_| corrupt("id"))?;
    let kind = KeyType::named(&row.kind).ok_or_else(|| corrupt("kind"))?;
    let any = row.any_tenant;
    let rate_limit = rate_limit(row.rate_requests, row.rate_seconds).map_err(|_| corrupt("rate limit"))?;
    let facts = KeyFacts {
        id,
        name: row.name.as_str().into(),
        hint: hint(&row.prefix, id).into(),
        kind,
        organization: organization_ref(
            row.organization_id,
            &row.organization_slug,
            &row.organization_name,
            &row.organization_features,
        ),
        owner: user_ref(row.owner_id, &row.owner_email, row.owner_display_name.as_deref()),
        role: Role::named(&row.role).ok_or_else(|| corrupt("role"))?,
        permissions: permissions_from_text(&row.permissions).ok_or_else(|| corrupt("permissions"))?,
        servers: if row.all_servers { KeyServers::All } else { KeyServers::Listed(listed) },
        tenants: match kind {
            KeyType::Solo => TenantRule::Owner,
            KeyType::Client => TenantRule::Users { any },
            KeyType::Platform => TenantRule::Orgs { any },
        },
        tenants_version: row.tenants_version,
        rate_limit,
        expires_at: row.expires_at.map(Timestamp::from_micros),
    };
    let description = row.description.as_deref().map(str::parse).transpose().map_err(|_| corrupt("description"))?;
    Ok(KeyRecord {
        facts,
        description,
        owner_role: row
            .owner_role
            .as_deref()
            .map(|role| Role::named(role).ok_or_else(|| corrupt("owner's role")))
            .transpose()?,
        created_at: Timestamp::from_micros(row.created_at),
        last_used_at: row.last_used_at.map(Timestamp::from_micros),
        revoked_at: row.revoked_at.map(Timestamp::from_micros),
    })
}

/// A person as everything names them.
pub fn user_ref(id: Uuid, email: &str, display_name: Option<&str>) -> UserRef {
    let email: Arc<str> = email.into();
    let display_name = display_name.map_or_else(|| Arc::clone(&email), Into::into);
    UserRef { id: UserId::from_uuid(id), email, display_name }
}

/// A set of permissions as the store has it: names between blanks.
pub fn permissions_to_text(permissions: PermissionSet) -> String {
    permissions.iter().map(Permission::as_str).collect::<Vec<_>>().join(" ")
}

/// A limit as the store has it: requests and seconds.
pub fn rate_columns(limit: Option<RateLimit>) -> (Option<i32>, Option<i32>) {
    let column = |part: fn(&RateLimit) -> u32| limit.as_ref().and_then(|limit| i32::try_from(part(limit)).ok());
    (column(RateLimit::requests), column(RateLimit::per_seconds))
}

/// The limit that two columns hold, if any; the other way of [`rate_columns`].
pub fn rate_limit(requests: Option<i32>, seconds: Option<i32>) -> Result<Option<RateLimit>, InvalidRateLimit> {
    let Some((requests, seconds)) = requests.zip(seconds) else { return Ok(None) };
    // What does not fit is 0, which makes no limit.
    RateLimit::new(u32::try_from(requests).unwrap_or(0), u32::try_from(seconds).unwrap_or(0)).map(Some)
}

fn permissions_from_text(text: &str) -> Option<PermissionSet> {
    text.split_whitespace().map(Permission::named).collect()
}

/// The ids of those of these keys that are not revoked, locked until the transaction ends. Always in one order, byte by
/// byte: of two changes of many keys at once one waits for the other, and neither for ever.
pub async fn lock_live(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    which: Condition,
) -> Result<Vec<String>, StoreFault> {
    let mut live = scoped::find::<api_key::Entity>(scope)
        .filter(which)
        .filter(api_key::Column::RevokedAt.is_null())
        .select_only()
        .column(api_key::Column::Id);
    if transaction.get_database_backend() == DbBackend::Postgres {
        live = live.order_by(Expr::cust(r#""api_keys"."id" COLLATE "C""#), Order::Asc).lock(LockType::Update);
    }
    live.into_tuple().all(transaction).await.map_err(store_fault)
}
