//! How runs and steps stand.

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// It waits for a node.
    Pending,
    /// A node has it.
    Running,
    /// Every step passed.
    Pass,
    /// Only steps that are not required went wrong.
    Partial,
    /// A required step's answer was not what is expected.
    Fail,
    /// A required step could not be called, or the run could not be gone on with.
    Error,
    /// Somebody ended it.
    Cancelled,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Pass, Self::Partial, Self::Fail, Self::Error, Self::Cancelled];

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Pass => "pass",
            Self::Partial => "partial",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// How a step of a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// It was not begun.
    Pending,
    /// Its tool was called, or is about to be.
    Running,
    /// Every expectation holds.
    Pass,
    /// It was answered, and an expectation does not hold.
    Fail,
    /// It has no answer that could be judged.
    Error,
    /// It was not begun, and will not be: a required step before it went wrong.
    Skipped,
    /// Its call was dropped because somebody ended the run, or it was not begun then.
    Cancelled,
}

impl StepStatus {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Pass, Self::Fail, Self::Error, Self::Skipped, Self::Cancelled];

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// What began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// `POST /workflows/{id}/runs`.
    Api,
    /// The tool `run_workflow_now`.
    Tool,
    /// The workflow's schedule.
    Schedule,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Api, Self::Tool, Self::Schedule];

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Tool => "tool",
            Self::Schedule => "schedule",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == name)
    }
}
