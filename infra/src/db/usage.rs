//! Keeping use, by the hour.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::access::permission::UsageRead;
use domain::access::{Grant, SystemScope, WithinOrganization};
use domain::id::ServerId;
use domain::key::KeyId;
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::usage::port::{UsageItem, UsagePosition, UsageQuery, UsageStore};
use domain::usage::{Latencies, Slot, Tally, UsageOf};
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ActiveValue, ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use super::Database;
use super::entity::api_key;
use super::entity::usage_bucket::{self, Column};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::scoped;

/// Use in the database.
#[derive(Clone)]
pub struct SqlUsage {
    db: Database,
}

impl SqlUsage {
    /// Keeps use in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }
}

#[async_trait]
impl UsageStore for SqlUsage {
    async fn add(&self, counted: &[(Slot, Tally)]) -> Result<(), StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        for (slot, tally) in counted {
            add(&transaction, slot, tally).await?;
        }
        transaction.commit().await.map_err(store_fault)
    }

    async fn report(
        &self,
        grant: &Grant<UsageRead>,
        query: &UsageQuery,
        page: PageRequest<UsagePosition>,
    ) -> Result<Page<UsageItem, UsagePosition>, StoreFault> {
        let mut pairs = selected(grant, query).select_only().column(Column::KeyId).column(Column::ServerId);
        if let Some(after) = page.after {
            let key = after.key.as_token_part();
            let same = Condition::all().add(Column::KeyId.eq(key)).add(Column::ServerId.gt(after.server.as_uuid()));
            pairs = pairs.filter(Condition::any().add(Column::KeyId.gt(key)).add(same));
        }
        let pairs: Vec<(String, Uuid)> = pairs
            .group_by(Column::KeyId)
            .group_by(Column::ServerId)
            .order_by_asc(Column::KeyId)
            .order_by_asc(Column::ServerId)
            .limit(u64::from(page.limit.get()) + 1)
            .into_tuple()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let rows = selected(grant, query)
            .filter(Column::KeyId.is_in(pairs.iter().map(|(key, _)| key.as_str())))
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let mut tallies: BTreeMap<(String, Uuid), Tally> = BTreeMap::new();
        for row in rows {
            let tally = read(&row)?;
            tallies.entry((row.key_id, row.server_id)).or_default().merge(&tally);
        }
        let mut items = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let key = KeyId::from_token_part(&pair.0).map_err(|_| StoreFault::Corrupt("key of use".to_owned()))?;
            let server = ServerId::from_uuid(pair.1);
            items.push(UsageItem { key, server, tally: tallies.remove(&pair).unwrap_or_default() });
        }
        Ok(Page::of_overread(items, page.limit, |item| UsagePosition { key: item.key, server: item.server }))
    }
}

/// The rows that a report is made of.
fn selected(grant: &Grant<UsageRead>, query: &UsageQuery) -> Select<usage_bucket::Entity> {
    let mut rows = scoped::find::<usage_bucket::Entity>(grant)
        .filter(Column::Hour.gte(query.from.begins().as_micros()))
        .filter(Column::Hour.lt(query.to.begins().as_micros()));
    rows = match query.of {
        UsageOf::Everybody => rows,
        UsageOf::Key(key) => rows.filter(Column::KeyId.eq(key.as_token_part())),
        UsageOf::Owner(owner) => rows.filter(
            Column::KeyId.in_subquery(
                Query::select()
                    .column(api_key::Column::Id)
                    .from(api_key::Entity)
                    .and_where(api_key::Column::OrganizationId.eq(grant.organization_id().as_uuid()))
                    .and_where(api_key::Column::OwnerId.eq(owner.as_uuid()))
                    .to_owned(),
            ),
        ),
    };
    if let Some(key) = query.key {
        rows = rows.filter(Column::KeyId.eq(key.as_token_part()));
    }
    if let Some(server) = query.server {
        rows = rows.filter(Column::ServerId.eq(server.as_uuid()));
    }
    if let Some(narrowing) = &query.within {
        rows = rows.filter(Column::ServerId.is_in(narrowing.servers().iter().map(ServerId::as_uuid)));
    }
    rows
}

/// Adds to one row. The row is made first and then locked, so that of several nodes none writes over another's.
async fn add(transaction: &DatabaseTransaction, slot: &Slot, tally: &Tally) -> Result<(), StoreFault> {
    let scope = SystemScope::new(slot.organization, "use is counted for keys that were verified");
    let hour = slot.hour.begins().as_micros();
    let row = usage_bucket::ActiveModel {
        organization_id: ActiveValue::NotSet,
        hour: ActiveValue::Set(hour),
        key_id: ActiveValue::Set(slot.key.as_token_part().to_owned()),
        server_id: ActiveValue::Set(slot.server.as_uuid()),
        calls: ActiveValue::Set(0),
        errors: ActiveValue::Set(0),
        latencies: ActiveValue::Set(Latencies::default().to_bytes()),
    };
    let unique = [Column::OrganizationId, Column::Hour, Column::KeyId, Column::ServerId];
    scoped::insert::<usage_bucket::Entity, _>(&scope, [row])
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    let of_slot = Condition::all()
        .add(Column::Hour.eq(hour))
        .add(Column::KeyId.eq(slot.key.as_token_part()))
        .add(Column::ServerId.eq(slot.server.as_uuid()));
    let row = scoped::find::<usage_bucket::Entity>(&scope)
        .filter(of_slot.clone())
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(store_fault)?;
    let mut sum = row.as_ref().map(read).transpose()?.unwrap_or_default();
    sum.merge(tally);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    scoped::update::<usage_bucket::Entity>(&scope)
        .filter(of_slot)
        .col_expr(Column::Calls, number(sum.calls).into())
        .col_expr(Column::Errors, number(sum.errors).into())
        .col_expr(Column::Latencies, sum.latencies.to_bytes().into())
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

fn read(row: &usage_bucket::Model) -> Result<Tally, StoreFault> {
    let corrupt = || StoreFault::Corrupt("use of a key".to_owned());
    Ok(Tally {
        calls: u64::try_from(row.calls).map_err(|_| corrupt())?,
        errors: u64::try_from(row.errors).map_err(|_| corrupt())?,
        latencies: Latencies::from_bytes(&row.latencies).map_err(|_| corrupt())?,
    })
}
