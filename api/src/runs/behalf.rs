//! On whose behalf a run acts: whoever began it, as they stand at this moment.

use std::sync::Arc;
use std::time::Duration;

use domain::access::decide::{DecisionFault, Question};
use domain::access::permission::McpConnect;
use domain::access::{Actor, Grant, PermissionKind};
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::id::OrganizationId;
use domain::run::Run;
use domain::run::actor::RunActor;
use domain::store::StoreFault;
use domain::tenant::TenantRefusal;
use domain::time::{Clock, SystemClock};

use crate::code::Code;
use crate::compose::Services;
use crate::platform::Asker;
use crate::problem::Problem;

/// How often it is looked whether they are still there while a tool takes its time.
const LOOK: Duration = Duration::from_millis(500);

/// Why a step has nobody to act for.
#[derive(Debug)]
pub struct Nobody {
    /// What a caller would be told.
    pub problem: Problem,
    /// Whether nobody is left, so that no other step has anybody to act for either.
    pub gone: bool,
}

/// Decides, like a request of theirs, whether whoever began the run may run it and call servers now. It is read from the
/// store: nobody's request would notice that a key is no more.
///
/// # Errors
/// Outside, [`StoreFault`], which says nothing about them; inside, [`Nobody`].
pub async fn asker(services: &Arc<Services>, run: &Run) -> Result<Result<Arc<Asker>, Nobody>, StoreFault> {
    let granted = decided::<McpConnect>(services, &run.actor, run.organization, run.actor.question()).await?;
    Ok(granted.map(|grant| Arc::new(Asker { services: Arc::clone(services), grant })))
}

/// Decides anew about somebody whose request is over, as they stand in the store now.
///
/// # Errors
/// Outside, [`StoreFault`]; inside, [`Nobody`].
pub async fn decided<P: PermissionKind>(
    services: &Services,
    who: &RunActor,
    organization: OrganizationId,
    question: Question<'_>,
) -> Result<Result<Grant<P>, Nobody>, StoreFault> {
    let bearer = match who.bearer(organization, &*services.standings, SystemClock.now()).await? {
        Ok(bearer) => bearer,
        Err(gone) => return Ok(Err(Nobody { problem: Problem::because(Code::Unauthenticated, gone), gone: true })),
    };
    let first_use = |actor: Actor| AuditEvent {
        organization: Some(actor.organization().id),
        target: AuditTarget::Tenant,
        ..AuditEvent::unproven(AuditActor::Proven(actor), "tenant.create", SystemClock.now())
    };
    let granted = match services.gate.admit_run(&bearer, question, first_use).await {
        Ok(admitted) => admitted.scope.grant::<P>().map_err(Problem::from),
        Err(DecisionFault::Refused(refusal)) => Err(refusal.into()),
        Err(DecisionFault::Store(fault)) => return Err(fault),
    };
    Ok(granted.map_err(|problem| Nobody { problem, gone: false }))
}

/// Returns when whoever began the run is no longer there, or their tenant is suspended: what is under way for them ends.
pub async fn gone(services: &Services, run: &Run, asker: &Asker) -> Problem {
    loop {
        tokio::time::sleep(LOOK).await;
        if services.suspended.covers(asker.grant.tenant()) {
            return TenantRefusal::Suspended.into();
        }
        // A store that cannot answer says nothing about them; the lease ends what nobody can write down.
        if let Ok(Err(gone)) = run.actor.bearer(run.organization, &*services.standings, SystemClock.now()).await {
            return Problem::because(Code::Unauthenticated, gone);
        }
    }
}
