//! A workflow as clients send it. What is wrong with it is the domain's to say; here only its JSON is read.

use domain::field::FieldErrors;
use domain::workflow::draft::{Draft, ExpectationDraft, ScheduleDraft, StepDraft};
use domain::workflow::form::{ARGUMENTS_MAX, DEFINITION_MAX, EXPECTATIONS_MAX, RUN_TIMEOUT_MAX, STEPS_MAX, TOOL_MAX};
use domain::workflow::{CRON_MAX, POINTER_MAX, RETRIES_MAX, STEP_TIMEOUT_MAX};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use crate::v1::given;

// What the document says below is what is checked: its attributes take no names.
const _: () = assert!(
    STEPS_MAX == 100
        && EXPECTATIONS_MAX == 50
        && TOOL_MAX == 256
        && POINTER_MAX == 512
        && CRON_MAX == 100
        && RETRIES_MAX == 5
        && ARGUMENTS_MAX == 64 * 1024
        && DEFINITION_MAX == 256 * 1024
        && STEP_TIMEOUT_MAX.as_secs() == 600
        && RUN_TIMEOUT_MAX.as_secs() == 86_400
);

/// A step: one call of a server's tool, and what is expected of its answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewStep {
    /// The step's name, unique in the workflow; later steps refer to its result by it.
    #[schema(example = "find", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    name: String,
    /// Id or slug of a server that you reach.
    #[schema(example = "notes")]
    server: String,
    /// The tool, by the server's own name for it.
    #[schema(example = "search", min_length = 1, max_length = 256)]
    tool: String,
    /// Its arguments, at most 64 KiB. A text `{{steps.NAME.result/POINTER}}` becomes what stands there in the result of an
    /// earlier step. No secrets: every reader of the workflow reads them.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"text": "milk"}))]
    arguments: Map<String, Value>,
    /// What the answer must be. Without any, a step passes when the tool does not say that it failed.
    #[serde(default)]
    #[schema(max_items = 50)]
    expect: Vec<NewExpectation>,
    /// Whether the run fails with it; a step that is not required makes a run partial.
    #[serde(default = "yes")]
    #[schema(default = true)]
    required: bool,
    /// Whether calling it again does no harm. No other step is ever called a second time.
    #[serde(default)]
    safe: bool,
    /// How often it is tried again after a fault; only with `safe`.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 5)]
    retries: u32,
    /// How long one try may take; 60 when not given.
    #[schema(minimum = 1, maximum = 600)]
    timeout_seconds: Option<u32>,
}

/// What is expected at one place of a step's answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExpectation {
    /// A JSON Pointer into `{content, structuredContent, isError}`; empty for all of it.
    #[schema(example = "/structuredContent/total", max_length = 512)]
    path: String,
    /// `equals`, `not_equals`, `contains`, `matches` (a regular expression), `exists`, `absent`, `less` or `greater`.
    #[schema(example = "greater")]
    op: String,
    /// With what it is compared; left out for `exists` and `absent`. May refer to earlier results.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Value, required = false, example = 0)]
    value: Option<Value>,
}

/// When a workflow runs by itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSchedule {
    /// Five fields: minute, hour, day of the month, month, day of the week.
    #[schema(example = "0 6 * * 1-5", max_length = 100)]
    cron: String,
    /// An IANA name; UTC when not given.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
}

/// What shall be different; fields that are left out stay.
#[derive(Debug, Default, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Changes {
    /// Name for people.
    #[schema(example = "Nightly", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// A longer explanation; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Option<Option<String>>,
    /// All steps, in place of those that there are.
    #[schema(min_items = 1, max_items = 100)]
    steps: Option<Vec<NewStep>>,
    /// How long a run may take; null for the installation's own limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 86_400)]
    timeout_seconds: Option<Option<u32>>,
    /// When it runs by itself; null for never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<NewSchedule>)]
    schedule: Option<Option<NewSchedule>>,
    /// Id or slug of the project that it belongs to; null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "checkout")]
    project_id: Option<Option<String>>,
    /// The version that you looked at; when the workflow is at another one by now, nothing changes.
    #[schema(example = 3, minimum = 1)]
    version: Option<u32>,
}

impl Changes {
    /// The change, and the version that it is of, if that was said.
    ///
    /// # Errors
    /// [`FieldErrors`] when nothing shall be different.
    pub fn read(self) -> Result<(Draft, Option<u32>), FieldErrors> {
        let draft = Draft {
            name: self.name,
            description: self.description,
            steps: self.steps.map(|steps| steps.into_iter().map(StepDraft::from).collect()),
            timeout_seconds: self.timeout_seconds,
            schedule: self.schedule.map(|schedule| schedule.map(ScheduleDraft::from)),
            project: self.project_id,
        };
        if draft.is_empty() {
            return Err(FieldErrors::one("body", "must have a field that shall be different"));
        }
        Ok((draft, self.version))
    }
}

/// A value that is there, null too.
fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(input).map(Some)
}

const fn yes() -> bool {
    true
}

impl From<NewStep> for StepDraft {
    fn from(sent: NewStep) -> Self {
        let expectation = |sent: NewExpectation| ExpectationDraft { path: sent.path, op: sent.op, value: sent.value };
        Self {
            name: sent.name,
            server: sent.server,
            tool: sent.tool,
            arguments: sent.arguments,
            expect: sent.expect.into_iter().map(expectation).collect(),
            required: sent.required,
            safe: sent.safe,
            retries: sent.retries,
            timeout_seconds: sent.timeout_seconds,
        }
    }
}

impl From<NewSchedule> for ScheduleDraft {
    fn from(sent: NewSchedule) -> Self {
        Self { cron: sent.cron, time_zone: sent.time_zone }
    }
}
