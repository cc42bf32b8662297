//! Changing a workflow. Steps and the time that a run may take are what versions are of; a change of anything else, such as
//! the name, leaves the version as it is.

use std::time::Duration;

use super::model::{Definition, Workflow};
use super::schedule::Schedule;
use super::scheduler::{NotScheduled, Scheduler};
use super::step::Step;
use crate::audit::{AuditEvent, AuditTarget};
use crate::id::ProjectId;
use crate::text::{Description, Name};
use crate::time::Timestamp;

/// What shall be different; none stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkflowChange {
    /// The name.
    pub name: Option<Name>,
    /// A longer explanation; none inside for none.
    pub description: Option<Option<Description>>,
    /// The steps.
    pub steps: Option<Vec<Step>>,
    /// How long a run may take; none inside for the installation's own limit.
    pub timeout: Option<Option<Duration>>,
    /// When it runs by itself; none inside for never.
    pub schedule: Option<Option<Schedule>>,
    /// The project; none inside for none.
    pub project: Option<Option<ProjectId>>,
    /// Put away, or brought back.
    pub archived: Option<bool>,
}

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// It is put away, and the change does not bring it back.
    #[error("the workflow is archived and does not change; restore it first")]
    Archived,
    /// It is another version than whoever changes it looked at.
    #[error("the workflow is at version {current} by now, and the change is of version {expected}; look at it again")]
    Moved {
        /// The version that the change is of.
        expected: u32,
        /// The version that there is.
        current: u32,
    },
}

