//! Keeping runs, for those who ask for them and look at them. The nodes' side is `run_queue`.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::access::permission::{RunsDispatch, RunsRead, WorkflowsWrite};
use domain::access::rehearse::KeyStanding;
use domain::access::{Grant, MemberFacts, SystemScope, TenantScope, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::id::{OrganizationId, RunId, UserId, WorkflowId};
use domain::idempotency::{Claim as Once, ClaimName};
use domain::key::KeyId;
use domain::organization::port::Members;
use domain::page::{Page, PageRequest};
use domain::run::actor::{RunActor, Whose};
use domain::run::evidence::Evidence;
use domain::run::port::{Changed, Dispatched, NewRun, RunFilter, RunStore, Standings};
use domain::run::{Run, RunStatus, StepStatus, Trigger};
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use domain::workflow::Step;
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::audit::record;
use super::entity::run::{self, Column, Entity};
use super::entity::{run_step, workflow};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::run_queue::settle;
use super::run_rows::{corrupt, read, status_number, step_number, trigger_number, whole};
use super::{CHUNK, Database, SqlAccounts, key_standing, scoped};
use crate::seal::Sealer;

/// Runs in the database.
#[derive(Clone)]
pub struct SqlRuns {
    pub(super) db: Database,
    pub(super) sealer: Arc<Sealer>,
    people: Arc<SqlAccounts>,
    waiting_max: u64,
}

impl SqlRuns {
    /// Keeps them in this database; what they carry from step to step is sealed by `sealer`. Of one organization at most
    /// `waiting_max` wait for a node.
    #[must_use]
    pub const fn new(db: Database, sealer: Arc<Sealer>, people: Arc<SqlAccounts>, waiting_max: u64) -> Self {
        Self { db, sealer, people, waiting_max }
    }
}

/// The runs that a caller sees.
pub(super) fn seen(scope: &TenantScope) -> Select<Entity> {
    let runs = scoped::find::<Entity>(scope);
    let text = |column: Column, text: Option<&str>| match text {
        Some(text) => column.eq(text),
        None => column.is_null(),
    };
    match Whose::seen_by(scope) {
        Whose::Everybodys => runs,
        Whose::Tenant { org, user } => runs.filter(text(Column::TenantOrg, org)).filter(text(Column::TenantUser, user)),
    }
}

/// One of the runs that a caller sees.
pub(super) fn mine(scope: &TenantScope, id: RunId) -> Select<Entity> {
    seen(scope).filter(Column::Id.eq(id.as_uuid()))
}

fn step_row(run: RunId, at: usize, step: &Step) -> Result<run_step::ActiveModel, StoreFault> {
    let evidence = serde_json::to_string(&Evidence::default()).map_err(|_| corrupt("evidence"))?;
    Ok(run_step::ActiveModel {
        run_id: ActiveValue::Set(run.as_uuid()),
        position: ActiveValue::Set(i32::try_from(at).map_err(|_| corrupt("step's place"))?),
        organization_id: ActiveValue::NotSet,
        name: ActiveValue::Set(step.name.to_string()),
        server_id: ActiveValue::Set(step.server.as_uuid()),
        tool: ActiveValue::Set(step.tool.clone()),
        required: ActiveValue::Set(step.required),
        safe: ActiveValue::Set(step.safe),
        status: ActiveValue::Set(step_number(StepStatus::Pending)),
        tries: ActiveValue::Set(0),
        began_at: ActiveValue::Set(None),
        took: ActiveValue::Set(None),
        evidence: ActiveValue::Set(evidence),
        carried: ActiveValue::Set(None),
        revision: ActiveValue::Set(0),
    })
}

fn run_row(new: &NewRun, once: Option<&Once>) -> Result<run::ActiveModel, StoreFault> {
    Ok(run::ActiveModel {
        id: ActiveValue::Set(new.id.as_uuid()),
        organization_id: ActiveValue::NotSet,
        workflow_id: ActiveValue::Set(new.workflow.as_uuid()),
        version: ActiveValue::Set(i32::try_from(new.version).map_err(|_| corrupt("version"))?),
        status: ActiveValue::Set(status_number(RunStatus::Pending)),
        reason: ActiveValue::Set(None),
        begun_by: ActiveValue::Set(trigger_number(new.trigger)),
        actor: ActiveValue::Set(new.actor.who.id()),
        actor_name: ActiveValue::Set(new.actor.name.clone()),
        tenant_org: ActiveValue::Set(new.actor.org.clone()),
        tenant_user: ActiveValue::Set(new.actor.user.clone()),
        once_digest: ActiveValue::Set(once.map(|once| once.digest.to_vec())),
        once_fingerprint: ActiveValue::Set(once.map(|once| once.fingerprint.to_vec())),
        created_at: ActiveValue::Set(new.at.as_micros()),
        started_at: ActiveValue::Set(None),
        finished_at: ActiveValue::Set(None),
        cancelled_at: ActiveValue::Set(None),
        revision: ActiveValue::Set(0),
        claim: ActiveValue::Set(0),
        node: ActiveValue::Set(None),
        lease_until: ActiveValue::Set(None),
    })
}

impl SqlRuns {
    /// Keeps a run; the one that was asked for before under the same name else.
    pub(super) async fn keep(
        &self,
        scope: &impl WithinOrganization,
        new: &NewRun,
        once: Option<&Once>,
        event: AuditEvent,
    ) -> Result<Dispatched, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let inserted = scoped::insert::<Entity, _>(scope, [run_row(new, once)?])
            .on_conflict(
                OnConflict::columns([Column::OrganizationId, Column::Actor, Column::OnceDigest])
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        if inserted == 0 {
            let name = once.map(|once| ClaimName { digest: once.digest, fingerprint: once.fingerprint });
            let again = again(scope, &new.actor, name.ok_or_else(|| corrupt("row"))?, &transaction).await?;
            return again.ok_or_else(|| StoreFault::Unavailable("the run of this name went meanwhile".into()));
        }
        let steps: Vec<_> =
            new.steps.iter().enumerate().map(|(at, step)| step_row(new.id, at, step)).collect::<Result<_, _>>()?;
        for chunk in steps.chunks(CHUNK) {
            scoped::insert::<run_step::Entity, _>(scope, chunk.iter().cloned())
                .exec_without_returning(&transaction)
                .await
                .map_err(store_fault)?;
        }
        if new.trigger == Trigger::Schedule {
            note_scheduled(&transaction, scope, new).await?;
        }
        let row = found(scope, new.id).one(&transaction).await.map_err(store_fault)?.ok_or_else(|| corrupt("row"))?;
        let run = whole(&transaction, scope, row).await?;
        record(&transaction, [event.about(AuditTarget::Run(new.id))]).await?;
        // With the head of the organization's chain locked, so that of two wishes at once one sees the other's run.
        if new.trigger == Trigger::Schedule
            && let Some(again) = self.scheduled_before(scope, new, once, &transaction).await?
        {
            return Ok(again);
        }
        if let Some(other) = once.and_then(|once| once.other)
            && let Some(again) = again(scope, &new.actor, other, &transaction).await?
        {
            return Ok(again);
        }
        if self.waiting_of(&transaction, scope).await? > self.waiting_max {
            return Ok(Dispatched::Full);
        }
        transaction.commit().await.map_err(store_fault)?;
        Ok(Dispatched::Made(run))
    }

    /// How many runs of the organization no node has had.
    async fn waiting_of(&self, db: &DatabaseTransaction, scope: &impl WithinOrganization) -> Result<u64, StoreFault> {
        let waiting = scoped::find::<Entity>(scope).filter(Column::Status.eq(status_number(RunStatus::Pending)));
        waiting.count(db).await.map_err(store_fault)
    }

    /// The run of this time, when it was asked for on behalf of whoever stood behind the schedule until a moment ago.
    async fn scheduled_before(
        &self,
        scope: &impl WithinOrganization,
        new: &NewRun,
        once: Option<&Once>,
        transaction: &DatabaseTransaction,
    ) -> Result<Option<Dispatched>, StoreFault> {
        let Some(once) = once else { return Ok(None) };
        let row = scoped::find::<Entity>(scope)
            .filter(Column::OnceDigest.eq(once.digest.to_vec()))
            .filter(Column::Id.ne(new.id.as_uuid()))
            .one(transaction)
            .await
            .map_err(store_fault)?;
        match row {
            Some(row) => whole(transaction, scope, row).await.map(|run| Some(Dispatched::Again(run))),
            None => Ok(None),
        }
    }

    async fn end_waiting(
        &self,
        transaction: &DatabaseTransaction,
        grant: &Grant<RunsDispatch>,
        id: RunId,
        event: &AuditEvent,
    ) -> Result<bool, StoreFault> {
        let now = SystemClock.now().as_micros();
        let ended = scoped::update::<Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::Status.eq(status_number(RunStatus::Pending)))
            .col_expr(Column::Status, status_number(RunStatus::Cancelled).into())
            .col_expr(Column::Reason, "the run was cancelled before it began".into())
            .col_expr(Column::FinishedAt, now.into())
            .col_expr(Column::CancelledAt, now.into())
            .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
            .exec(transaction)
            .await
            .map_err(store_fault)?;
        if ended.rows_affected != 1 {
            return Ok(false);
        }
        let scope = SystemScope::new(grant.organization_id(), "its run was just ended by a caller of the organization");
        // A run that no node had has one revision so far.
        settle(transaction, &scope, id, StepStatus::Cancelled, 1).await?;
        let mut finish = event.one_of_many("run.finish", AuditTarget::Run(id));
        finish.reason = Some("cancelled".to_owned());
        record(transaction, [event.clone(), finish]).await?;
        Ok(true)
    }
}

