//! What workflows ask of a store, and what runs ask of it.

use async_trait::async_trait;

use super::change::{ChangeRefusal, NotChanged, WorkflowChange};
use super::model::{Definition, Workflow, WorkflowVersion};
use super::schedule::Schedule;
use super::scheduler::{NotScheduled, ScheduleOwner, Scheduler};
use crate::access::permission::{RunsDispatch, WorkflowsRead, WorkflowsWrite};
use crate::access::{Grant, SystemScope};
use crate::audit::AuditEvent;
use crate::id::{OrganizationId, ProjectId, WorkflowId};
use crate::organization::UserRef;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::text::{Description, Name};
use crate::time::Timestamp;

/// A workflow about to be stored.
#[derive(Debug, Clone)]
pub struct NewWorkflow {
    /// The id.
    pub id: WorkflowId,
    /// The name for people.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// What its first version does.
    pub definition: Definition,
    /// When it runs by itself, and on whose behalf.
    pub schedule: Option<(Schedule, ScheduleOwner)>,
    /// The project.
    pub project: Option<ProjectId>,
    /// When.
    pub at: Timestamp,
}

/// Which workflows.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkflowFilter {
    /// Those of this project alone.
    pub project: Option<ProjectId>,
    /// The archived ones, or the others.
    pub archived: bool,
}

/// A version and who made it.
#[derive(Debug, Clone, PartialEq)]
pub struct MadeVersion {
    /// The version.
    pub version: WorkflowVersion,
    /// The person, or the owner of the key.
    pub by: UserRef,
}

/// Why a workflow was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFault {
    /// The change does not fit what is there.
    #[error(transparent)]
    NotChanged(#[from] NotChanged),
    /// It has a schedule with the change that whoever makes it cannot stand behind.
    #[error(transparent)]
    NotScheduled(#[from] NotScheduled),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<ChangeRefusal> for ChangeFault {
    fn from(refusal: ChangeRefusal) -> Self {
        match refusal {
            ChangeRefusal::NotChanged(why) => why.into(),
            ChangeRefusal::NotScheduled(why) => why.into(),
        }
    }
}

/// Keeps workflows. Every change takes the event that records it: the store writes both or neither, and no event when
/// nothing changed. A version is written once, and nothing here changes one.
#[async_trait]
pub trait WorkflowStore: Send + Sync {
    /// Stores a new workflow at version 1.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn insert(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: NewWorkflow,
        event: AuditEvent,
    ) -> Result<Workflow, StoreFault>;

    /// One workflow, archived ones too.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<WorkflowsRead>, id: WorkflowId) -> Result<Option<Workflow>, StoreFault>;

    /// A page of workflows, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<WorkflowsRead>,
        filter: WorkflowFilter,
        page: PageRequest<WorkflowId>,
    ) -> Result<Page<Workflow, WorkflowId>, StoreFault>;

    /// Changes a workflow; none when there is no such workflow. Two changes at once come one after the other. `expected`
    /// is the version that the change is of, if that was said; the events are those of [`super::change::events`], and
    /// `scheduler` is whoever makes it.
    ///
    /// # Errors
    /// [`ChangeFault`]
    async fn change(
        &self,
        grant: &Grant<WorkflowsWrite>,
        id: WorkflowId,
        change: WorkflowChange,
        expected: Option<u32>,
        scheduler: &Scheduler,
        event: AuditEvent,
    ) -> Result<Option<Workflow>, ChangeFault>;

    /// A page of a workflow's versions, newest first; none when there is no such workflow.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn versions(
        &self,
        grant: &Grant<WorkflowsRead>,
        id: WorkflowId,
        page: PageRequest<u32>,
    ) -> Result<Option<Page<MadeVersion, u32>>, StoreFault>;

    /// One version of a workflow; none when there is no such version.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn made_version(
        &self,
        grant: &Grant<WorkflowsRead>,
        id: WorkflowId,
        number: u32,
    ) -> Result<Option<MadeVersion>, StoreFault>;
}

/// Finds what is to be run.
#[async_trait]
pub trait Definitions: Send + Sync {
    /// The workflow that somebody wants to run, archived ones too; none when the organization has none of this id.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn to_run(&self, grant: &Grant<RunsDispatch>, id: WorkflowId) -> Result<Option<Workflow>, StoreFault>;

    /// One version of a workflow, for a run that was begun with it; none when there is no such version.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn version(
        &self,
        scope: SystemScope,
        id: WorkflowId,
        number: u32,
    ) -> Result<Option<WorkflowVersion>, StoreFault>;
}

/// What to run, since its time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The organization.
    pub organization: OrganizationId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version that it is at.
    pub version: u32,
    /// The time that came.
    pub at: Timestamp,
    /// What says when it comes again.
    pub schedule: Schedule,
    /// On whose behalf it runs. They may have left since, or reach less.
    pub owner: ScheduleOwner,
}

/// A workflow whose time has come.
#[derive(Debug)]
pub struct Come {
    /// When it came.
    pub at: Timestamp,
    /// The workflow.
    pub workflow: WorkflowId,
    /// What to run; a fault when what is stored of it cannot be read.
    pub due: Result<Due, StoreFault>,
}

/// Tells which workflows are to run by themselves. Archived ones are not among them.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// The workflows of all organizations whose time came until `now`, the one that waits longest first; at most `limit`,
    /// and those after `last` alone, so that none of them hides the others.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn due(
        &self,
        now: Timestamp,
        last: Option<(Timestamp, WorkflowId)>,
        limit: u16,
    ) -> Result<Vec<Come>, StoreFault>;

    /// Sets the time at which a workflow is due again, unless somebody else did since, or its schedule changed; whether
    /// this was the one. Of many nodes that ask for one [`Due`], one is told yes.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn take(&self, due: &Due, next: Option<Timestamp>) -> Result<bool, StoreFault>;
}
