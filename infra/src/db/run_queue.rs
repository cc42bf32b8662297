//! The queue of runs: leases of our own in the runs' rows.
//!
//! No library was found that keeps a queue with sea-orm in SQLite and in PostgreSQL; and a queue beside the runs would be a
//! second place that says how a run stands. A node takes a run by an update that names what it saw, so that of two nodes one
//! changes a row and the other none. Rows are not skipped when they are locked: the next try finds another run, and there are
//! few nodes.

use std::time::Duration;

use async_trait::async_trait;
use domain::access::SystemScope;
use domain::audit::AuditEvent;
use domain::id::{OrganizationId, RunId};
use domain::idempotency::Claim as Once;
use domain::run::evidence::Evidence;
use domain::run::fair::{self, Load};
use domain::run::port::{Carried, Claim, Claimed, Dispatched, Held, NewRun, RunEnd, RunQueue, StepEnd};
use domain::run::{RunStatus, StepStatus};
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ColumnTrait, ExprTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::DatabaseKind;
use super::audit::record;
use super::entity::run::{self, Column, Entity};
use super::entity::run_step;
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::run_fence::{claimed, hold, now};
use super::run_rows::{corrupt, read, read_step, scope_of, status_number, step_number, steps};
use super::runs::SqlRuns;
use super::scoped::{self, unscoped};
use crate::seal::RunPlace;

const EVERYBODYS: &str = "a node does the runs of every organization";
/// How often a node looks again because another node was quicker.
const ATTEMPTS: usize = 8;

/// What a step carries, as it is sealed.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct PlainCarried {
    answers: Map<String, Value>,
    seen: Vec<String>,
}

#[derive(Debug, FromQueryResult)]
struct LoadRow {
    organization_id: Uuid,
    status: i16,
    runs: i64,
    oldest: i64,
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn running() -> i16 {
    status_number(RunStatus::Running)
}

fn pending() -> i16 {
    status_number(RunStatus::Pending)
}

impl SqlRuns {
    fn lease(&self, lease: Duration) -> SimpleExpr {
        now(self.db.kind()).add(micros(lease))
    }

    /// A run whose node let its lease end, or gave it back: the one that is free for longest.
    async fn abandoned(&self) -> Result<Option<run::Model>, StoreFault> {
        unscoped(EVERYBODYS)
            .find::<Entity>()
            .filter(Column::Status.eq(running()))
            .filter(Expr::col(Column::LeaseUntil).lte(now(self.db.kind())))
            .order_by_asc(Column::LeaseUntil)
            .limit(1)
            .one(self.db.reader())
            .await
            .map_err(store_fault)
    }

    /// The run that waits longest of the organization whose turn it is.
    async fn waiting(&self) -> Result<Option<run::Model>, StoreFault> {
        let rows = unscoped(EVERYBODYS)
            .find::<Entity>()
            .filter(Column::Status.is_in([pending(), running()]))
            .select_only()
            .columns([Column::OrganizationId, Column::Status])
            .column_as(Column::Id.count(), "runs")
            .column_as(Column::CreatedAt.min(), "oldest")
            .group_by(Column::OrganizationId)
            .group_by(Column::Status)
            .into_model::<LoadRow>()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let loads: Vec<Load> = rows
            .iter()
            .filter(|row| row.status == pending())
            .map(|row| Load {
                organization: OrganizationId::from_uuid(row.organization_id),
                running: rows
                    .iter()
                    .find(|other| other.status == running() && other.organization_id == row.organization_id)
                    .map_or(0, |other| u64::try_from(other.runs).unwrap_or(0)),
                waits_since: Some(Timestamp::from_micros(row.oldest)),
            })
            .collect();
        let Some(organization) = fair::next(&loads) else { return Ok(None) };
        scoped::find::<Entity>(&scope_of(organization))
            .filter(Column::Status.eq(pending()))
            .order_by_asc(Column::CreatedAt)
            .limit(1)
            .one(self.db.reader())
            .await
            .map_err(store_fault)
    }

    /// Takes the run as it was seen; false when another node was quicker.
    async fn take(&self, row: &run::Model, node: Uuid, lease: Duration) -> Result<bool, StoreFault> {
        let scope = scope_of(OrganizationId::from_uuid(row.organization_id));
        let mut taken = scoped::update::<Entity>(&scope)
            .filter(Column::Id.eq(row.id))
            .filter(Column::Claim.eq(row.claim))
            .filter(Column::Status.eq(row.status))
            .col_expr(Column::Status, running().into())
            .col_expr(Column::Claim, Expr::col(Column::Claim).add(1))
            .col_expr(Column::Node, node.into())
            .col_expr(Column::LeaseUntil, self.lease(lease))
            .col_expr(Column::Revision, Expr::col(Column::Revision).add(1));
        if row.status == running() {
            taken = taken.filter(Expr::col(Column::LeaseUntil).lte(now(self.db.kind())));
        } else {
            taken = taken.col_expr(Column::StartedAt, SystemClock.now().as_micros().into());
        }
        let taken = taken.exec(self.db.writer()).await.map_err(store_fault)?;
        Ok(taken.rows_affected == 1)
    }

