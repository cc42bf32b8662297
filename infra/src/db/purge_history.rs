//! Deleting what is older than it is kept: call records and hours of use, an organization at a time and by the only index
//! that they have, and runs.

use domain::access::SystemScope;
use domain::insight::{CallSession, Grain, Kind};
use domain::store::StoreFault;
use domain::time::Timestamp;
use domain::usage::Hour;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::entity::{
    call_record, call_telemetry, insight_session, insight_slice, insight_topic, insight_week, run, run_step,
    usage_bucket, workflow_baseline,
};
use super::fault::store_fault;
use super::insights::untouched;
use super::organizations_with::next_with;
use super::purge::{CHUNK, SqlPurge};
use super::scoped::{self, TenantOwned, unscoped};
use crate::insights::HOURS_KEPT;
use crate::purge::Retention;

impl SqlPurge {
    /// Deletes the records of calls that began before `before`, and what was said of them; how many calls.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn calls(&self, before: Timestamp) -> Result<u64, StoreFault> {
        let all = Condition::all;
        self.older::<call_telemetry::Entity>(all(), call_telemetry::Column::At, before.as_micros()).await?;
        self.older::<call_record::Entity>(all(), call_record::Column::At, before.as_micros()).await
    }

    /// Deletes the hours of use that were over at `before`; how many rows.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn usage(&self, before: Timestamp) -> Result<u64, StoreFault> {
        let before = Hour::of(before).begins().as_micros();
        self.older::<usage_bucket::Entity>(Condition::all(), usage_bucket::Column::Hour, before).await
    }

    /// Deletes the runs that ended before `before`, with their steps, but for baselines; how many runs.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn runs(&self, before: Timestamp) -> Result<u64, StoreFault> {
        const REASON: &str = "every organization's old runs go";
        let mut deleted = 0;
        loop {
            let transaction = self.db.writer().begin().await.map_err(store_fault)?;
            let kept =
                Query::select().column(workflow_baseline::Column::RunId).from(workflow_baseline::Entity).to_owned();
            let old: Vec<Uuid> = unscoped(REASON)
                .find::<run::Entity>()
                .filter(run::Column::FinishedAt.lt(before.as_micros()))
                .filter(run::Column::Id.not_in_subquery(kept))
                .select_only()
                .column(run::Column::Id)
                .order_by_asc(run::Column::FinishedAt)
                .limit(CHUNK)
                .into_tuple()
                .all(&transaction)
                .await
                .map_err(store_fault)?;
            if old.is_empty() {
                return Ok(deleted);
            }
            unscoped(REASON)
                .delete::<run_step::Entity>()
                .filter(run_step::Column::RunId.is_in(old.iter().copied()))
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
            let done = unscoped(REASON)
                .delete::<run::Entity>()
                .filter(run::Column::Id.is_in(old))
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
            transaction.commit().await.map_err(store_fault)?;
            deleted += done.rows_affected;
        }
    }

    /// Deletes what insights are made of: hours and days that are older than they are kept at `now`, topics whose last call
    /// was and that no editor touched, and the sessions whose calls are cleared out; how many rows.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn insights(&self, now: Timestamp, retention: Retention) -> Result<u64, StoreFault> {
        use insight_slice::Column;
        let mut deleted = 0;
        for topics in [false, true] {
            for (grain, kept) in [(Grain::Hour, HOURS_KEPT), (Grain::Day, retention.insights)] {
                let of_kind = Condition::all().add(Column::Kind.eq(Kind { grain, topics }.number()));
                let before = grain.begin(now.before(kept.min(retention.insights))).as_micros();
                deleted += self.older::<insight_slice::Entity>(of_kind, Column::Begins, before).await?;
            }
        }
        // Those whose first days are gone; the others' days tell what is left of them.
        let before = Grain::Day.begin(now.before(retention.insights)).as_micros();
        deleted += self.older::<insight_week::Entity>(Condition::all(), insight_week::Column::Begins, before).await?;
        let ended = CallSession::lowest_id(now.before(retention.calls.min(retention.insights))).as_uuid();
        let mut last = None;
        while let Some(organization) = next_with::<insight_session::Entity>(self.db.reader(), last).await? {
            let scope = SystemScope::new(organization, "what is older than it is kept goes");
            loop {
                let over = scoped::find::<insight_session::Entity>(&scope)
                    .select_only()
                    .column(insight_session::Column::Id)
                    .filter(insight_session::Column::Id.lt(ended))
                    .order_by_asc(insight_session::Column::Id)
                    .limit(CHUNK)
                    .into_query();
                let done = scoped::delete::<insight_session::Entity>(&scope)
                    .filter(insight_session::Column::Id.in_subquery(over))
                    .exec(self.db.writer())
                    .await
                    .map_err(store_fault)?;
                deleted += done.rows_affected;
                if done.rows_affected < CHUNK {
                    break;
                }
            }
            last = Some(organization);
        }
        let quiet = insight_topic::Column::LastSeen.lt(now.before(retention.insights).as_micros());
        let done = unscoped("every organization's old topics go; each has a bounded number")
            .delete::<insight_topic::Entity>()
            .filter(untouched().add(quiet))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(deleted + done.rows_affected)
    }

    /// Deletes the rows of every organization that fit and whose `time` is less than `before`. The primary key begins with
    /// the organization, what `fit` compares for equality, and the time, so that neither finding the organizations nor the
    /// rows looks at others.
    async fn older<E: TenantOwned>(&self, fit: Condition, time: E::Column, before: i64) -> Result<u64, StoreFault> {
        let (mut deleted, mut last) = (0, None);
        while let Some(organization) = next_with::<E>(self.db.reader(), last).await? {
            let scope = SystemScope::new(organization, "what is older than it is kept goes");
            loop {
                // The time up to which a chunk of them goes; the rest when there are fewer.
                let end: Option<i64> = scoped::find::<E>(&scope)
                    .select_only()
                    .column(time)
                    .filter(fit.clone())
                    .filter(time.lt(before))
                    .order_by_asc(time)
                    .offset(CHUNK - 1)
                    .limit(1)
                    .into_tuple()
                    .one(self.db.reader())
                    .await
                    .map_err(store_fault)?;
                let old = match end {
                    Some(end) => time.lte(end),
                    None => time.lt(before),
                };
                let old = scoped::delete::<E>(&scope).filter(fit.clone()).filter(old);
                let done = old.exec(self.db.writer()).await.map_err(store_fault)?;
                deleted += done.rows_affected;
                if end.is_none() {
                    break;
                }
            }
            last = Some(organization);
        }
        Ok(deleted)
    }
}