/// Why somebody's change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    /// It does not fit what is there.
    #[error(transparent)]
    NotChanged(#[from] NotChanged),
    /// The workflow has a schedule with it that they cannot stand behind.
    #[error(transparent)]
    NotScheduled(#[from] NotScheduled),
}

impl WorkflowChange {
    /// What a workflow has in the parts that this changes.
    #[must_use]
    pub fn before(&self, workflow: &Workflow) -> Self {
        Self {
            name: self.name.is_some().then(|| workflow.name.clone()),
            description: self.description.is_some().then(|| workflow.description.clone()),
            steps: self.steps.is_some().then(|| workflow.definition.steps.clone()),
            timeout: self.timeout.is_some().then_some(workflow.definition.timeout),
            schedule: self.schedule.is_some().then(|| workflow.schedule.clone()),
            project: self.project.is_some().then_some(workflow.project),
            archived: None,
        }
    }

    /// The workflow with the change at this time. `expected` is the version that the change is of, if that was said. Who stands
    /// behind its schedule and when it is due is decided by [`WorkflowChange::apply_by`].
    ///
    /// # Errors
    /// [`NotChanged`]
    pub fn apply(self, before: &Workflow, expected: Option<u32>, at: Timestamp) -> Result<Workflow, NotChanged> {
        if let Some(expected) = expected.filter(|expected| *expected != before.version) {
            return Err(NotChanged::Moved { expected, current: before.version });
        }
        let archived_at = match self.archived {
            Some(true) => before.archived_at.or(Some(at)),
            Some(false) => None,
            None => before.archived_at,
        };
        let more_than_archiving = Self { archived: None, ..self.clone() } != Self::default();
        if archived_at.is_some() && more_than_archiving {
            return Err(NotChanged::Archived);
        }
        let definition = Definition {
            steps: self.steps.unwrap_or_else(|| before.definition.steps.clone()),
            timeout: self.timeout.unwrap_or(before.definition.timeout),
        };
        let version = if definition == before.definition { before.version } else { before.version.saturating_add(1) };
        Ok(Workflow {
            id: before.id,
            name: self.name.unwrap_or_else(|| before.name.clone()),
            description: self.description.unwrap_or_else(|| before.description.clone()),
            version,
            definition,
            schedule: self.schedule.unwrap_or_else(|| before.schedule.clone()),
            schedule_owner: before.schedule_owner.clone(),
            due_at: before.due_at,
            last_run_at: before.last_run_at,
            project: self.project.unwrap_or(before.project),
            archived_at,
            created_at: before.created_at,
        })
    }

    /// The same for whoever makes the change. A schedule that they send is theirs, also one that is there already: so a schedule
    /// whose owner has left is taken over. Other steps make it theirs, too; else their steps would run with another's rights.
    ///
    /// # Errors
    /// [`ChangeRefusal`]
    pub fn apply_by(
        self,
        scheduler: &Scheduler,
        before: &Workflow,
        expected: Option<u32>,
        at: Timestamp,
    ) -> Result<Workflow, ChangeRefusal> {
        let sent = self.schedule.is_some();
        let after = self.apply(before, expected, at)?;
        let schedule_owner = match &after.schedule {
            None => None,
            Some(_) if sent || after.definition.steps != before.definition.steps => {
                Some(scheduler.stands_behind(&after.definition.steps)?)
            }
            Some(_) => before.schedule_owner.clone(),
        };
        // A time that waits goes on waiting, unless another schedule says when.
        let moved = after.schedule != before.schedule || after.archived_at != before.archived_at;
        let due_at = if moved { after.next_after(at) } else { before.due_at };
        Ok(Workflow { schedule_owner, due_at, ..after })
    }
}

/// What the log says of a change, by what became of the workflow: nothing when nothing did.
#[must_use]
pub fn events(before: &Workflow, after: &Workflow, event: &AuditEvent) -> Vec<AuditEvent> {
    let archiving = match (before.archived_at, after.archived_at) {
        (None, Some(_)) => Some("workflow.archive"),
        (Some(_), None) => Some("workflow.restore"),
        (None, None) | (Some(_), Some(_)) => None,
    };
    let what = what_changed(before, after);
    let target = AuditTarget::Workflow(after.id);
    let updated = what.map(|what| {
        let reason = match &event.reason {
            Some(reason) => format!("{reason}: {what}"),
            None => what,
        };
        // Whoever applies a proposal has a word of their own for it.
        AuditEvent { reason: Some(reason), ..event.one_of_many(event.action, target) }
    });
    updated.into_iter().chain(archiving.map(|action| event.one_of_many(action, target))).collect()
}

/// What is different, in words; none when nothing is, apart from being put away.
fn what_changed(before: &Workflow, after: &Workflow) -> Option<String> {
    let version = (before.version != after.version).then(|| format!("version {}", after.version));
    let scheduled = before.schedule != after.schedule || before.schedule_owner != after.schedule_owner;
    let parts = [
        version.as_deref(),
        (before.name != after.name).then_some("name"),
        (before.description != after.description).then_some("description"),
        scheduled.then_some("schedule"),
        (before.project != after.project).then_some("project"),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::audit::AuditActor;
    use crate::id::{ServerId, WorkflowId};

    fn step(tool: &str) -> Step {
        Step {
            name: "one".parse().expect("a name"),
            server: ServerId::from_uuid(uuid::Uuid::nil()),
            server_slug: "notes".parse().expect("a slug"),
            tool: tool.to_owned(),
            arguments: Map::new(),
            expect: vec![],
            required: true,
            safe: false,
            retries: 0,
            timeout: None,
        }
    }

    fn workflow() -> Workflow {
        Workflow {
            id: WorkflowId::new(),
            name: "Nightly".parse().expect("a name"),
            description: None,
            version: 3,
            definition: Definition { steps: vec![step("look")], timeout: None },
            schedule: None,
            schedule_owner: None,
            due_at: None,
            last_run_at: None,
            project: None,
            archived_at: None,
            created_at: at(0),
        }
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn actions(before: &Workflow, after: &Workflow) -> Vec<(&'static str, Option<String>)> {
        let event = AuditEvent::unproven(AuditActor::System, "workflow.update", at(0));
        events(before, after, &event).into_iter().map(|event| (event.action, event.reason)).collect()
    }

    #[test]
    fn only_steps_and_the_runs_time_make_a_version() {
        let before = workflow();
        let version = |change: WorkflowChange| change.apply(&before, None, at(1)).expect("it changes").version;
        let schedule = Schedule { cron: "0 6 * * *".to_owned(), time_zone: "UTC".to_owned() };
        assert_eq!(version(WorkflowChange { name: Some("Other".parse().expect("a name")), ..Default::default() }), 3);
        assert_eq!(version(WorkflowChange { schedule: Some(Some(schedule)), ..Default::default() }), 3);
        assert_eq!(version(WorkflowChange { project: Some(Some(ProjectId::new())), ..Default::default() }), 3);
        assert_eq!(version(WorkflowChange { steps: Some(vec![step("look")]), ..Default::default() }), 3, "the same");
        assert_eq!(version(WorkflowChange { steps: Some(vec![step("find")]), ..Default::default() }), 4);
        assert_eq!(version(WorkflowChange { timeout: Some(Some(Duration::from_secs(9))), ..Default::default() }), 4);
    }

    #[test]
    fn a_change_of_another_version_or_of_what_is_archived_is_not_made() {
        let before = workflow();
        let change = || WorkflowChange { description: Some(None), ..Default::default() };
        assert!(change().apply(&before, Some(3), at(1)).is_ok());
        let moved = NotChanged::Moved { expected: 2, current: 3 };
        assert_eq!(change().apply(&before, Some(2), at(1)), Err(moved));
        let archived = Workflow { archived_at: Some(at(5)), ..before.clone() };
        assert_eq!(change().apply(&archived, None, at(9)), Err(NotChanged::Archived));
        let again = WorkflowChange { archived: Some(true), ..Default::default() };
        assert_eq!(again.apply(&archived, None, at(9)), Ok(archived.clone()), "the first time counts");
        let back = WorkflowChange { archived: Some(false), ..Default::default() };
        assert_eq!(back.apply(&archived, None, at(9)), Ok(before));
    }

    #[test]
    fn the_log_tells_what_became_of_a_workflow_and_nothing_of_what_did_not() {
        let before = workflow();
        let archived = Workflow { archived_at: Some(at(5)), ..before.clone() };
        assert_eq!(actions(&before, &before), []);
        assert_eq!(actions(&before, &archived), [("workflow.archive", None)]);
        assert_eq!(actions(&archived, &before), [("workflow.restore", None)]);
        let other = Workflow { version: 4, name: "Other".parse().expect("a name"), ..before.clone() };
        assert_eq!(actions(&before, &other), [("workflow.update", Some("version 4, name".to_owned()))]);
    }
}
