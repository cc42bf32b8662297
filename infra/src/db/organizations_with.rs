//! Going through the organizations that have rows in a table, one after the other, however many there are.

use domain::id::OrganizationId;
use domain::store::StoreFault;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::fault::store_fault;
use super::scoped::{TenantOwned, unscoped};

/// The organization after `last` that has rows in `E`; the first one without it. An index that begins with the organization
/// answers it without looking at more than one row.
pub async fn next_with<E: TenantOwned>(
    db: &impl ConnectionTrait,
    last: Option<OrganizationId>,
) -> Result<Option<OrganizationId>, StoreFault> {
    let mut rows = unscoped("it finds out which organizations there are to go to").find::<E>();
    if let Some(last) = last {
        rows = rows.filter(E::ORGANIZATION.gt(last.as_uuid()));
    }
    let found: Option<Uuid> = rows
        .select_only()
        .column(E::ORGANIZATION)
        .order_by_asc(E::ORGANIZATION)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
        .map_err(store_fault)?;
    Ok(found.map(OrganizationId::from_uuid))
}
