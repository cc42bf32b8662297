//! A workflow as JSON has it.

use domain::id::{RunId, WorkflowId};
use domain::workflow::check::{Seen, ServerRef};
use domain::workflow::port::MadeVersion;
use domain::workflow::{Definition, Expectation, Schedule, ScheduleOwner, Step};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::code::Code;
use crate::problem::Problem;
use crate::v1::{PersonShape, time};

/// Ordered calls of servers' tools, with what is expected of each answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowShape {
    /// `wf_…`
    #[schema(example = "wf_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Name for people.
    #[schema(example = "Nightly")]
    name: String,
    /// A longer explanation.
    description: Option<String>,
    /// The newest version: 1 for the first. A change of steps or `timeoutSeconds` makes the next.
    #[schema(example = 3)]
    version: u32,
    /// The steps, in order.
    steps: Vec<WorkflowStepShape>,
    /// How long a run may take; null for the installation's own limit.
    timeout_seconds: Option<u64>,
    /// When it runs by itself; null for never.
    schedule: Option<ScheduleShape>,
    /// On whose behalf it then runs: whoever set the schedule or changed the steps last; null for never.
    scheduled_by: Option<ScheduleOwnerShape>,
    /// When it runs by itself next, RFC 3339 UTC; null for never. A time that came and waits for room is still the next.
    next_run_at: Option<String>,
    /// When it ran by itself for the last time, RFC 3339 UTC, also when that run is kept no longer; null for never.
    last_run_at: Option<String>,
    /// `run_…` of its baseline, the run that others are compared with; null for none, and when it is none of the runs that you
    /// see.
    #[schema(example = "run_01kafx5tgyf1na07m4q6nf1sgb")]
    baseline_run_id: Option<String>,
    /// `prj_…` of the project that it belongs to.
    project_id: Option<String>,
    /// Servers of its steps that you cannot connect to now: archived, out of your reach, or outside your key.
    unreachable_servers: Vec<WorkflowServerShape>,
    /// Servers of its steps that were never synced: nobody knows whether they have these tools.
    unsynced_servers: Vec<WorkflowServerShape>,
    /// When it was put away, RFC 3339 UTC; it does not run any more.
    archived_at: Option<String>,
    /// When it was made, RFC 3339 UTC.
    created_at: String,
}

/// A server that a workflow names.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowServerShape {
    /// `mcp_…`
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Name for addresses.
    #[schema(example = "notes")]
    slug: String,
}

/// A step: one call of a server's tool.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStepShape {
    /// The step's name.
    #[schema(example = "find")]
    name: String,
    /// The server's slug; it never changes.
    #[schema(example = "notes")]
    server: String,
    /// The server's `mcp_…`.
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    server_id: String,
    /// The tool, by the server's own name for it.
    #[schema(example = "search")]
    tool: String,
    /// Its arguments.
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// What the answer must be.
    expect: Vec<ExpectationShape>,
    /// Whether the run fails with it.
    required: bool,
    /// Whether calling it again does no harm.
    safe: bool,
    /// How often it is tried again after a fault.
    retries: u8,
    /// How long one try may take; null for 60.
    timeout_seconds: Option<u64>,
}

/// What is expected at one place of a step's answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpectationShape {
    /// A JSON Pointer into `{content, structuredContent, isError}`.
    #[schema(example = "/structuredContent/total")]
    path: String,
    /// How it is compared.
    #[schema(example = "greater")]
    op: &'static str,
    /// With what; null for `exists` and `absent`.
    #[schema(value_type = Value)]
    value: Value,
}

/// When a workflow runs by itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleShape {
    /// Five fields: minute, hour, day of the month, month, day of the week.
    #[schema(example = "0 6 * * 1-5")]
    cron: String,
    /// The IANA name of the time zone that they are read in.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
}

/// On whose behalf a workflow runs by itself. At each time it is decided anew what they may.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleOwnerShape {
    /// `key` or `member`.
    #[schema(example = "member")]
    kind: &'static str,
    /// `key_…` or `usr_…`
    id: String,
}

