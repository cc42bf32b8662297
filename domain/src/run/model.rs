//! Runs as data.

use std::time::Duration;

use super::actor::RunActor;
use super::evidence::Evidence;
use super::status::{RunStatus, StepStatus, Trigger};
use crate::id::{OrganizationId, RunId, ServerId, WorkflowId};
use crate::policy::Reach;
use crate::time::Timestamp;

/// A step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunStep {
    /// Its name in the workflow.
    pub name: String,
    /// The server.
    pub server: ServerId,
    /// The tool.
    pub tool: String,
    /// Whether the run goes wrong with it.
    pub required: bool,
    /// Whether it may be called again.
    pub safe: bool,
    /// How it stands.
    pub status: StepStatus,
    /// How often it was begun.
    pub tries: u32,
    /// When it was begun for the last time.
    pub began_at: Option<Timestamp>,
    /// From its first begin on this node to its end.
    pub duration: Option<Duration>,
    /// What is kept of it.
    pub evidence: Evidence,
    /// Whether that is kept back, since whoever asks does not reach the server.
    pub withheld: bool,
    /// The run's revision when it changed last.
    pub revision: i64,
}

/// One execution of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The id.
    pub id: RunId,
    /// The organization.
    pub organization: OrganizationId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its version.
    pub version: u32,
    /// How it stands.
    pub status: RunStatus,
    /// Why, in a sentence; none before its end.
    pub reason: Option<String>,
    /// What began it.
    pub trigger: Trigger,
    /// On whose behalf.
    pub actor: RunActor,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When a node first took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether somebody asked for its end.
    pub cancelling: bool,
    /// Counts its changes.
    pub revision: i64,
    /// Its steps, in order; lists leave them out.
    pub steps: Vec<RunStep>,
}

impl Run {
    /// How long it took; none before its end, and for one that no node ever took.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let (start, end) = self.started_at.zip(self.finished_at)?;
        u64::try_from(end.as_micros() - start.as_micros()).ok().map(Duration::from_micros)
    }

    /// The same as somebody sees it: what steps said of servers that they do not see is kept back.
    #[must_use]
    pub fn seen_by(mut self, sees: &Reach) -> Self {
        for step in &mut self.steps {
            if !sees.permits(step.server) {
                step.evidence = Evidence { error: step.evidence.error.take(), ..Evidence::default() };
                step.withheld = true;
            }
        }
        self
    }
}
