//! One key, as it stands now.

use std::sync::Arc;

use domain::access::WithinOrganization;
use domain::access::rehearse::{Ended, KeyStanding};
use domain::key::{KeyId, KeyRecord};
use domain::store::StoreFault;
use sea_orm::{ColumnTrait, ConnectionTrait, JoinType, QueryFilter, QuerySelect, RelationTrait};

use super::entity::{api_key, membership, user};
use super::fault::store_fault;
use super::key_rows::{KeyRow, records, with_names};
use super::scoped;

/// What is known of a key.
pub async fn record(
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

/// A key, and whether its token would verify but for its expiry.
pub async fn standing(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    id: KeyId,
) -> Result<Option<KeyStanding>, StoreFault> {
    let Some(record) = record(db, scope, id).await? else { return Ok(None) };
    let owner = scoped::find::<membership::Entity>(scope)
        .join(JoinType::InnerJoin, membership::Relation::User.def())
        .filter(membership::Column::UserId.eq(record.facts.owner.id.as_uuid()))
        .filter(membership::Column::DisabledAt.is_null())
        .filter(user::Column::DisabledAt.is_null())
        .one(db)
        .await
        .map_err(store_fault)?;
    let ended = match (record.revoked_at, owner) {
        (Some(_), _) => Some(Ended::Revoked),
        (None, None) => Some(Ended::OwnerGone),
        (None, Some(_)) => None,
    };
    Ok(Some(KeyStanding { facts: Arc::new(record.facts), ended }))
}
