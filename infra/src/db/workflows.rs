//! Keeping workflows, and finding those that are to be run.

use async_trait::async_trait;
use domain::access::permission::{RunsDispatch, WorkflowsRead, WorkflowsWrite};
use domain::access::{Grant, SystemScope, WithinOrganization};
use domain::audit::AuditEvent;
use domain::id::{OrganizationId, WorkflowId};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::time::Timestamp;
use domain::workflow::change::WorkflowChange;
use domain::workflow::port::{
    ChangeFault, Come, Definitions, Due, MadeVersion, NewWorkflow, Schedules, WorkflowFilter, WorkflowStore,
};
use domain::workflow::{Scheduler, Workflow, WorkflowVersion};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect};

use super::audit::record;
use super::entity::{workflow, workflow_version};
use super::fault::store_fault;
use super::scoped::unscoped;
use super::workflow_rows::{self, OwnerColumns, add_version, people, stored_number, version, workflows};
use super::{Database, scoped};

/// Workflows in the database.
pub struct SqlWorkflows {
    db: Database,
}

impl SqlWorkflows {
    /// Keeps workflows in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    async fn read(&self, scope: &impl WithinOrganization, id: WorkflowId) -> Result<Option<Workflow>, StoreFault> {
        // Two statements, and a change between them must not be half seen.
        let snapshot = self.db.snapshot().await?;
        let row = scoped::find::<workflow::Entity>(scope)
            .filter(workflow::Column::Id.eq(id.as_uuid()))
            .one(&snapshot)
            .await
            .map_err(store_fault)?;
        Ok(workflows(&snapshot, scope, row.into_iter().collect()).await?.pop())
    }

    async fn read_version(
        &self,
        scope: &impl WithinOrganization,
        id: WorkflowId,
        number: u32,
    ) -> Result<Option<workflow_version::Model>, StoreFault> {
        scoped::find::<workflow_version::Entity>(scope)
            .filter(workflow_version::Column::WorkflowId.eq(id.as_uuid()))
            .filter(workflow_version::Column::Number.eq(stored_number(number)))
            .one(self.db.reader())
            .await
            .map_err(store_fault)
    }
}

async fn made(db: &impl ConnectionTrait, rows: Vec<workflow_version::Model>) -> Result<Vec<MadeVersion>, StoreFault> {
    let people = people(db, rows.iter().map(|row| row.created_by).collect()).await?;
    rows.iter()
        .map(|row| {
            let by = people.get(&row.created_by).cloned();
            let by = by.ok_or_else(|| StoreFault::Corrupt("maker of a version of a workflow".to_owned()))?;
            Ok(MadeVersion { version: version(row)?, by })
        })
        .collect()
}

#[async_trait]
impl WorkflowStore for SqlWorkflows {
    async fn insert(
        &self,
        grant: &Grant<WorkflowsWrite>,
        new: NewWorkflow,
        event: AuditEvent,
    ) -> Result<Workflow, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let NewWorkflow { id, name, description, definition, schedule, project, at } = new;
        let (schedule, owner) = schedule.unzip();
        let columns = OwnerColumns::of(owner.as_ref());
        let due = schedule.as_ref().and_then(|schedule| schedule.next_after(at));
        let row = workflow::ActiveModel {
            id: ActiveValue::Set(id.as_uuid()),
            organization_id: ActiveValue::NotSet,
            name: ActiveValue::Set(name.to_string()),
            description: ActiveValue::Set(description.as_ref().map(ToString::to_string)),
            version: ActiveValue::Set(1),
            project_id: ActiveValue::Set(project.map(|project| project.as_uuid())),
            cron: ActiveValue::Set(schedule.as_ref().map(|schedule| schedule.cron.clone())),
            time_zone: ActiveValue::Set(schedule.as_ref().map(|schedule| schedule.time_zone.clone())),
            scheduled_by: ActiveValue::Set(columns.person),
            scheduled_by_key: ActiveValue::Set(columns.key),
            scheduled_org: ActiveValue::Set(columns.org),
            scheduled_user: ActiveValue::Set(columns.user),
            due_at: ActiveValue::Set(due.map(Timestamp::as_micros)),
            last_run_at: ActiveValue::Set(None),
            created_at: ActiveValue::Set(at.as_micros()),
            archived_at: ActiveValue::Set(None),
        };
        scoped::insert::<workflow::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        add_version(&transaction, grant, id, 1, &definition, at).await?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Workflow {
            id,
            name,
            description,
            version: 1,
            definition,
            schedule,
            schedule_owner: owner,
            due_at: due,
            last_run_at: None,
            project,
            archived_at: None,
            created_at: at,
        })
    }

    async fn get(&self, grant: &Grant<WorkflowsRead>, id: WorkflowId) -> Result<Option<Workflow>, StoreFault> {
        self.read(grant, id).await
    }

    async fn list(
        &self,
        grant: &Grant<WorkflowsRead>,
        filter: WorkflowFilter,
        page: PageRequest<WorkflowId>,
    ) -> Result<Page<Workflow, WorkflowId>, StoreFault> {
        use workflow::Column;
        let archived = Column::ArchivedAt;
        let archived = if filter.archived { archived.is_not_null() } else { archived.is_null() };
        let mut found = scoped::find::<workflow::Entity>(grant).filter(archived);
        if let Some(project) = filter.project {
            found = found.filter(Column::ProjectId.eq(project.as_uuid()));
        }
        if let Some(after) = page.after {
            found = found.filter(Column::Id.gt(after.as_uuid()));
        }
        let snapshot = self.db.snapshot().await?;
        let rows = found
            .order_by(Column::Id, Order::Asc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(&snapshot)
            .await
            .map_err(store_fault)?;
        let found = workflows(&snapshot, grant, rows).await?;
        Ok(Page::of_overread(found, page.limit, |workflow| workflow.id))
    }

    async fn change(
        &self,
        grant: &Grant<WorkflowsWrite>,
        id: WorkflowId,
        change: WorkflowChange,
        expected: Option<u32>,
        scheduler: &Scheduler,
        event: AuditEvent,
    ) -> Result<Option<Workflow>, ChangeFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let changed = workflow_rows::change(&transaction, grant, id, change, expected, scheduler, &event).await?;
        let Some((after, events)) = changed else { return Ok(None) };
        if !events.is_empty() {
            record(&transaction, events).await?;
            transaction.commit().await.map_err(store_fault)?;
        }
        Ok(Some(after))
    }

    async fn versions(
        &self,
        grant: &Grant<WorkflowsRead>,
        id: WorkflowId,
        page: PageRequest<u32>,
    ) -> Result<Option<Page<MadeVersion, u32>>, StoreFault> {
        use workflow_version::Column;
        let mut found = scoped::find::<workflow_version::Entity>(grant).filter(Column::WorkflowId.eq(id.as_uuid()));
        if let Some(after) = page.after {
            found = found.filter(Column::Number.lt(stored_number(after)));
        }
        let rows = found
            .order_by(Column::Number, Order::Desc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        // A workflow is at least at version 1: only the page after the last has none.
        if rows.is_empty() && page.after.is_none() {
            return Ok(None);
        }
        let made = made(self.db.reader(), rows).await?;
        Ok(Some(Page::of_overread(made, page.limit, |made| made.version.number)))
    }

    async fn made_version(
        &self,
        grant: &Grant<WorkflowsRead>,
        id: WorkflowId,
        number: u32,
    ) -> Result<Option<MadeVersion>, StoreFault> {
        let row = self.read_version(grant, id, number).await?;
        Ok(made(self.db.reader(), row.into_iter().collect()).await?.pop())
    }
}