/// Notes with the workflow when it last ran by itself.
async fn note_scheduled(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    new: &NewRun,
) -> Result<(), StoreFault> {
    scoped::update::<workflow::Entity>(scope)
        .filter(workflow::Column::Id.eq(new.workflow.as_uuid()))
        .col_expr(workflow::Column::LastRunAt, new.at.as_micros().into())
        .exec(transaction)
        .await
        .map(drop)
        .map_err(store_fault)
}

/// What a wish is whose name is there already.
async fn again(
    scope: &impl WithinOrganization,
    actor: &RunActor,
    name: ClaimName,
    db: &impl ConnectionTrait,
) -> Result<Option<Dispatched>, StoreFault> {
    let row = scoped::find::<Entity>(scope)
        .filter(Column::Actor.eq(actor.who.id()))
        .filter(Column::OnceDigest.eq(name.digest.to_vec()))
        .one(db)
        .await
        .map_err(store_fault)?;
    let Some(row) = row else { return Ok(None) };
    if row.once_fingerprint.as_deref() != Some(name.fingerprint.as_slice()) {
        return Ok(Some(Dispatched::Other));
    }
    whole(db, scope, row).await.map(|run| Some(Dispatched::Again(run)))
}

fn found(scope: &(impl WithinOrganization + ?Sized), id: RunId) -> Select<Entity> {
    scoped::find::<Entity>(scope).filter(Column::Id.eq(id.as_uuid()))
}

