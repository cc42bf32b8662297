//! One step of a workflow: a call of a server's tool.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::expectation::Expectation;
use crate::id::ServerId;
use crate::text::{InvalidText, Slug};

/// Most repetitions of a step after its first try.
pub const RETRIES_MAX: u8 = 5;
/// How long a step may take when it does not say.
pub const STEP_TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);
/// How long a step may take at most.
pub const STEP_TIMEOUT_MAX: Duration = Duration::from_mins(10);

/// A step's name, by which later steps refer to it: the form of a slug, underscores besides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepName(String);

impl FromStr for StepName {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !starts || text.len() > 63 || !text.chars().all(fits) {
            return Err(InvalidText::Form("must be 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl StepName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// One call of a tool, and what is expected of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name, unique in the workflow.
    pub name: StepName,
    /// The server.
    pub server: ServerId,
    /// The server's name for addresses; it never changes.
    pub server_slug: Slug,
    /// The tool, by the server's own name for it.
    pub tool: String,
    /// Its arguments; texts in them may refer to earlier results.
    pub arguments: Map<String, Value>,
    /// What the answer must be. Without any, a step passes when the tool does not say that it failed.
    pub expect: Vec<Expectation>,
    /// Whether the run fails with it; what is not required makes a run partial.
    pub required: bool,
    /// Whether calling it again does no harm. Only such a step is ever called a second time: after a fault, or when the
    /// node that called it is gone.
    pub safe: bool,
    /// How often it is tried again after a fault; 0 unless it is safe.
    pub retries: u8,
    /// How long one try may take; none for [`STEP_TIMEOUT_DEFAULT`].
    pub timeout: Option<Duration>,
}
