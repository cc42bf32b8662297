//! The calls of a batch, as they are left for the fold.

use std::collections::BTreeMap;

use domain::call::CallRecord;
use domain::id::OrganizationId;
use domain::insight::Intake;
use domain::store::StoreFault;
use uuid::Uuid;

use super::super::entity::insight_intake::Entity;
use super::super::insertion::Insertion;
use super::super::patience::DatabaseTransaction;

static ROWS: std::sync::LazyLock<Insertion> = std::sync::LazyLock::new(|| Insertion::of::<Entity>(None));

/// Leaves the calls of a batch that is just being stored: one row for each organization, and most batches have one.
pub async fn insert(transaction: &DatabaseTransaction, calls: &[CallRecord]) -> Result<(), StoreFault> {
    let rows: Vec<(OrganizationId, usize, Vec<u8>)> = match calls.first() {
        None => return Ok(()),
        Some(first) if calls.iter().all(|call| call.organization == first.organization) => {
            vec![(first.organization, calls.len(), Intake::pack(calls))]
        }
        Some(_) => {
            let mut by_organization: BTreeMap<OrganizationId, Vec<&CallRecord>> = BTreeMap::new();
            for call in calls {
                by_organization.entry(call.organization).or_default().push(call);
            }
            let packed = by_organization.into_iter();
            packed.map(|(organization, calls)| (organization, calls.len(), Intake::pack(calls))).collect()
        }
    };
    let values = |(organization, calls, packed): &(OrganizationId, usize, Vec<u8>)| {
        let calls = i32::try_from(*calls).unwrap_or(i32::MAX);
        [organization.as_uuid().into(), Uuid::now_v7().into(), calls.into(), packed.clone().into()]
    };
    ROWS.run(transaction, &rows, values).await?;
    Ok(())
}
