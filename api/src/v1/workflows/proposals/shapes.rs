//! A proposal as JSON has it.

use domain::id::{ProposalId, RunId};
use domain::workflow::check::Seen;
use domain::workflow::proposal::Proposal;
use serde::Serialize;
use utoipa::ToSchema;

use super::difference::{DifferenceShape, differences};
use crate::code::Code;
use crate::problem::Problem;
use crate::v1::workflows::WorkflowShape;
use crate::v1::{PersonShape, time};

/// A change of a workflow that somebody proposes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProposalShape {
    /// `wfp_…`
    #[schema(example = "wfp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// `wf_…`
    #[schema(example = "wf_01kafx5tgyf1na07m4q6nf1sgb")]
    workflow_id: String,
    /// The version that the change is of. When the workflow is at another one, the proposal cannot be applied.
    #[schema(example = 3)]
    version: u32,
    /// `open`, `applied`, `rejected`, `withdrawn` (by who proposed it) or `expired`.
    #[schema(example = "open")]
    state: &'static str,
    /// Why, in the proposer's words.
    note: Option<String>,
    /// What is different, part by part; nothing when it changes nothing.
    changes: Vec<DifferenceShape>,
    /// Who proposed it: a person, or the owner of the key.
    proposed_by: PersonShape,
    /// When, RFC 3339 UTC.
    created_at: String,
    /// Until when it can be applied: 14 days.
    expires_at: String,
    /// Who applied, rejected or withdrew it.
    decided_by: Option<PersonShape>,
    /// When.
    decided_at: Option<String>,
    /// The version of the workflow that it became.
    applied_version: Option<u32>,
}

impl From<&Proposal> for ProposalShape {
    fn from(proposal: &Proposal) -> Self {
        Self {
            id: proposal.id.to_string(),
            workflow_id: proposal.workflow.to_string(),
            version: proposal.version,
            state: proposal.state.as_str(),
            note: proposal.note.as_ref().map(ToString::to_string),
            changes: differences(&proposal.before, &proposal.change),
            proposed_by: (&proposal.proposed_by).into(),
            created_at: time(proposal.created_at),
            expires_at: time(proposal.expires_at),
            decided_by: proposal.decided_by.as_ref().map(PersonShape::from),
            decided_at: proposal.decided_at.map(time),
            applied_version: proposal.applied_version,
        }
    }
}

/// A proposal that was applied, and the workflow that it made.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedShape {
    /// The proposal.
    proposal: ProposalShape,
    /// The workflow as it is now.
    workflow: WorkflowShape,
}

impl AppliedShape {
    /// What came of it, with the workflow's baseline.
    #[must_use]
    pub fn new(proposal: &Proposal, seen: &Seen, baseline: Option<RunId>) -> Self {
        Self { proposal: proposal.into(), workflow: WorkflowShape::new(seen, baseline) }
    }
}

/// The proposal that a path names; what cannot be an id is one that does not exist.
///
/// # Errors
/// 404
pub fn named(text: &str) -> Result<ProposalId, Problem> {
    text.parse().map_err(|_| Problem::new(Code::NotFound))
}
