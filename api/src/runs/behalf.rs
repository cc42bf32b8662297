//! On whose behalf a run acts: whoever began it, as they stand at this moment.

use std::sync::Arc;
use std::time::Duration;

use domain::access::Actor;
use domain::access::decide::DecisionFault;
use domain::access::permission::McpConnect;
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::run::Run;
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
    let bearer = match run.actor.bearer(run.organization, &*services.standings, SystemClock.now()).await? {
        Ok(bearer) => bearer,
        Err(gone) => return Ok(Err(Nobody { problem: Problem::because(Code::Unauthenticated, gone), gone: true })),
    };
    let first_use = |actor: Actor| AuditEvent {
        organization: Some(actor.organization().id),
        target: AuditTarget::Tenant,
        ..AuditEvent::unproven(AuditActor::Proven(actor), "tenant.create", SystemClock.now())
    };
    let admitted = services.gate.admit_run(&bearer, run.actor.question(), first_use).await;
    let granted = match admitted {
        Ok(admitted) => admitted.scope.grant::<McpConnect>().map_err(Problem::from),
        Err(DecisionFault::Refused(refusal)) => Err(refusal.into()),
        Err(DecisionFault::Store(fault)) => return Err(fault),
    };
    Ok(match granted {
        Ok(grant) => Ok(Arc::new(Asker { services: Arc::clone(services), grant })),
        Err(problem) => Err(Nobody { problem, gone: false }),
    })
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
