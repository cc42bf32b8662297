//! Weeks: days that are over, added up. Whoever folds late calls into a day throws its weeks away, in the same transaction;
//! whoever adds days up holds the organization's calls meanwhile, so that none of them changes under it.

use std::collections::{HashMap, HashSet};

use domain::access::{SystemScope, WithinOrganization};
use domain::id::{OrganizationId, ServerId};
use domain::insight::week::{StoredWeek, Week, add_up};
use domain::insight::{Grain, Kind, Scope, StoredSlice, SumQuery};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::super::entity::insight_week::{ActiveModel, Column, Entity};
use super::super::entity::{insight_slice, server};
use super::super::fault::store_fault;
use super::super::organizations_with::next_with;
use super::super::patience::DatabaseTransaction;
use super::super::scoped;
use super::fold::lock;
use super::{SCOPES, SqlInsightFold};

/// Weeks that views read: of ninety days and the ninety before.
const WEEKS: usize = 26;
const DAYS: Kind = Kind { grain: Grain::Day, topics: false };

/// The weeks that stand for days of what is asked, as far as there are any.
pub async fn of(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    query: &SumQuery,
    scopes: &[Uuid],
) -> Result<Vec<StoredWeek>, StoreFault> {
    let weeks = query.weeks();
    let mut found = Vec::new();
    if weeks.is_empty() {
        return Ok(found);
    }
    for chunk in scopes.chunks(SCOPES) {
        let rows = scoped::find::<Entity>(scope)
            .select_only()
            .columns([Column::Begins, Column::Scope, Column::Totals])
            .filter(Column::Begins.is_in(weeks.iter().map(|week| week.begins().as_micros())))
            .filter(Column::Scope.is_in(chunk.iter().copied()));
        let read = |(begins, scope, totals, slice)| StoredWeek {
            week: Week::of(Timestamp::from_micros(begins)),
            scope,
            totals,
            slice,
        };
        if query.dimensions.is_empty() {
            let rows: Vec<(i64, Uuid, Vec<u8>)> = rows.into_tuple().all(db).await.map_err(store_fault)?;
            found.extend(rows.into_iter().map(|(begins, scope, totals)| read((begins, scope, totals, None))));
        } else {
            let rows = rows.column(Column::Content).into_tuple();
            let rows: Vec<(i64, Uuid, Vec<u8>, Vec<u8>)> = rows.all(db).await.map_err(store_fault)?;
            let read = |(begins, scope, totals, slice)| read((begins, scope, totals, Some(slice)));
            found.extend(rows.into_iter().map(read));
        }
    }
    Ok(found)
}

/// Throws weeks away whose days have changed; how many there were.
pub async fn forget(
    transaction: &DatabaseTransaction,
    scope: &SystemScope,
    touched: &HashSet<(Week, Uuid)>,
) -> Result<u64, StoreFault> {
    let mut by_week: HashMap<Week, Vec<Uuid>> = HashMap::new();
    for (week, of) in touched {
        by_week.entry(*week).or_default().push(*of);
    }
    let mut forgotten = 0;
    for (week, scopes) in by_week {
        for chunk in scopes.chunks(SCOPES) {
            let done = scoped::delete::<Entity>(scope)
                .filter(Column::Begins.eq(week.begins().as_micros()))
                .filter(Column::Scope.is_in(chunk.iter().copied()))
                .exec(transaction)
                .await
                .map_err(store_fault)?;
            forgotten += done.rows_affected;
        }
    }
    Ok(forgotten)
}

impl SqlInsightFold {
    /// Adds up the weeks that are over at `now` and are not added up yet, of every organization; how many. False besides when
    /// somebody else had an organization's calls, so that some are left.
    ///
    /// # Errors
    /// The first [`StoreFault`] there was; other organizations' weeks are added up all the same.
    pub async fn add_up_weeks(&self, now: Timestamp) -> Result<(usize, bool), StoreFault> {
        let (mut last, mut made, mut all, mut fault) = (None, 0, true, None);
        while let Some(organization) = next_with::<insight_slice::Entity>(self.db.reader(), last).await? {
            match self.add_up_weeks_of(organization, now).await {
                Ok((some, whole)) => (made, all) = (made + some, all && whole),
                Err(error) => fault = fault.or(Some(error)),
            }
            last = Some(organization);
        }
        fault.map_or(Ok((made, all)), Err)
    }

    async fn add_up_weeks_of(&self, id: OrganizationId, now: Timestamp) -> Result<(usize, bool), StoreFault> {
        let scope = SystemScope::new(id, "days that are over are added up to weeks");
        let (mut made, mut whole) = (0, true);
        for (week, of) in self.weeks_that_lack(&scope, now).await? {
            let added = self.add_up_week(&scope, week, &of).await?;
            made += usize::from(added);
            whole &= added;
        }
        Ok((made, whole))
    }

