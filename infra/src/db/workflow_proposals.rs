//! Keeping proposals. A workflow's row is locked before those of its proposals.

use async_trait::async_trait;
use domain::access::permission::{WorkflowsRead, WorkflowsWrite};
use domain::access::{Grant, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::id::{ProposalId, WorkflowId};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::time::Timestamp;
use domain::workflow::proposal::port::{NewProposal, ProposalRefusal, ProposalStore};
use domain::workflow::proposal::{
    PROPOSAL_LIFETIME, PROPOSALS_OPEN_MAX, Proposal, ProposalState, change_from_json, change_to_json,
};
use domain::workflow::{Scheduler, Workflow};
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};

use super::audit::record;
use super::entity::workflow;
use super::entity::workflow_proposal::{self, Column};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::workflow_rows::{self, people, stored_number, workflows};
use super::{Database, scoped};

/// Proposals in the database.
pub struct SqlWorkflowProposals {
    db: Database,
}

impl SqlWorkflowProposals {
    /// Keeps proposals in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }
}

/// Proposals from their rows, as they stand at `now`.
async fn proposals(
    db: &impl ConnectionTrait,
    rows: Vec<workflow_proposal::Model>,
    now: Timestamp,
) -> Result<Vec<Proposal>, StoreFault> {
    let mut ids = Vec::with_capacity(2 * rows.len());
    for row in &rows {
        ids.push(row.proposed_by);
        ids.extend(row.decided_by);
    }
    let people = people(db, ids).await?;
    rows.into_iter()
        .map(|row| {
            let id = ProposalId::from_uuid(row.id);
            let corrupt = |what: &str| StoreFault::Corrupt(format!("{what} of the proposal {id}"));
            let change = |text: &str| change_from_json(text).map_err(|error| corrupt(&error.to_string()));
            let state = ProposalState::named(&row.state).ok_or_else(|| corrupt("state"))?;
            let number = |number| workflow_rows::number(row.workflow_id, number);
            Ok(Proposal {
                id,
                workflow: WorkflowId::from_uuid(row.workflow_id),
                version: number(row.version)?,
                change: change(&row.change)?,
                before: change(&row.replaced)?,
                note: row.note.as_deref().map(str::parse).transpose().map_err(|_| corrupt("note"))?,
                state: if is_over(&row, now) { ProposalState::Expired } else { state },
                proposed_by: people.get(&row.proposed_by).cloned().ok_or_else(|| corrupt("proposer"))?,
                created_at: Timestamp::from_micros(row.created_at),
                expires_at: Timestamp::from_micros(row.expires_at),
                decided_by: row.decided_by.and_then(|id| people.get(&id).cloned()),
                decided_at: row.decided_at.map(Timestamp::from_micros),
                applied_version: row.applied_version.map(number).transpose()?,
            })
        })
        .collect()
}

/// Whether nobody decided in time. The row says that it is open.
fn is_over(row: &workflow_proposal::Model, now: Timestamp) -> bool {
    row.state == ProposalState::Open.as_str() && row.expires_at <= now.as_micros()
}

fn of(scope: &impl WithinOrganization, workflow: WorkflowId) -> Select<workflow_proposal::Entity> {
    scoped::find::<workflow_proposal::Entity>(scope).filter(Column::WorkflowId.eq(workflow.as_uuid()))
}

/// The rows that stand so at `now`.
fn standing(state: ProposalState, now: Timestamp) -> Condition {
    let stored = match state {
        ProposalState::Expired => ProposalState::Open,
        other => other,
    };
    let is = Condition::all().add(Column::State.eq(stored.as_str()));
    match state {
        ProposalState::Open => is.add(Column::ExpiresAt.gt(now.as_micros())),
        ProposalState::Expired => is.add(Column::ExpiresAt.lte(now.as_micros())),
        ProposalState::Applied | ProposalState::Rejected | ProposalState::Withdrawn => is,
    }
}

/// Locks a workflow's row.
async fn locked(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    id: WorkflowId,
) -> Result<Option<workflow::Model>, StoreFault> {
    scoped::find::<workflow::Entity>(scope)
        .filter(workflow::Column::Id.eq(id.as_uuid()))
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(store_fault)
}

/// Locks a proposal's row, after its workflow's, if it can still be decided.
async fn open(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    workflow: WorkflowId,
    id: ProposalId,
    now: Timestamp,
) -> Result<Option<Proposal>, ProposalRefusal> {
    if locked(transaction, scope, workflow).await?.is_none() {
        return Ok(None);
    }
    let found = of(scope, workflow).filter(Column::Id.eq(id.as_uuid())).lock_exclusive().one(transaction).await;
    let row = found.map_err(store_fault)?;
    let proposal = proposals(transaction, row.into_iter().collect(), now).await?.pop();
    match proposal {
        Some(proposal) if proposal.state != ProposalState::Open => Err(ProposalRefusal::Over(proposal.state)),
        other => Ok(other),
    }
}

/// Notes how a proposal was decided, and by whom.
async fn decide<P: Send + Sync>(
    transaction: &DatabaseTransaction,
    grant: &Grant<P>,
    proposal: Proposal,
    state: ProposalState,
    applied: Option<u32>,
    at: Timestamp,
) -> Result<Proposal, StoreFault> {
    let by = grant.user().clone();
    scoped::update::<workflow_proposal::Entity>(grant)
        .filter(Column::Id.eq(proposal.id.as_uuid()))
        .col_expr(Column::State, state.as_str().into())
        .col_expr(Column::DecidedBy, by.id.as_uuid().into())
        .col_expr(Column::DecidedAt, at.as_micros().into())
        .col_expr(Column::AppliedVersion, applied.map(stored_number).into())
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    Ok(Proposal { state, decided_by: Some(by), decided_at: Some(at), applied_version: applied, ..proposal })
}

