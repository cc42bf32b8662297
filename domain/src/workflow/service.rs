//! The use cases of workflows.

use std::sync::Arc;

use super::change::{NotChanged, WorkflowChange};
use super::check::{Checker, Seen};
use super::draft::Draft;
use super::model::Definition;
use super::port::{ChangeFault, MadeVersion, NewWorkflow, WorkflowFilter, WorkflowStore};
use super::scheduler::NotScheduled;
use crate::access::permission::{WorkflowsRead, WorkflowsWrite};
use crate::access::{Grant, TenantScope};
use crate::audit::{AuditEvent, AuditTarget};
use crate::field::FieldErrors;
use crate::id::WorkflowId;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Clock;

/// Why a workflow could not be made, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// Arguments that look like secrets: their places, and never what stands there.
    #[error(transparent)]
    Secret(FieldErrors),
    /// No such workflow, or no such version.
    #[error("no such workflow")]
    NotFound,
    /// It is archived, or another version than the change is of.
    #[error(transparent)]
    NotChanged(#[from] NotChanged),
    /// It has a schedule that the caller cannot stand behind.
    #[error(transparent)]
    NotScheduled(#[from] NotScheduled),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<ChangeFault> for WorkflowFault {
    fn from(fault: ChangeFault) -> Self {
        match fault {
            ChangeFault::NotChanged(why) => why.into(),
            ChangeFault::NotScheduled(why) => why.into(),
            ChangeFault::Store(fault) => fault.into(),
        }
    }
}

/// The use cases of workflows.
pub struct WorkflowService<C> {
    store: Arc<dyn WorkflowStore>,
    checker: Checker,
    clock: C,
}

impl<C: Clock> WorkflowService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn WorkflowStore>, checker: Checker, clock: C) -> Self {
        Self { store, checker, clock }
    }

    /// Makes a workflow at version 1. The event gets its id.
    ///
    /// # Errors
    /// [`WorkflowFault`]
    pub async fn create(
        &self,
        grant: &Grant<WorkflowsWrite>,
        draft: Draft,
        event: AuditEvent,
    ) -> Result<Seen, WorkflowFault> {
        let now = self.clock.now();
        let change = self.checker.read(grant, draft, now).await?;
        let missing = |field| FieldErrors::one(field, "is required");
        let steps = change.steps.ok_or_else(|| missing("steps"))?;
        let schedule = match change.schedule.flatten() {
            Some(schedule) => Some((schedule, self.checker.scheduler(grant).await?.stands_behind(&steps)?)),
            None => None,
        };
        let new = NewWorkflow {
            id: WorkflowId::new(),
            name: change.name.ok_or_else(|| missing("name"))?,
            description: change.description.flatten(),
            definition: Definition { steps, timeout: change.timeout.flatten() },
            schedule,
            project: change.project.flatten(),
            at: now,
        };
        let event = event.about(AuditTarget::Workflow(new.id));
        let workflow = self.store.insert(grant, new, event).await?;
        self.seen(grant, workflow).await
    }

    /// One workflow, archived ones too.
    ///
    /// # Errors
    /// [`WorkflowFault`]
    pub async fn get(&self, grant: &Grant<WorkflowsRead>, id: WorkflowId) -> Result<Seen, WorkflowFault> {
        let workflow = self.store.get(grant, id).await?.ok_or(WorkflowFault::NotFound)?;
        self.seen(grant, workflow).await
    }

    /// A page of workflows.
    ///
    /// # Errors
    /// [`WorkflowFault`]
    pub async fn list(
        &self,
        grant: &Grant<WorkflowsRead>,
        filter: WorkflowFilter,
        page: PageRequest<WorkflowId>,
    ) -> Result<Page<Seen, WorkflowId>, WorkflowFault> {
        let Page { items, next } = self.store.list(grant, filter, page).await?;
        Ok(Page { items: self.checker.seen(grant, items).await?, next })
    }

    /// Changes a workflow. `expected` is the version that the change is of, if the caller says so.
    ///
    /// # Errors
    /// [`WorkflowFault`]
    pub async fn change(
        &self,
        grant: &Grant<WorkflowsWrite>,
        id: WorkflowId,
        draft: Draft,
        expected: Option<u32>,
        event: AuditEvent,
    ) -> Result<Seen, WorkflowFault> {
        let change = self.checker.read(grant, draft, self.clock.now()).await?;
        self.make(grant, id, change, expected, event).await
    }

    /// Puts a workflow away, or brings it back.
    ///
    /// # Errors
    /// [`WorkflowFault`]
    pub async fn archive(
        &self,
        grant: &Grant<WorkflowsWrite>,
        id: WorkflowId,
        archived: bool,
        event: AuditEvent,
    ) -> Result<Seen, WorkflowFault> {
        let change = WorkflowChange { archived: Some(archived), ..WorkflowChange::default() };
        self.make(grant, id, change, None, event).await
    }

    /// A page of a workflow's versions, newest first.
    ///
    /// # Errors
    /// [`WorkflowFault`]
    pub async fn versions(
        &self,
        grant: &Grant<WorkflowsRead>,
        id: WorkflowId,
        page: PageRequest<u32>,
    ) -> Result<Page<MadeVersion, u32>, WorkflowFault> {
        self.store.versions(grant, id, page).await?.ok_or(WorkflowFault::NotFound)
    }

    /// One version of a workflow.
    ///
    /// # Errors
    /// [`WorkflowFault`]
    pub async fn version(
        &self,
        grant: &Grant<WorkflowsRead>,
        id: WorkflowId,
        number: u32,
    ) -> Result<MadeVersion, WorkflowFault> {
        self.store.made_version(grant, id, number).await?.ok_or(WorkflowFault::NotFound)
    }

    async fn make(
        &self,
        grant: &Grant<WorkflowsWrite>,
        id: WorkflowId,
        change: WorkflowChange,
        expected: Option<u32>,
        event: AuditEvent,
    ) -> Result<Seen, WorkflowFault> {
        let event = event.about(AuditTarget::Workflow(id));
        let scheduler = self.checker.scheduler(grant).await?;
        let changed = self.store.change(grant, id, change, expected, &scheduler, event).await?;
        self.seen(grant, changed.ok_or(WorkflowFault::NotFound)?).await
    }

    async fn seen(&self, scope: &TenantScope, workflow: super::Workflow) -> Result<Seen, WorkflowFault> {
        self.checker.seen(scope, vec![workflow]).await?.pop().ok_or(WorkflowFault::NotFound)
    }
}