#[async_trait]
impl Definitions for SqlWorkflows {
    async fn to_run(&self, grant: &Grant<RunsDispatch>, id: WorkflowId) -> Result<Option<Workflow>, StoreFault> {
        self.read(grant, id).await
    }

    async fn version(
        &self,
        scope: SystemScope,
        id: WorkflowId,
        number: u32,
    ) -> Result<Option<WorkflowVersion>, StoreFault> {
        self.read_version(&scope, id, number).await?.as_ref().map(version).transpose()
    }
}

#[async_trait]
impl Schedules for SqlWorkflows {
    async fn due(
        &self,
        now: Timestamp,
        last: Option<(Timestamp, WorkflowId)>,
        limit: u16,
    ) -> Result<Vec<Come>, StoreFault> {
        use workflow::Column;
        let mut rows = unscoped("the clock is every organization's")
            .find::<workflow::Entity>()
            .filter(Column::DueAt.lte(now.as_micros()))
            .filter(Column::ArchivedAt.is_null());
        if let Some((at, workflow)) = last {
            let as_late = Condition::all().add(Column::DueAt.eq(at.as_micros())).add(Column::Id.gt(workflow.as_uuid()));
            rows = rows.filter(Condition::any().add(Column::DueAt.gt(at.as_micros())).add(as_late));
        }
        let rows = rows
            .order_by(Column::DueAt, Order::Asc)
            .order_by(Column::Id, Order::Asc)
            .limit(u64::from(limit))
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        Ok(rows.into_iter().map(come).collect())
    }

    async fn take(&self, due: &Due, next: Option<Timestamp>) -> Result<bool, StoreFault> {
        use workflow::Column;
        let scope = SystemScope::new(due.organization, "a workflow's time has come");
        let taken = scoped::update::<workflow::Entity>(&scope)
            .filter(Column::Id.eq(due.workflow.as_uuid()))
            .filter(Column::DueAt.eq(due.at.as_micros()))
            .filter(Column::Cron.eq(due.schedule.cron.as_str()))
            .filter(Column::TimeZone.eq(due.schedule.time_zone.as_str()))
            .col_expr(Column::DueAt, Expr::from(next.map(Timestamp::as_micros)))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(taken.rows_affected > 0)
    }
}

fn come(row: workflow::Model) -> Come {
    let workflow = WorkflowId::from_uuid(row.id);
    let at = Timestamp::from_micros(row.due_at.unwrap_or_default());
    let corrupt = || StoreFault::Corrupt(format!("schedule of the workflow {workflow}"));
    let due = || {
        Ok(Due {
            organization: OrganizationId::from_uuid(row.organization_id),
            workflow,
            version: workflow_rows::number(row.id, row.version)?,
            at,
            schedule: workflow_rows::schedule(&row).ok_or_else(corrupt)?,
            owner: workflow_rows::owner(&row)?.ok_or_else(corrupt)?,
        })
    };
    Come { at, workflow, due: due() }
}
