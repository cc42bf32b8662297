//! A workflow as data.

use std::time::Duration;

use super::schedule::Schedule;
use super::scheduler::ScheduleOwner;
use super::step::Step;
use crate::id::{OrganizationId, ProjectId, WorkflowId};
use crate::text::{Description, Name};
use crate::time::Timestamp;

/// What a run does: the part of a workflow that versions are of.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How long a whole run may take; none for the installation's own limit.
    pub timeout: Option<Duration>,
}

/// One version of a workflow. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowVersion {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The organization.
    pub organization: OrganizationId,
    /// 1 for the first, without a gap.
    pub number: u32,
    /// What it does.
    pub definition: Definition,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A workflow with its newest version.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// The id.
    pub id: WorkflowId,
    /// The name for people.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// The newest version.
    pub version: u32,
    /// What it does.
    pub definition: Definition,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// On whose behalf it then runs; none when it has no schedule.
    pub schedule_owner: Option<ScheduleOwner>,
    /// The time at which it runs by itself next. One that came and waits for room is still the next.
    pub due_at: Option<Timestamp>,
    /// When it ran by itself for the last time, also when that run was cleared out since.
    pub last_run_at: Option<Timestamp>,
    /// The project that it belongs to.
    pub project: Option<ProjectId>,
    /// When it was put away. An archived workflow is not run.
    pub archived_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Workflow {
    /// When it is to run by itself next, counted from this time; none for never.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.as_ref().filter(|_| self.archived_at.is_none())?.next_after(at)
    }
}
