//! A run as rows.

use std::time::Duration;

use domain::access::WithinOrganization;
use domain::id::{OrganizationId, RunId, ServerId, WorkflowId};
use domain::run::actor::{RunActor, Who};
use domain::run::evidence::Evidence;
use domain::run::{Run, RunStatus, RunStep, StepStatus, Trigger};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder};

use super::entity::{run, run_step};
use super::fault::store_fault;
use super::scoped;

/// The number that stands for one of `all`, which keep their order.
pub fn number<T: PartialEq, const N: usize>(all: [T; N], value: &T) -> i16 {
    let at = all.iter().position(|one| one == value);
    at.and_then(|at| i16::try_from(at).ok()).unwrap_or(-1)
}

/// What a number stands for.
fn named<T: Copy, const N: usize>(all: [T; N], number: i16, what: &str) -> Result<T, StoreFault> {
    let found = usize::try_from(number).ok().and_then(|at| all.get(at));
    found.copied().ok_or_else(|| corrupt(what))
}

pub fn corrupt(what: &str) -> StoreFault {
    StoreFault::Corrupt(format!("{what} of a run"))
}

pub const fn scope_of(organization: OrganizationId) -> domain::access::SystemScope {
    domain::access::SystemScope::new(organization, "a node does the runs of every organization")
}

pub fn status_number(status: RunStatus) -> i16 {
    number(RunStatus::ALL, &status)
}

pub fn step_number(status: StepStatus) -> i16 {
    number(StepStatus::ALL, &status)
}

pub fn trigger_number(trigger: Trigger) -> i16 {
    number(Trigger::ALL, &trigger)
}

/// The run without its steps.
pub fn read(row: run::Model) -> Result<Run, StoreFault> {
    let key = row.actor.parse().map(Who::Key).ok();
    let who = key.or_else(|| row.actor.parse().map(Who::Person).ok()).ok_or_else(|| corrupt("actor"))?;
    Ok(Run {
        id: RunId::from_uuid(row.id),
        organization: OrganizationId::from_uuid(row.organization_id),
        workflow: WorkflowId::from_uuid(row.workflow_id),
        version: u32::try_from(row.version).map_err(|_| corrupt("version"))?,
        status: named(RunStatus::ALL, row.status, "status")?,
        reason: row.reason,
        trigger: named(Trigger::ALL, row.begun_by, "trigger")?,
        actor: RunActor { who, name: row.actor_name, org: row.tenant_org, user: row.tenant_user },
        created_at: Timestamp::from_micros(row.created_at),
        started_at: row.started_at.map(Timestamp::from_micros),
        finished_at: row.finished_at.map(Timestamp::from_micros),
        cancelling: row.cancelled_at.is_some(),
        revision: row.revision,
        steps: vec![],
    })
}

/// A step.
pub fn read_step(row: &run_step::Model) -> Result<RunStep, StoreFault> {
    let evidence: Evidence = serde_json::from_str(&row.evidence).map_err(|_| corrupt("evidence"))?;
    Ok(RunStep {
        name: row.name.clone(),
        server: ServerId::from_uuid(row.server_id),
        tool: row.tool.clone(),
        required: row.required,
        safe: row.safe,
        status: named(StepStatus::ALL, row.status, "step's status")?,
        tries: u32::try_from(row.tries).map_err(|_| corrupt("tries"))?,
        began_at: row.began_at.map(Timestamp::from_micros),
        duration: row.took.and_then(|took| u64::try_from(took).ok()).map(Duration::from_micros),
        evidence,
        withheld: false,
        revision: row.revision,
    })
}

/// The rows of a run's steps, in order.
pub async fn steps(
    db: &impl ConnectionTrait,
    scope: &(impl WithinOrganization + ?Sized),
    run: RunId,
) -> Result<Vec<run_step::Model>, StoreFault> {
    scoped::find::<run_step::Entity>(scope)
        .filter(run_step::Column::RunId.eq(run.as_uuid()))
        .order_by_asc(run_step::Column::Position)
        .all(db)
        .await
        .map_err(store_fault)
}

/// The run with its steps.
pub async fn whole(
    db: &impl ConnectionTrait,
    scope: &(impl WithinOrganization + ?Sized),
    row: run::Model,
) -> Result<Run, StoreFault> {
    let mut run = read(row)?;
    run.steps = steps(db, scope, run.id).await?.iter().map(read_step).collect::<Result<_, _>>()?;
    Ok(run)
}