    /// The weeks that are over and have days, and are not there.
    async fn weeks_that_lack(&self, scope: &SystemScope, now: Timestamp) -> Result<Vec<(Week, Scope)>, StoreFault> {
        let db = self.db.reader();
        let servers: Vec<Uuid> = scoped::find::<server::Entity>(scope)
            .select_only()
            .column(server::Column::Id)
            .into_tuple()
            .all(db)
            .await
            .map_err(store_fault)?;
        let servers = servers.into_iter().map(|id| Scope::Server(ServerId::from_uuid(id)));
        let scopes: Vec<Scope> = std::iter::once(Scope::Organization).chain(servers).collect();
        let weeks: Vec<Week> = Week::last_over(now).and_before(WEEKS).collect();
        let days: Vec<i64> = weeks.iter().flat_map(|week| week.days()).map(Timestamp::as_micros).collect();
        let mut lacking = Vec::new();
        for chunk in scopes.chunks(SCOPES) {
            let ids = || chunk.iter().map(Scope::id);
            let there: Vec<(i64, Uuid)> = scoped::find::<Entity>(scope)
                .select_only()
                .columns([Column::Begins, Column::Scope])
                .filter(Column::Begins.is_in(weeks.iter().map(|week| week.begins().as_micros())))
                .filter(Column::Scope.is_in(ids()))
                .into_tuple()
                .all(db)
                .await
                .map_err(store_fault)?;
            let of_days: Vec<(i64, Uuid)> = scoped::find::<insight_slice::Entity>(scope)
                .select_only()
                .columns([insight_slice::Column::Begins, insight_slice::Column::Scope])
                .filter(insight_slice::Column::Kind.eq(DAYS.number()))
                .filter(insight_slice::Column::Begins.is_in(days.iter().copied()))
                .filter(insight_slice::Column::Scope.is_in(ids()))
                .into_tuple()
                .all(db)
                .await
                .map_err(store_fault)?;
            let week = |(begins, id)| (Week::of(Timestamp::from_micros(begins)), id);
            let there: HashSet<(Week, Uuid)> = there.into_iter().map(week).collect();
            let with_days: HashSet<(Week, Uuid)> = of_days.into_iter().map(week).collect();
            for of in chunk {
                let lacks = |week: &&Week| {
                    let key = (**week, of.id());
                    with_days.contains(&key) && !there.contains(&key)
                };
                lacking.extend(weeks.iter().filter(lacks).map(|week| (*week, of.clone())));
            }
        }
        Ok(lacking)
    }

    /// Adds up one week, in a transaction of its own; false when somebody else has the organization's calls.
    async fn add_up_week(&self, scope: &SystemScope, week: Week, of: &Scope) -> Result<bool, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        if !lock(&transaction, scope).await? {
            return Ok(false);
        }
        let days: Vec<(i64, Vec<u8>)> = scoped::find::<insight_slice::Entity>(scope)
            .select_only()
            .columns([insight_slice::Column::Begins, insight_slice::Column::Content])
            .filter(insight_slice::Column::Kind.eq(DAYS.number()))
            .filter(insight_slice::Column::Begins.is_in(week.days().map(Timestamp::as_micros)))
            .filter(insight_slice::Column::Scope.eq(of.id()))
            .into_tuple()
            .all(&transaction)
            .await
            .map_err(store_fault)?;
        let id = of.id();
        let days: Vec<StoredSlice> = days
            .into_iter()
            .map(|(begins, bytes)| StoredSlice { begins: Timestamp::from_micros(begins), scope: id, bytes })
            .collect();
        let of = of.clone();
        let added = tokio::task::spawn_blocking(move || add_up(week, &of, &days)).await;
        let added = added.map_err(|error| StoreFault::Broken(Box::new(error)))?;
        let added = added.map_err(|fault| StoreFault::Corrupt(fault.to_string()))?;
        let row = ActiveModel {
            begins: ActiveValue::Set(week.begins().as_micros()),
            scope: ActiveValue::Set(id),
            totals: ActiveValue::Set(added.totals),
            content: ActiveValue::Set(added.slice.unwrap_or_default()),
            ..Default::default()
        };
        scoped::insert::<Entity, _>(scope, [row])
            .on_conflict(
                OnConflict::columns([Column::OrganizationId, Column::Begins, Column::Scope])
                    .update_columns([Column::Totals, Column::Content])
                    .to_owned(),
            )
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }
}
