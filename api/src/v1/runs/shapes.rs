//! A run as JSON has it.

use domain::run::evidence::{Evidence, JudgedEvidence};
use domain::run::{Run, RunStatus, RunStep, StepStatus, Trigger};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::v1::time;

/// One execution of a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunShape {
    /// `run_…`
    #[schema(example = "run_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// `wf_…`
    #[schema(example = "wf_01kafx5tgyf1na07m4q6nf1sgb")]
    workflow_id: String,
    /// The version of the workflow that is run.
    #[schema(example = 3)]
    version: u32,
    /// `pending`, `running`, or how it ended: `pass`, `partial` (only steps that are not required went wrong), `fail` (a
    /// required step's answer was not what is expected), `error` (a required step could not be called), `cancelled`.
    #[schema(example = "pass")]
    status: &'static str,
    /// Why it ended so, in a sentence; null before its end.
    #[schema(example = "all 3 steps passed")]
    reason: Option<String>,
    /// `api`, `tool` or `schedule`.
    #[schema(example = "api")]
    trigger: &'static str,
    /// On whose behalf it acts.
    actor: RunActorShape,
    /// For which tenant; null for none.
    tenant: Option<RunTenantShape>,
    /// When it was asked for, RFC 3339 UTC.
    created_at: String,
    /// When a node first took it.
    started_at: Option<String>,
    /// When it ended.
    finished_at: Option<String>,
    /// From `startedAt` to `finishedAt`, in milliseconds.
    duration_ms: Option<u64>,
    /// Whether somebody asked for its end, and it has not come yet.
    cancelling: bool,
    /// The steps, in order; lists leave them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<RunStepShape>>,
}

/// Who began a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunActorShape {
    /// `key` or `member`; for a schedule, who set it or changed the workflow's steps last.
    #[schema(example = "key")]
    kind: &'static str,
    /// `key_…` or `usr_…`
    id: String,
    /// The key's name or the person's e-mail address at that time.
    name: String,
}

/// A tenant, in its caller's words.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunTenantShape {
    /// The tenant org.
    org: Option<String>,
    /// The tenant user.
    user: Option<String>,
}

/// A step of a run. Secrets in it are `[redacted:<rule>]`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStepShape {
    /// Its name in the workflow.
    #[schema(example = "find")]
    name: String,
    /// The server's `mcp_…`.
    server_id: String,
    /// The tool.
    #[schema(example = "search")]
    tool: String,
    /// Whether the run goes wrong with it.
    required: bool,
    /// `pending`, `running`, `pass`, `fail`, `error`, `skipped` or `cancelled`.
    #[schema(example = "pass")]
    status: &'static str,
    /// How often its tool was called.
    tries: u32,
    /// How long it took, all tries together, in milliseconds.
    duration_ms: Option<u64>,
    /// What the tool was given.
    #[schema(value_type = Object)]
    arguments: Option<Value>,
    /// What it answered, as MCP has it: `content`, `structuredContent`, `isError`.
    #[schema(value_type = Object)]
    result: Option<Value>,
    /// How long the answer was, in bytes.
    result_bytes: u64,
    /// Whether parts of arguments, result or values were left out for their size.
    cut: bool,
    /// What was expected, with verdicts.
    expectations: Vec<RunExpectationShape>,
    /// Why it has no answer that could be judged.
    error: Option<RunStepErrorShape>,
    /// Whether arguments and result are kept back, since you do not reach the server.
    withheld: bool,
}

/// An expectation and its verdict.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunExpectationShape {
    /// JSON Pointer into the result.
    #[schema(example = "/structuredContent/total")]
    path: String,
    /// How what stands there is compared.
    #[schema(example = "equals")]
    op: String,
    /// With what, after references were resolved.
    value: Value,
    /// Whether it holds.
    passed: bool,
    /// What stands there; null also when nothing does.
    actual: Option<Value>,
}

/// Why a step has no answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunStepErrorShape {
    /// A code that callers get too, or `reference_not_found`, `input_required`, `outcome_unknown`, `run_timeout`,
    /// `cancelled`.
    #[schema(example = "upstream_timeout")]
    code: String,
    /// Why, for a person.
    message: String,
}

impl RunShape {
    /// The run without its steps.
    #[must_use]
    pub fn listed(run: &Run) -> Self {
        let tenant = run.actor.org.is_some() || run.actor.user.is_some();
        Self {
            id: run.id.to_string(),
            workflow_id: run.workflow.to_string(),
            version: run.version,
            status: RunStatus::as_str(run.status),
            reason: run.reason.clone(),
            trigger: Trigger::as_str(run.trigger),
            actor: RunActorShape { kind: run.actor.who.kind(), id: run.actor.who.id(), name: run.actor.name.clone() },
            tenant: tenant.then(|| RunTenantShape { org: run.actor.org.clone(), user: run.actor.user.clone() }),
            created_at: time(run.created_at),
            started_at: run.started_at.map(time),
            finished_at: run.finished_at.map(time),
            duration_ms: run.duration().map(millis),
            cancelling: run.cancelling && !run.status.is_over(),
            steps: None,
        }
    }

    /// The run with its steps.
    #[must_use]
    pub fn whole(run: &Run) -> Self {
        Self { steps: Some(run.steps.iter().map(RunStepShape::from).collect()), ..Self::listed(run) }
    }
}

/// A time as JSON has it.
#[must_use]
pub fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl From<&RunStep> for RunStepShape {
    fn from(step: &RunStep) -> Self {
        let Evidence { arguments, result, result_bytes, cut, expectations, error } = step.evidence.clone();
        Self {
            name: step.name.clone(),
            server_id: step.server.to_string(),
            tool: step.tool.clone(),
            required: step.required,
            status: StepStatus::as_str(step.status),
            tries: step.tries,
            duration_ms: step.duration.map(millis),
            arguments,
            result,
            result_bytes,
            cut,
            expectations: expectations.into_iter().map(RunExpectationShape::from).collect(),
            error: error.map(|error| RunStepErrorShape { code: error.code, message: error.message }),
            withheld: step.withheld,
        }
    }
}

impl From<JudgedEvidence> for RunExpectationShape {
    fn from(JudgedEvidence { path, op, value, passed, actual }: JudgedEvidence) -> Self {
        Self { path, op, value, passed, actual }
    }
}
