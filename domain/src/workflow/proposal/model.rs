//! A proposal as data.

use std::time::Duration;

use crate::id::{ProposalId, WorkflowId};
use crate::organization::UserRef;
use crate::text::Description;
use crate::time::Timestamp;
use crate::workflow::change::WorkflowChange;

/// How long a proposal can be applied.
pub const PROPOSAL_LIFETIME: Duration = Duration::from_hours(14 * 24);
/// Most open proposals of one workflow.
pub const PROPOSALS_OPEN_MAX: u64 = 50;

/// How a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProposalState {
    /// It can be applied.
    Open,
    /// It was.
    Applied,
    /// An editor does not want it.
    Rejected,
    /// Whoever proposed it does not want it any more.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
}

impl ProposalState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Applied, Self::Rejected, Self::Withdrawn, Self::Expired];

    /// The name in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A change of a workflow that somebody proposes.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The id.
    pub id: ProposalId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version that the change is of.
    pub version: u32,
    /// What shall be different.
    pub change: WorkflowChange,
    /// The same parts as they were when it was proposed.
    pub before: WorkflowChange,
    /// Why, in the proposer's words.
    pub note: Option<Description>,
    /// How it stands.
    pub state: ProposalState,
    /// Who proposed it: a person, or the owner of the key.
    pub proposed_by: UserRef,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be applied.
    pub expires_at: Timestamp,
    /// Who applied, rejected or withdrew it.
    pub decided_by: Option<UserRef>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// The version of the workflow that it became.
    pub applied_version: Option<u32>,
}
