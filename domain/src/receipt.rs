//! Which nodes had let go of what they remembered when a change was answered.

use std::time::Duration;

/// One entry per node that served when the change was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt(pub Vec<LetGo>);

/// A node that acts by the changed state, or asks the store each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetGo {
    /// What its operator calls it.
    pub node: String,
    /// How long after the commit began.
    pub after: Duration,
    /// Why it is known.
    pub why: Why,
}

/// Why a node is known to act by the changed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has said so.
    Confirmed,
    /// It could not be reached, and its lease is over: it no longer trusts what it remembers.
    LeaseOver,
}

impl Why {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::LeaseOver => "lease_over",
        }
    }
}