#[async_trait]
impl RunStore for SqlRuns {
    async fn dispatch(
        &self,
        grant: &Grant<RunsDispatch>,
        run: NewRun,
        once: Option<Once>,
        event: AuditEvent,
    ) -> Result<Dispatched, StoreFault> {
        self.keep(grant, &run, once.as_ref(), event).await
    }

    async fn asked_before(&self, grant: &Grant<RunsDispatch>, once: &Once) -> Result<Option<Dispatched>, StoreFault> {
        let (actor, snapshot) = (RunActor::of(grant), self.db.snapshot().await?);
        let name = ClaimName { digest: once.digest, fingerprint: once.fingerprint };
        for name in [Some(name), once.other].into_iter().flatten() {
            if let Some(again) = again(grant, &actor, name, &snapshot).await? {
                return Ok(Some(again));
            }
        }
        Ok(None)
    }

    async fn get(&self, grant: &Grant<RunsRead>, id: RunId) -> Result<Option<Run>, StoreFault> {
        // One moment of the run and of its steps.
        let snapshot = self.db.snapshot().await?;
        match mine(grant, id).one(&snapshot).await.map_err(store_fault)? {
            Some(row) => whole(&snapshot, grant, row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn page(
        &self,
        grant: &Grant<RunsRead>,
        filter: &RunFilter,
        page: PageRequest<RunId>,
    ) -> Result<Page<Run, RunId>, StoreFault> {
        let mut runs = seen(grant);
        if let Some(workflow) = filter.workflow {
            runs = runs.filter(Column::WorkflowId.eq(workflow.as_uuid()));
        }
        if let Some(project) = filter.project {
            let theirs = Query::select()
                .column(workflow::Column::Id)
                .from(workflow::Entity)
                .and_where(workflow::Column::OrganizationId.eq(grant.organization_id().as_uuid()))
                .and_where(workflow::Column::ProjectId.eq(project.as_uuid()))
                .to_owned();
            runs = runs.filter(Column::WorkflowId.in_subquery(theirs));
        }
        if let Some(status) = filter.status {
            runs = runs.filter(Column::Status.eq(status_number(status)));
        }
        if let Some(trigger) = filter.trigger {
            runs = runs.filter(Column::BegunBy.eq(trigger_number(trigger)));
        }
        if let Some(from) = filter.from {
            runs = runs.filter(Column::CreatedAt.gte(from.as_micros()));
        }
        if let Some(to) = filter.to {
            runs = runs.filter(Column::CreatedAt.lt(to.as_micros()));
        }
        if let Some(after) = page.after {
            runs = runs.filter(Column::Id.lt(after.as_uuid()));
        }
        let rows = runs
            .order_by_desc(Column::Id)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let runs = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::of_overread(runs, page.limit, |run| run.id))
    }

    async fn revision(&self, grant: &Grant<RunsRead>, id: RunId) -> Result<Option<i64>, StoreFault> {
        mine(grant, id)
            .select_only()
            .column(Column::Revision)
            .into_tuple()
            .one(self.db.reader())
            .await
            .map_err(store_fault)
    }

    async fn cancel(&self, grant: &Grant<RunsDispatch>, id: RunId, event: AuditEvent) -> Result<Changed, StoreFault> {
        let event = event.about(AuditTarget::Run(id));
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let row = mine(grant, id).one(&transaction).await.map_err(store_fault)?;
        let Some(row) = row else { return Ok(Changed::NotFound) };
        if read(row.clone())?.status.is_over() {
            let run = whole(&transaction, grant, row).await?;
            return Ok(if run.status == RunStatus::Cancelled { Changed::Done(run) } else { Changed::Unfit(run) });
        }
        if !self.end_waiting(&transaction, grant, id, &event).await? {
            let told = scoped::update::<Entity>(grant)
                .filter(Column::Id.eq(id.as_uuid()))
                .filter(Column::Status.eq(status_number(RunStatus::Running)))
                .filter(Column::CancelledAt.is_null())
                .col_expr(Column::CancelledAt, SystemClock.now().as_micros().into())
                .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
            if told.rows_affected == 1 {
                record(&transaction, [event]).await?;
            }
        }
        let row = found(grant, id).one(&transaction).await.map_err(store_fault)?.ok_or_else(|| corrupt("row"))?;
        let run = whole(&transaction, grant, row).await?;
        // Its node was quicker than the wish, and came to another end: nothing was written here.
        if run.status.is_over() && run.status != RunStatus::Cancelled {
            return Ok(Changed::Unfit(run));
        }
        transaction.commit().await.map_err(store_fault)?;
        Ok(Changed::Done(run))
    }

    async fn set_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        run: RunId,
        event: AuditEvent,
    ) -> Result<Changed, StoreFault> {
        self.take_baseline(grant, workflow, run, event).await
    }

    async fn remove_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        event: AuditEvent,
    ) -> Result<bool, StoreFault> {
        self.drop_baseline(grant, workflow, event).await
    }

    async fn baselines(
        &self,
        scope: &TenantScope,
        workflows: &[WorkflowId],
    ) -> Result<HashMap<WorkflowId, RunId>, StoreFault> {
        self.read_baselines(scope, workflows).await
    }

    async fn baseline(&self, grant: &Grant<RunsRead>, workflow: WorkflowId) -> Result<Option<RunId>, StoreFault> {
        self.read_baseline(grant, workflow).await
    }
}

#[async_trait]
impl Standings for SqlRuns {
    async fn key(&self, organization: OrganizationId, id: KeyId) -> Result<Option<KeyStanding>, StoreFault> {
        let scope = SystemScope::new(organization, "a run asks how the key stands that began it");
        key_standing::standing(self.db.reader(), &scope, id).await
    }

    async fn person(&self, organization: OrganizationId, id: UserId) -> Result<Option<MemberFacts>, StoreFault> {
        self.people.active(organization, id).await
    }
}
