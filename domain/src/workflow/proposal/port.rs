//! What proposals ask of a store.

use async_trait::async_trait;

use super::model::{Proposal, ProposalState};
use crate::access::Grant;
use crate::access::permission::{WorkflowsRead, WorkflowsWrite};
use crate::audit::AuditEvent;
use crate::id::{ProposalId, WorkflowId};
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::text::Description;
use crate::time::Timestamp;
use crate::workflow::change::{NotChanged, WorkflowChange};
use crate::workflow::port::ChangeFault;
use crate::workflow::{NotScheduled, Scheduler, Workflow};

/// A proposal about to be stored.
#[derive(Debug, Clone)]
pub struct NewProposal {
    /// The id.
    pub id: ProposalId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version that the change is of; the workflow's newest when not said.
    pub version: Option<u32>,
    /// What shall be different.
    pub change: WorkflowChange,
    /// Why.
    pub note: Option<Description>,
    /// When.
    pub at: Timestamp,
}

/// Why a proposal was not stored or decided.
#[derive(Debug, thiserror::Error)]
pub enum ProposalRefusal {
    /// The workflow is archived, or another version.
    #[error(transparent)]
    NotChanged(#[from] NotChanged),
    /// The workflow has a schedule that whoever applies it cannot stand behind.
    #[error(transparent)]
    NotScheduled(#[from] NotScheduled),
    /// Too many wait for a decision.
    #[error("the workflow has {} open proposals; one of them must be decided first", super::PROPOSALS_OPEN_MAX)]
    TooMany,
    /// It was decided, or is over.
    #[error("the proposal is {}", .0.as_str())]
    Over(ProposalState),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<ChangeFault> for ProposalRefusal {
    fn from(fault: ChangeFault) -> Self {
        match fault {
            ChangeFault::NotChanged(why) => why.into(),
            ChangeFault::NotScheduled(why) => why.into(),
            ChangeFault::Store(fault) => fault.into(),
        }
    }
}

/// Keeps proposals. Every change takes the event that records it: the store writes both or neither. None stands for a
/// workflow or proposal that is not there.
#[async_trait]
pub trait ProposalStore: Send + Sync {
    /// Stores a proposal.
    ///
    /// # Errors
    /// [`ProposalRefusal`]
    async fn insert(
        &self,
        grant: &Grant<WorkflowsRead>,
        proposal: NewProposal,
        event: AuditEvent,
    ) -> Result<Option<Proposal>, ProposalRefusal>;

    /// One proposal of a workflow, as it stands at `now`.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        id: ProposalId,
        now: Timestamp,
    ) -> Result<Option<Proposal>, StoreFault>;

    /// A page of a workflow's proposals, newest first; those in one state alone, if one is given.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        state: Option<ProposalState>,
        now: Timestamp,
        page: PageRequest<ProposalId>,
    ) -> Result<Option<Page<Proposal, ProposalId>>, StoreFault>;

    /// Makes the change that an open proposal is of, if the workflow is still at its version. `scheduler` is whoever applies it.
    ///
    /// # Errors
    /// [`ProposalRefusal`]
    async fn apply(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        id: ProposalId,
        scheduler: &Scheduler,
        event: AuditEvent,
    ) -> Result<Option<(Proposal, Workflow)>, ProposalRefusal>;

    /// Ends an open proposal without its change.
    ///
    /// # Errors
    /// [`ProposalRefusal`]
    async fn close(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        id: ProposalId,
        state: ProposalState,
        event: AuditEvent,
    ) -> Result<Option<Proposal>, ProposalRefusal>;
}
