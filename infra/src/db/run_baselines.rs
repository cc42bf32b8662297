//! Which run of a workflow the others are compared with.

use std::collections::HashMap;

use domain::access::permission::{RunsRead, WorkflowsWrite};
use domain::access::{Grant, TenantScope};
use domain::audit::AuditEvent;
use domain::id::{RunId, WorkflowId};
use domain::run::RunStatus;
use domain::run::port::Changed;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::audit::record;
use super::entity::run;
use super::entity::workflow_baseline::{ActiveModel, Column, Entity};
use super::fault::store_fault;
use super::run_rows::read;
use super::runs::{SqlRuns, mine, seen};
use super::scoped;

impl SqlRuns {
    pub(super) async fn take_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        id: RunId,
        event: AuditEvent,
    ) -> Result<Changed, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let row = mine(grant, id).filter(run::Column::WorkflowId.eq(workflow.as_uuid())).one(&transaction).await;
        let Some(row) = row.map_err(store_fault)? else { return Ok(Changed::NotFound) };
        let found = read(row)?;
        if found.status != RunStatus::Pass {
            return Ok(Changed::Unfit(found));
        }
        let row = ActiveModel {
            workflow_id: ActiveValue::Set(workflow.as_uuid()),
            organization_id: ActiveValue::NotSet,
            run_id: ActiveValue::Set(id.as_uuid()),
            set_at: ActiveValue::Set(SystemClock.now().as_micros()),
        };
        scoped::insert::<Entity, _>(grant, [row])
            .on_conflict(
                OnConflict::column(Column::WorkflowId).update_columns([Column::RunId, Column::SetAt]).to_owned(),
            )
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Changed::Done(found))
    }

    pub(super) async fn drop_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        event: AuditEvent,
    ) -> Result<bool, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let gone = scoped::delete::<Entity>(grant)
            .filter(Column::WorkflowId.eq(workflow.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if gone.rows_affected == 0 {
            return Ok(false);
        }
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }

    pub(super) async fn read_baselines(
        &self,
        scope: &TenantScope,
        workflows: &[WorkflowId],
    ) -> Result<HashMap<WorkflowId, RunId>, StoreFault> {
        let rows = scoped::find::<Entity>(scope)
            .filter(Column::WorkflowId.is_in(workflows.iter().map(WorkflowId::as_uuid)))
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        if rows.is_empty() {
            return Ok(HashMap::new());
        }
        // Whoever speaks for a tenant is told of no other's run.
        let theirs: Vec<Uuid> = seen(scope)
            .filter(run::Column::Id.is_in(rows.iter().map(|row| row.run_id)))
            .select_only()
            .column(run::Column::Id)
            .into_tuple()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let told = rows.iter().filter(|row| theirs.contains(&row.run_id));
        Ok(told.map(|row| (WorkflowId::from_uuid(row.workflow_id), RunId::from_uuid(row.run_id))).collect())
    }

    pub(super) async fn read_baseline(
        &self,
        grant: &Grant<RunsRead>,
        workflow: WorkflowId,
    ) -> Result<Option<RunId>, StoreFault> {
        let row = scoped::find::<Entity>(grant)
            .filter(Column::WorkflowId.eq(workflow.as_uuid()))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        Ok(row.map(|row| RunId::from_uuid(row.run_id)))
    }
}
