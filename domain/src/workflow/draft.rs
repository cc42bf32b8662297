//! A workflow as somebody sends it: nothing in it was checked yet.

use serde_json::{Map, Value};

/// A step.
#[derive(Debug, Clone)]
pub struct StepDraft {
    /// Its name.
    pub name: String,
    /// The server's id or slug.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// What is expected.
    pub expect: Vec<ExpectationDraft>,
    /// Whether the run fails with it.
    pub required: bool,
    /// Whether calling it again does no harm.
    pub safe: bool,
    /// How often it is tried again.
    pub retries: u32,
    /// How long one try may take, in seconds.
    pub timeout_seconds: Option<u32>,
}

/// An expectation.
#[derive(Debug, Clone)]
pub struct ExpectationDraft {
    /// Where.
    pub path: String,
    /// How.
    pub op: String,
    /// With what; none when it was left out, which is not null.
    pub value: Option<Value>,
}

/// A schedule.
#[derive(Debug, Clone)]
pub struct ScheduleDraft {
    /// The cron expression.
    pub cron: String,
    /// The time zone; UTC when left out.
    pub time_zone: Option<String>,
}

/// What shall be different of a workflow, or a whole one that is to be made; none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub name: Option<String>,
    /// A longer explanation; none inside for none.
    pub description: Option<Option<String>>,
    /// The steps.
    pub steps: Option<Vec<StepDraft>>,
    /// How long a run may take, in seconds; none inside for the installation's own limit.
    pub timeout_seconds: Option<Option<u32>>,
    /// When it runs by itself; none inside for never.
    pub schedule: Option<Option<ScheduleDraft>>,
    /// The project's id or slug; none inside for none.
    pub project: Option<Option<String>>,
}

impl Draft {
    /// Whether nothing shall be different.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.description.is_none()
            && self.steps.is_none()
            && self.timeout_seconds.is_none()
            && self.schedule.is_none()
            && self.project.is_none()
    }
}