/// One version of a workflow. It never changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionShape {
    /// `wf_…`
    #[schema(example = "wf_01kafx5tgyf1na07m4q6nf1sgb")]
    workflow_id: String,
    /// 1 for the first, without a gap.
    #[schema(example = 3)]
    version: u32,
    /// The steps, in order.
    steps: Vec<WorkflowStepShape>,
    /// How long a run may take; null for the installation's own limit.
    timeout_seconds: Option<u64>,
    /// When it was made, RFC 3339 UTC.
    created_at: String,
    /// Who made it: a person, or the owner of the key.
    created_by: PersonShape,
}

impl WorkflowShape {
    /// A workflow and its baseline as somebody sees them.
    #[must_use]
    pub fn new(seen: &Seen, baseline: Option<RunId>) -> Self {
        let workflow = &seen.workflow;
        Self {
            id: workflow.id.to_string(),
            name: workflow.name.to_string(),
            description: workflow.description.as_ref().map(ToString::to_string),
            version: workflow.version,
            steps: steps(&workflow.definition),
            timeout_seconds: workflow.definition.timeout.map(|timeout| timeout.as_secs()),
            schedule: workflow.schedule.as_ref().map(ScheduleShape::from),
            scheduled_by: workflow.schedule_owner.as_ref().map(ScheduleOwnerShape::from),
            last_run_at: workflow.last_run_at.map(time),
            next_run_at: workflow.due_at.map(time),
            baseline_run_id: baseline.map(|run| run.to_string()),
            project_id: workflow.project.map(|project| project.to_string()),
            unreachable_servers: seen.unreachable.iter().map(WorkflowServerShape::from).collect(),
            unsynced_servers: seen.unsynced.iter().map(WorkflowServerShape::from).collect(),
            archived_at: workflow.archived_at.map(time),
            created_at: time(workflow.created_at),
        }
    }
}

/// A definition's steps.
fn steps(definition: &Definition) -> Vec<WorkflowStepShape> {
    definition.steps.iter().map(WorkflowStepShape::from).collect()
}

impl From<&Step> for WorkflowStepShape {
    fn from(step: &Step) -> Self {
        Self {
            name: step.name.to_string(),
            server: step.server_slug.to_string(),
            server_id: step.server.to_string(),
            tool: step.tool.clone(),
            arguments: step.arguments.clone(),
            expect: step.expect.iter().map(ExpectationShape::from).collect(),
            required: step.required,
            safe: step.safe,
            retries: step.retries,
            timeout_seconds: step.timeout.map(|timeout| timeout.as_secs()),
        }
    }
}

impl From<&Expectation> for ExpectationShape {
    fn from(expectation: &Expectation) -> Self {
        Self { path: expectation.path.to_string(), op: expectation.op.as_str(), value: expectation.value.clone() }
    }
}

impl From<&Schedule> for ScheduleShape {
    fn from(schedule: &Schedule) -> Self {
        Self { cron: schedule.cron.clone(), time_zone: schedule.time_zone.clone() }
    }
}

impl From<&ScheduleOwner> for ScheduleOwnerShape {
    fn from(owner: &ScheduleOwner) -> Self {
        Self { kind: owner.who.kind(), id: owner.who.id() }
    }
}

impl From<&ServerRef> for WorkflowServerShape {
    fn from(server: &ServerRef) -> Self {
        Self { id: server.id.to_string(), slug: server.slug.to_string() }
    }
}

impl From<&MadeVersion> for VersionShape {
    fn from(made: &MadeVersion) -> Self {
        let version = &made.version;
        Self {
            workflow_id: version.workflow.to_string(),
            version: version.number,
            steps: steps(&version.definition),
            timeout_seconds: version.definition.timeout.map(|timeout| timeout.as_secs()),
            created_at: time(version.created_at),
            created_by: (&made.by).into(),
        }
    }
}

/// The workflow that a path names; what cannot be an id is one that does not exist.
///
/// # Errors
/// 404
pub fn named(text: &str) -> Result<WorkflowId, Problem> {
    text.parse().map_err(|_| Problem::new(Code::NotFound))
}
