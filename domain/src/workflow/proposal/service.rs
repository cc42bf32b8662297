//! The use cases of proposals.

use std::sync::Arc;

use super::model::{Proposal, ProposalState};
use super::port::{NewProposal, ProposalRefusal, ProposalStore};
use crate::access::permission::{WorkflowsRead, WorkflowsWrite};
use crate::access::{Denied, Grant};
use crate::audit::{AuditEvent, AuditTarget};
use crate::field::{FieldError, FieldErrors};
use crate::id::{ProposalId, WorkflowId};
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Clock;
use crate::workflow::NotScheduled;
use crate::workflow::change::NotChanged;
use crate::workflow::check::{Checker, Seen};
use crate::workflow::draft::Draft;
use crate::workflow::service::WorkflowFault;

/// Where the parts of a change stand in what somebody sends.
const CHANGE: &str = "change";

/// Why a proposal could not be made, found or decided.
#[derive(Debug, thiserror::Error)]
pub enum ProposalFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// Arguments that look like secrets.
    #[error(transparent)]
    Secret(FieldErrors),
    /// No such workflow, or no such proposal of it.
    #[error("no such proposal")]
    NotFound,
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The workflow is archived, or another version by now.
    #[error(transparent)]
    NotChanged(#[from] NotChanged),
    /// The workflow has a schedule that whoever applies the change cannot stand behind.
    #[error(transparent)]
    NotScheduled(#[from] NotScheduled),
    /// Too many wait for a decision, or this one does not.
    #[error("{0}")]
    Refused(String),
    /// What it names is gone by now, or out of reach of whoever applies it.
    #[error("the proposal no longer fits: {0}")]
    NoLongerFits(FieldErrors),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<ProposalRefusal> for ProposalFault {
    fn from(refusal: ProposalRefusal) -> Self {
        match refusal {
            ProposalRefusal::NotChanged(why) => why.into(),
            ProposalRefusal::NotScheduled(why) => why.into(),
            ProposalRefusal::TooMany | ProposalRefusal::Over(_) => Self::Refused(refusal.to_string()),
            ProposalRefusal::Store(fault) => fault.into(),
        }
    }
}

impl From<WorkflowFault> for ProposalFault {
    fn from(fault: WorkflowFault) -> Self {
        match fault {
            WorkflowFault::Invalid(errors) => Self::Invalid(errors),
            WorkflowFault::Secret(errors) => Self::Secret(errors),
            WorkflowFault::NotFound => Self::NotFound,
            WorkflowFault::NotChanged(why) => Self::NotChanged(why),
            WorkflowFault::NotScheduled(why) => Self::NotScheduled(why),
            WorkflowFault::Store(fault) => Self::Store(fault),
        }
    }
}

/// What somebody proposes.
#[derive(Debug, Clone)]
pub struct ProposalRequest {
    /// What shall be different.
    pub change: Draft,
    /// The version that it is of.
    pub version: Option<u32>,
    /// Why.
    pub note: Option<String>,
}

/// The use cases of proposals.
pub struct ProposalService<C> {
    store: Arc<dyn ProposalStore>,
    checker: Checker,
    clock: C,
}

impl<C: Clock> ProposalService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn ProposalStore>, checker: Checker, clock: C) -> Self {
        Self { store, checker, clock }
    }

    /// Proposes a change of a workflow. It is held against the proposer's own reach. The event is told which proposal.
    ///
    /// # Errors
    /// [`ProposalFault`]
    pub async fn propose(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        request: ProposalRequest,
        event: AuditEvent,
    ) -> Result<Proposal, ProposalFault> {
        let at = self.clock.now();
        let change = self.checker.read(grant, request.change, at).await.map_err(within_change)?;
        let note = request.note.map(|text| text.parse()).transpose();
        let note = note.map_err(|invalid| FieldErrors::one("note", invalid))?;
        let new = NewProposal { id: ProposalId::new(), workflow, version: request.version, change, note, at };
        let event = about(event, workflow, new.id);
        self.store.insert(grant, new, event).await?.ok_or(ProposalFault::NotFound)
    }

    /// One proposal.
    ///
    /// # Errors
    /// [`ProposalFault`]
    pub async fn get(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        id: ProposalId,
    ) -> Result<Proposal, ProposalFault> {
        self.store.get(grant, workflow, id, self.clock.now()).await?.ok_or(ProposalFault::NotFound)
    }

    /// A page of a workflow's proposals, newest first.
    ///
    /// # Errors
    /// [`ProposalFault`]
    pub async fn list(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        state: Option<ProposalState>,
        page: PageRequest<ProposalId>,
    ) -> Result<Page<Proposal, ProposalId>, ProposalFault> {
        let found = self.store.list(grant, workflow, state, self.clock.now(), page).await?;
        found.ok_or(ProposalFault::NotFound)
    }

    /// Makes the change that a proposal is of, as if whoever applies it had sent it: it is held against their reach, and
    /// against what there is now.
    ///
    /// # Errors
    /// [`ProposalFault`]
    pub async fn apply(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        id: ProposalId,
        event: AuditEvent,
    ) -> Result<(Proposal, Seen), ProposalFault> {
        let reader = (**grant).clone().grant::<WorkflowsRead>()?;
        let proposal = self.get(&reader, workflow, id).await?;
        if proposal.state != ProposalState::Open {
            return Err(ProposalRefusal::Over(proposal.state).into());
        }
        let errors = self.checker.check_again(grant, &proposal.change).await?;
        if !errors.0.is_empty() {
            return Err(ProposalFault::NoLongerFits(errors));
        }
        let scheduler = self.checker.scheduler(grant).await?;
        let applied = self.store.apply(grant, workflow, id, &scheduler, about(event, workflow, id)).await?;
        let (proposal, workflow) = applied.ok_or(ProposalFault::NotFound)?;
        let seen = self.checker.seen(grant, vec![workflow]).await?.pop().ok_or(ProposalFault::NotFound)?;
        Ok((proposal, seen))
    }

    /// Ends a proposal without its change: whoever proposed it withdraws it, and editors reject those of others.
    ///
    /// # Errors
    /// [`ProposalFault`]
    pub async fn reject(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        id: ProposalId,
        event: AuditEvent,
    ) -> Result<Proposal, ProposalFault> {
        let proposal = self.get(grant, workflow, id).await?;
        let own = proposal.proposed_by.id == grant.user().id;
        let (state, action) = if own {
            (ProposalState::Withdrawn, "workflow.withdraw")
        } else {
            (**grant).clone().grant::<WorkflowsWrite>()?;
            (ProposalState::Rejected, "workflow.reject")
        };
        let event = AuditEvent { action, ..about(event, workflow, id) };
        self.store.close(grant, workflow, id, state, event).await?.ok_or(ProposalFault::NotFound)
    }
}

fn about(event: AuditEvent, workflow: WorkflowId, proposal: ProposalId) -> AuditEvent {
    AuditEvent { reason: Some(format!("proposal {proposal}")), ..event.about(AuditTarget::Workflow(workflow)) }
}

/// The same fault, with the places as they stand in a proposal.
fn within_change(fault: WorkflowFault) -> ProposalFault {
    let place = |errors: FieldErrors| {
        let within = |error: FieldError| FieldError { field: format!("{CHANGE}.{}", error.field), ..error };
        FieldErrors(errors.0.into_iter().map(within).collect())
    };
    match ProposalFault::from(fault) {
        ProposalFault::Invalid(errors) => ProposalFault::Invalid(place(errors)),
        ProposalFault::Secret(errors) => ProposalFault::Secret(place(errors)),
        other @ (ProposalFault::NotFound
        | ProposalFault::Denied(_)
        | ProposalFault::NotChanged(_)
        | ProposalFault::NotScheduled(_)
        | ProposalFault::Refused(_)
        | ProposalFault::NoLongerFits(_)
        | ProposalFault::Store(_)) => other,
    }
}
