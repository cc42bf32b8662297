//! How a server does, as its view shows it.

use crate::time::Timestamp;

/// How a server does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HealthState {
    /// Nobody called it through this node since that started.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// The last call failed, and it is called still.
    Failing,
    /// It failed repeatedly, and is left alone except for a probe now and then.
    Down,
}

impl HealthState {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Failing => "failing",
            Self::Down => "down",
        }
    }
}

/// What is known of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// How it does.
    pub state: HealthState,
    /// When a call last told something of it, to the second.
    pub checked_at: Option<Timestamp>,
    /// How the last call failed, if it did.
    pub detail: Option<String>,
}
