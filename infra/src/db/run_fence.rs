//! What a node writes about a run that it has. Each transaction begins with the run's row, under the condition that the claim
//! still holds: so the row is locked until the commit, and a node whose run went to another writes nothing any more.

use domain::access::SystemScope;
use domain::run::port::Claim;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ColumnTrait, ExprTrait, QueryFilter, QuerySelect, UpdateMany};

use super::entity::run::{Column, Entity};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::run_rows::{corrupt, scope_of, status_number};
use super::{DatabaseKind, scoped};
use domain::run::RunStatus;

/// The time by which leases are told: the database's own where nodes share one, since their clocks may differ.
pub fn now(kind: DatabaseKind) -> SimpleExpr {
    match kind {
        DatabaseKind::Postgres => Expr::cust("(extract(epoch from clock_timestamp()) * 1000000)::bigint"),
        DatabaseKind::Sqlite => Expr::value(SystemClock.now().as_micros()),
    }
}

/// An update of the run, if the claim holds.
pub fn claimed(scope: &SystemScope, claim: &Claim) -> UpdateMany<Entity> {
    scoped::update::<Entity>(scope)
        .filter(Column::Id.eq(claim.run.as_uuid()))
        .filter(Column::Claim.eq(claim.number))
        .filter(Column::Status.eq(status_number(RunStatus::Running)))
}

/// Counts a change of the run and locks it, if the claim holds; the run's revision then.
pub async fn hold(transaction: &DatabaseTransaction, claim: &Claim) -> Result<Option<i64>, StoreFault> {
    let scope = scope_of(claim.organization);
    let held = claimed(&scope, claim)
        .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    if held.rows_affected != 1 {
        return Ok(None);
    }
    revision(transaction, claim).await.map(Some)
}

/// The run's revision, as this transaction sees it.
pub async fn revision(transaction: &DatabaseTransaction, claim: &Claim) -> Result<i64, StoreFault> {
    let found: Option<i64> = scoped::find::<Entity>(&scope_of(claim.organization))
        .filter(Column::Id.eq(claim.run.as_uuid()))
        .select_only()
        .column(Column::Revision)
        .into_tuple()
        .one(transaction)
        .await
        .map_err(store_fault)?;
    found.ok_or_else(|| corrupt("row"))
}
