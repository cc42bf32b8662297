//! Slices as rows.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::access::{SystemScope, WithinOrganization};
use domain::insight::{Folded, Slice, SliceKey};
use domain::store::StoreFault;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, QueryFilter};
use uuid::Uuid;

use super::super::entity::insight_slice::{Column, Entity};
use super::super::fault::store_fault;
use super::super::insertion::Insertion;
use super::super::patience::DatabaseTransaction;
use super::super::{CHUNK, scoped};

static ROWS: LazyLock<Insertion> = LazyLock::new(|| {
    let key = [Column::OrganizationId, Column::Kind, Column::Begins, Column::Scope];
    Insertion::of::<Entity>(Some(&OnConflict::columns(key).update_column(Column::Content).to_owned()))
});

/// Adds what was folded. Whoever calls it is the only one that does for the organization.
pub async fn add(transaction: &DatabaseTransaction, scope: &SystemScope, folded: Folded) -> Result<(), StoreFault> {
    let mut wanted: HashMap<(i16, i64), HashMap<Uuid, &SliceKey>> = HashMap::new();
    for key in folded.keys() {
        let place = (key.kind.number(), key.begins.as_micros());
        wanted.entry(place).or_default().insert(key.scope.id(), key);
    }
    let mut stored: HashMap<SliceKey, Slice> = HashMap::with_capacity(folded.len());
    for ((kind, begins), scopes) in &wanted {
        let ids: Vec<Uuid> = scopes.keys().copied().collect();
        for chunk in ids.chunks(CHUNK) {
            let rows = scoped::find::<Entity>(scope)
                .filter(Column::Kind.eq(*kind))
                .filter(Column::Begins.eq(*begins))
                .filter(Column::Scope.is_in(chunk.iter().copied()))
                .all(transaction)
                .await
                .map_err(store_fault)?;
            for row in rows {
                let slice = Slice::from_bytes(&row.content);
                let slice = slice.map_err(|fault| StoreFault::Corrupt(fault.to_string()))?;
                if let Some(key) = scopes.get(&row.scope) {
                    stored.insert((*key).clone(), slice);
                }
            }
        }
    }
    let mut rows: Vec<(i16, i64, Uuid, Slice)> = folded
        .onto(stored)
        .into_iter()
        .map(|(key, slice)| (key.kind.number(), key.begins.as_micros(), key.scope.id(), slice))
        .collect();
    // In the order of their key, which is how they lie.
    rows.sort_unstable_by_key(|(kind, begins, id, _)| (*kind, *begins, *id));
    let organization = scope.organization_id().as_uuid();
    ROWS.run(transaction, &rows, |(kind, begins, id, slice)| {
        [organization.into(), (*kind).into(), (*begins).into(), (*id).into(), slice.to_bytes().into()]
    })
    .await?;
    Ok(())
}