    /// A run that was just taken, as it stands.
    async fn taken(&self, organization: Uuid, id: Uuid) -> Result<Claimed, StoreFault> {
        let scope = scope_of(OrganizationId::from_uuid(organization));
        let row = scoped::find::<Entity>(&scope)
            .filter(Column::Id.eq(id))
            .one(self.db.writer())
            .await
            .map_err(store_fault)?
            .ok_or_else(|| corrupt("row"))?;
        let number = row.claim;
        let mut run = read(row)?;
        let claim = Claim { run: run.id, organization: run.organization, number };
        let rows = steps(self.db.writer(), &scope, run.id).await?;
        run.steps = rows.iter().map(read_step).collect::<Result<_, _>>()?;
        let carried = rows.iter().map(|row| self.opened(&claim, row)).collect();
        Ok(Claimed { claim, run, carried })
    }

    fn opened(&self, claim: &Claim, row: &run_step::Model) -> Option<Carried> {
        let Some(sealed) = &row.carried else { return Some(Carried::default()) };
        let plain = self.sealer.open_run(place(claim, row.position).ok()?, sealed).ok()?;
        let PlainCarried { answers, seen } = serde_json::from_slice(&plain).ok()?;
        Some(Carried { answers, seen })
    }

    fn sealed(&self, claim: &Claim, position: i32, carried: Carried) -> Result<Option<Vec<u8>>, StoreFault> {
        if carried == Carried::default() {
            return Ok(None);
        }
        let plain = PlainCarried { answers: carried.answers, seen: carried.seen };
        let plain = Zeroizing::new(serde_json::to_vec(&plain).map_err(|error| StoreFault::Broken(Box::new(error)))?);
        let sealed = self.sealer.seal_run(place(claim, position)?, &plain);
        sealed.map(Some).map_err(|fault| StoreFault::Broken(Box::new(fault)))
    }
}

fn place(claim: &Claim, position: i32) -> Result<RunPlace, StoreFault> {
    let position = u32::try_from(position).map_err(|_| corrupt("step's place"))?;
    Ok(RunPlace { organization: claim.organization, run: claim.run, position })
}

fn position(at: usize) -> Result<i32, StoreFault> {
    i32::try_from(at).map_err(|_| corrupt("step's place"))
}

fn text(evidence: &Evidence) -> Result<String, StoreFault> {
    serde_json::to_string(evidence).map_err(|error| StoreFault::Broken(Box::new(error)))
}

async fn write_end(
    transaction: &DatabaseTransaction,
    claim: &Claim,
    end: &StepEnd,
    carried: Option<Vec<u8>>,
    revision: i64,
) -> Result<(), StoreFault> {
    use run_step::Column;
    scoped::update::<run_step::Entity>(&scope_of(claim.organization))
        .filter(Column::RunId.eq(claim.run.as_uuid()))
        .filter(Column::Position.eq(position(end.position)?))
        .col_expr(Column::Status, step_number(end.status).into())
        .col_expr(Column::Took, end.duration.map(micros).into())
        .col_expr(Column::Evidence, text(&end.evidence)?.into())
        .col_expr(Column::Carried, carried.into())
        .col_expr(Column::Revision, revision.into())
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

/// What is left of a run that is over: steps that were not begun get `rest`, and nothing is carried any more.
pub(super) async fn settle(
    transaction: &DatabaseTransaction,
    scope: &SystemScope,
    run: RunId,
    rest: StepStatus,
    revision: i64,
) -> Result<(), StoreFault> {
    use run_step::Column;
    scoped::update::<run_step::Entity>(scope)
        .filter(Column::RunId.eq(run.as_uuid()))
        .filter(Column::Status.eq(step_number(StepStatus::Pending)))
        .col_expr(Column::Status, step_number(rest).into())
        .col_expr(Column::Revision, revision.into())
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    scoped::update::<run_step::Entity>(scope)
        .filter(Column::RunId.eq(run.as_uuid()))
        .filter(Column::Carried.is_not_null())
        .col_expr(Column::Carried, Expr::value(Option::<Vec<u8>>::None))
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

#[async_trait]
impl RunQueue for SqlRuns {
    async fn begin(&self) -> Result<(), StoreFault> {
        // An SQLite file belongs to one process, and that is this one.
        if self.db.kind() == DatabaseKind::Sqlite {
            unscoped(EVERYBODYS)
                .update::<Entity>()
                .filter(Column::Status.eq(running()))
                .col_expr(Column::LeaseUntil, 0_i64.into())
                .exec(self.db.writer())
                .await
                .map_err(store_fault)?;
        }
        Ok(())
    }

    async fn schedule(
        &self,
        scope: &SystemScope,
        run: &NewRun,
        once: &Once,
        event: AuditEvent,
    ) -> Result<bool, StoreFault> {
        Ok(!matches!(self.keep(scope, run, Some(once), event).await?, Dispatched::Full))
    }

    async fn claim(&self, node: Uuid, lease: Duration) -> Result<Option<Claimed>, StoreFault> {
        for _ in 0..ATTEMPTS {
            let found = match self.abandoned().await? {
                Some(row) => Some(row),
                None => self.waiting().await?,
            };
            let Some(row) = found else { return Ok(None) };
            if self.take(&row, node, lease).await? {
                return self.taken(row.organization_id, row.id).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn renew(&self, node: Uuid, runs: &[RunId], lease: Duration) -> Result<(), StoreFault> {
        unscoped(EVERYBODYS)
            .update::<Entity>()
            .filter(Column::Id.is_in(runs.iter().map(RunId::as_uuid)))
            .filter(Column::Status.eq(running()))
            .filter(Column::Node.eq(node))
            .col_expr(Column::LeaseUntil, self.lease(lease))
            .exec(self.db.writer())
            .await
            .map(drop)
            .map_err(store_fault)
    }

    async fn held(&self, node: Uuid) -> Result<Vec<Held>, StoreFault> {
        let rows: Vec<(Uuid, Uuid, i64, Option<i64>)> = unscoped(EVERYBODYS)
            .find::<Entity>()
            .filter(Column::Status.eq(running()))
            .filter(Column::Node.eq(node))
            .select_only()
            .columns([Column::Id, Column::OrganizationId, Column::Claim, Column::CancelledAt])
            .into_tuple()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let held = |(id, organization, number, cancelled): (Uuid, Uuid, i64, Option<i64>)| Held {
            claim: Claim { run: RunId::from_uuid(id), organization: OrganizationId::from_uuid(organization), number },
            cancelling: cancelled.is_some(),
        };
        Ok(rows.into_iter().map(held).collect())
    }

    async fn hand_back(&self, claim: &Claim) -> Result<bool, StoreFault> {
        let scope = scope_of(claim.organization);
        let given = claimed(&scope, claim)
            .col_expr(Column::LeaseUntil, 0_i64.into())
            .col_expr(Column::Node, Expr::value(Option::<Uuid>::None))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(given.rows_affected == 1)
    }

    async fn begin_step(
        &self,
        claim: &Claim,
        at: usize,
        evidence: &Evidence,
        time: Timestamp,
    ) -> Result<bool, StoreFault> {
        use run_step::Column;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let Some(revision) = hold(&transaction, claim).await? else { return Ok(false) };
        scoped::update::<run_step::Entity>(&scope_of(claim.organization))
            .filter(Column::RunId.eq(claim.run.as_uuid()))
            .filter(Column::Position.eq(position(at)?))
            .col_expr(Column::Status, step_number(StepStatus::Running).into())
            .col_expr(Column::Tries, Expr::col(Column::Tries).add(1))
            .col_expr(Column::BeganAt, time.as_micros().into())
            .col_expr(Column::Evidence, text(evidence)?.into())
            .col_expr(Column::Revision, revision.into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }

    async fn end_step(&self, claim: &Claim, end: StepEnd) -> Result<bool, StoreFault> {
        let carried = self.sealed(claim, position(end.position)?, end.carried.clone())?;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let Some(revision) = hold(&transaction, claim).await? else { return Ok(false) };
        write_end(&transaction, claim, &end, carried, revision).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }

    async fn finish(&self, claim: &Claim, end: RunEnd, event: AuditEvent) -> Result<bool, StoreFault> {
        let scope = scope_of(claim.organization);
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let Some(revision) = hold(&transaction, claim).await? else { return Ok(false) };
        if let Some(last) = &end.last {
            // No step comes after it that could need what it carries.
            write_end(&transaction, claim, last, None, revision).await?;
        }
        claimed(&scope, claim)
            .col_expr(Column::Status, status_number(end.status).into())
            .col_expr(Column::Reason, end.reason.into())
            .col_expr(Column::FinishedAt, SystemClock.now().as_micros().into())
            .col_expr(Column::Node, Expr::value(Option::<Uuid>::None))
            .col_expr(Column::LeaseUntil, Expr::value(Option::<i64>::None))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        settle(&transaction, &scope, claim.run, end.rest, revision).await?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }
}