#[async_trait]
impl ProposalStore for SqlWorkflowProposals {
    async fn insert(
        &self,
        grant: &Grant<WorkflowsRead>,
        new: NewProposal,
        event: AuditEvent,
    ) -> Result<Option<Proposal>, ProposalRefusal> {
        let NewProposal { id, workflow: of_workflow, version, change, note, at } = new;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let row = locked(&transaction, grant, of_workflow).await?;
        let Some(workflow) = workflows(&transaction, grant, row.into_iter().collect()).await?.pop() else {
            return Ok(None);
        };
        // As if it were made: what could not be applied now is not proposed.
        change.clone().apply(&workflow, version, at)?;
        let waiting = of(grant, of_workflow).filter(standing(ProposalState::Open, at)).count(&transaction).await;
        if waiting.map_err(store_fault)? >= PROPOSALS_OPEN_MAX {
            return Err(ProposalRefusal::TooMany);
        }
        let proposal = Proposal {
            id,
            workflow: of_workflow,
            version: workflow.version,
            before: change.before(&workflow),
            change,
            note,
            state: ProposalState::Open,
            proposed_by: grant.user().clone(),
            created_at: at,
            expires_at: at.after(PROPOSAL_LIFETIME),
            decided_by: None,
            decided_at: None,
            applied_version: None,
        };
        let row = workflow_proposal::ActiveModel {
            id: ActiveValue::Set(id.as_uuid()),
            organization_id: ActiveValue::NotSet,
            workflow_id: ActiveValue::Set(of_workflow.as_uuid()),
            version: ActiveValue::Set(stored_number(proposal.version)),
            change: ActiveValue::Set(change_to_json(&proposal.change)),
            replaced: ActiveValue::Set(change_to_json(&proposal.before)),
            note: ActiveValue::Set(proposal.note.as_ref().map(ToString::to_string)),
            state: ActiveValue::Set(proposal.state.as_str().to_owned()),
            proposed_by: ActiveValue::Set(proposal.proposed_by.id.as_uuid()),
            created_at: ActiveValue::Set(at.as_micros()),
            expires_at: ActiveValue::Set(proposal.expires_at.as_micros()),
            decided_by: ActiveValue::Set(None),
            decided_at: ActiveValue::Set(None),
            applied_version: ActiveValue::Set(None),
        };
        scoped::insert::<workflow_proposal::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(proposal))
    }

    async fn get(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        id: ProposalId,
        now: Timestamp,
    ) -> Result<Option<Proposal>, StoreFault> {
        let row = of(grant, workflow).filter(Column::Id.eq(id.as_uuid())).one(self.db.reader()).await;
        let row = row.map_err(store_fault)?;
        Ok(proposals(self.db.reader(), row.into_iter().collect(), now).await?.pop())
    }

    async fn list(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        state: Option<ProposalState>,
        now: Timestamp,
        page: PageRequest<ProposalId>,
    ) -> Result<Option<Page<Proposal, ProposalId>>, StoreFault> {
        let there = scoped::find::<workflow::Entity>(grant)
            .filter(workflow::Column::Id.eq(workflow.as_uuid()))
            .count(self.db.reader())
            .await
            .map_err(store_fault)?;
        if there == 0 {
            return Ok(None);
        }
        let mut found = of(grant, workflow);
        if let Some(state) = state {
            found = found.filter(standing(state, now));
        }
        if let Some(after) = page.after {
            found = found.filter(Column::Id.lt(after.as_uuid()));
        }
        let rows = found
            .order_by(Column::Id, Order::Desc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let found = proposals(self.db.reader(), rows, now).await?;
        Ok(Some(Page::of_overread(found, page.limit, |proposal| proposal.id)))
    }

    async fn apply(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        id: ProposalId,
        scheduler: &Scheduler,
        event: AuditEvent,
    ) -> Result<Option<(Proposal, Workflow)>, ProposalRefusal> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let Some(proposal) = open(&transaction, grant, workflow, id, event.at).await? else { return Ok(None) };
        let change = proposal.change.clone();
        let version = Some(proposal.version);
        let changed = workflow_rows::change(&transaction, grant, workflow, change, version, scheduler, &event).await?;
        let Some((after, mut events)) = changed else { return Ok(None) };
        let proposal =
            decide(&transaction, grant, proposal, ProposalState::Applied, Some(after.version), event.at).await?;
        if events.is_empty() {
            // It is so already; that somebody agreed is part of the record.
            events.push(event.about(AuditTarget::Workflow(workflow)));
        }
        record(&transaction, events).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some((proposal, after)))
    }

    async fn close(
        &self,
        grant: &Grant<WorkflowsRead>,
        workflow: WorkflowId,
        id: ProposalId,
        state: ProposalState,
        event: AuditEvent,
    ) -> Result<Option<Proposal>, ProposalRefusal> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let Some(proposal) = open(&transaction, grant, workflow, id, event.at).await? else { return Ok(None) };
        let proposal = decide(&transaction, grant, proposal, state, None, event.at).await?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(proposal))
    }
}
