//! From a request to a scope: the first checks of every surface, in the contract's order. Refusals are recorded here,
//! with the reason that the caller is not told.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use domain::access::decide::{Admitted, Asked, DecisionFault, Proof, Question, ReachableServer, Refusal};
use domain::access::{Actor, Permission, TenantScope};
use domain::audit::{AuditActor, AuditEvent, AuditTarget, Outcome};
use domain::key::port::LiveKey;
use domain::key::presented::{NoToken, select};
use domain::key::verify::{Unauthenticated, VerifiedKey, VerifyFault};
use domain::key::{KeyFacts, KeyId};
use domain::organization::session::SessionFault;
use domain::tenant::{Surface, TenantParams};
use domain::time::{Clock, SystemClock};
use infra::cache::{CallPlace, LiveKeyHandle};
use std::sync::Arc;
use tracing_actix_web::RequestId;

use crate::code::Code;
use crate::compose::Services;
use crate::limit;
use crate::problem::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A caller whose question was decided in its favour.
#[derive(Debug)]
pub struct Proven {
    /// What the request may do.
    pub scope: TenantScope,
    /// The shared state of its key, if it has one.
    pub live: Option<LiveKeyHandle>,
    /// The server that it asked for, if it did.
    pub server: Option<ReachableServer>,
    /// Its place among the calls that its key has under way, where they are counted.
    pub place: Option<CallPlace>,
}

/// What a surface asks of its callers.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Which surface it is.
    pub surface: Surface,
    /// The permission that it takes; none for what every valid caller may.
    pub permission: Option<Permission>,
    /// The server that the caller names, where the surface is about one.
    pub server: Option<Asked<'a>>,
    /// What the audit log calls it.
    pub action: &'static str,
}

/// The request's id as audit rows have it.
#[must_use]
pub fn request_id(request: &HttpRequest) -> Option<uuid::Uuid> {
    request.extensions().get::<RequestId>().map(|id| **id)
}

/// Proves a key, and only a key, takes a place among its calls under way, and decides what it asks.
///
/// # Errors
/// [`Problem`]
pub async fn by_key(services: &Services, request: &HttpRequest, ask: Ask<'_>) -> Result<Proven, Problem> {
    let token = presented(services, request.headers())?;
    let verified = key(services, request, token).await?;
    let place = match limit::of_calls(services, verified.live()) {
        Ok(place) => place,
        Err(problem) => return Err(over_limit(services, request, verified.facts(), problem).await?),
    };
    let proven = decide(services, request, Proof::Key(verified), ask).await?;
    Ok(Proven { place: Some(place), ..proven })
}

/// Proves a key or a person, and decides what they ask.
///
/// # Errors
/// [`Problem`]
pub async fn by_key_or_session(services: &Services, request: &HttpRequest, ask: Ask<'_>) -> Result<Proven, Problem> {
    let token = presented(services, request.headers())?;
    // A JWT has dots; a key never does.
    if !token.contains('.') {
        let verified = key(services, request, token).await?;
        return decide(services, request, Proof::Key(verified), ask).await;
    }
    let session = services.sessions.read(token).await.map_err(|fault| {
        if matches!(fault, SessionFault::Unauthenticated) {
            services.audit.count_anonymous("session.verify", "access token does not verify");
        }
        Problem::from(fault)
    })?;
    decide(services, request, Proof::Person(session), ask).await
}

/// The answer to a call whose key ended while it was under way.
#[must_use]
pub fn key_over(live: &LiveKeyHandle) -> Problem {
    if live.is_doubted() {
        Problem::because(Code::Unavailable, "this node cannot learn at present whether the key still works")
    } else {
        Problem::new(Code::Unauthenticated)
    }
}

fn presented<'a>(services: &Services, headers: &'a HeaderMap) -> Result<&'a str, Problem> {
    let keys = headers.get_all(X_API_KEY).map(actix_http::header::HeaderValue::as_bytes);
    let authorizations = headers.get_all(AUTHORIZATION).map(actix_http::header::HeaderValue::as_bytes);
    select(keys, authorizations).map_err(|reason| {
        services.audit.count_anonymous(
            "key.verify",
            match reason {
                NoToken::Missing => "no credentials",
                NoToken::Conflicting => "two different credentials",
                NoToken::NotText => "credentials are not text",
            },
        );
        Problem::new(Code::Unauthenticated)
    })
}

async fn key(services: &Services, request: &HttpRequest, token: &str) -> Result<VerifiedKey<LiveKeyHandle>, Problem> {
    let verified = match services.verifier.verify(token).await {
        Ok(verified) => verified,
        Err(VerifyFault::Unauthenticated(reason)) => {
            refused_key(services, request_id(request), reason).await?;
            return Err(Problem::new(Code::Unauthenticated));
        }
        Err(VerifyFault::Store(fault)) => return Err(fault.into()),
    };
    services.last_used.note(verified.live());
    let facts = verified.facts();
    if let Some(limit) = facts.rate_limit
        && let Err(problem) = limit::of_key(services, request, facts.id, limit).await
    {
        return Err(over_limit(services, request, facts, problem).await?);
    }
    Ok(verified)
}

/// Records that a key is over a limit of its own; the problem again.
async fn over_limit(
    services: &Services,
    request: &HttpRequest,
    facts: &Arc<KeyFacts>,
    problem: Problem,
) -> Result<Problem, Problem> {
    let actor = AuditActor::Proven(Actor::Key(Arc::clone(facts)));
    let mut event = AuditEvent {
        organization: Some(facts.organization.id),
        target: AuditTarget::Key(facts.id),
        request_id: request_id(request),
        ..AuditEvent::unproven(actor, "key.limit", SystemClock.now())
    };
    ended(&mut event, &problem);
    record(services, event).await?;
    Ok(problem)
}

/// Decides, and records the decision either way.
async fn decide(
    services: &Services,
    request: &HttpRequest,
    proof: Proof<LiveKeyHandle>,
    ask: Ask<'_>,
) -> Result<Proven, Problem> {
    let question = Question {
        surface: ask.surface,
        tenant: TenantParams::parse(request.query_string()),
        permission: ask.permission,
        server: ask.server,
    };
    let first_use = |actor: Actor| AuditEvent {
        organization: Some(actor.organization().id),
        target: AuditTarget::Tenant,
        request_id: request_id(request),
        ..AuditEvent::unproven(AuditActor::Proven(actor), "tenant.create", SystemClock.now())
    };
    let Admitted { scope, server } = match services.gate.admit(&proof, question, first_use).await {
        Ok(admitted) => admitted,
        Err(fault) => return Err(refused(services, request, &proof, &ask, fault).await?),
    };
    let target = server.as_ref().map_or(AuditTarget::Organization, |server| AuditTarget::Server(server.record().id));
    let mut event = AuditEvent {
        request_id: request_id(request),
        ..AuditEvent::allowed(&scope, ask.action, target, SystemClock.now())
    };
    if let Some(server) = &server
        && let Some(limit) = server.record().rate_limit
        && let Err(problem) = limit::of_server(services, request, server.record(), limit).await
    {
        ended(&mut event, &problem);
        record(services, event).await?;
        return Err(problem);
    }
    record(services, event).await?;
    let live = match proof {
        Proof::Key(verified) => Some(verified.live().clone()),
        Proof::Person(_) => None,
    };
    Ok(Proven { scope, live, server, place: None })
}

/// Records a refusal, and says what the caller is told.
async fn refused(
    services: &Services,
    request: &HttpRequest,
    proof: &Proof<LiveKeyHandle>,
    ask: &Ask<'_>,
    fault: DecisionFault,
) -> Result<Problem, Problem> {
    let (action, target) = match &fault {
        DecisionFault::Refused(Refusal::InvalidTenant(_) | Refusal::Tenant(_)) => {
            ("tenant.resolve", AuditTarget::Tenant)
        }
        DecisionFault::Refused(Refusal::Denied(_)) | DecisionFault::Store(_) => (ask.action, AuditTarget::Organization),
    };
    let problem = Problem::from(fault);
    let actor = proof.actor();
    let mut event = AuditEvent {
        organization: Some(actor.organization().id),
        target,
        request_id: request_id(request),
        // Only what can be a server's name: a caller may put anything into a path, also a key.
        reason: match ask.server {
            Some(Asked::Named(name)) => Some(name.to_string()),
            Some(Asked::Nonsense) | None => None,
        },
        ..AuditEvent::unproven(AuditActor::Proven(actor), action, SystemClock.now())
    };
    ended(&mut event, &problem);
    record(services, event).await?;
    Ok(problem)
}

/// Records a refused key. One that was never ours is counted; one that was is named in its organization's log.
///
/// # Errors
/// 503 when the store or the log cannot.
pub async fn refused_key(
    services: &Services,
    request_id: Option<uuid::Uuid>,
    reason: Unauthenticated,
) -> Result<(), Problem> {
    let key: KeyId = match reason {
        Unauthenticated::NotAToken(not) => {
            services.audit.count_anonymous(
                "key.verify",
                match not {
                    domain::key::token::NotAToken::Malformed => "malformed",
                    domain::key::token::NotAToken::Checksum => "checksum does not hold",
                },
            );
            return Ok(());
        }
        Unauthenticated::Unknown { claimed } => claimed,
        Unauthenticated::Expired { key } | Unauthenticated::Rotated { key } | Unauthenticated::Revoked { key } => key,
    };
    let event = AuditEvent {
        organization: services.verifier.organization_of(key).await?,
        target: AuditTarget::Key(key),
        reason: Some(reason.to_string()),
        request_id,
        ..AuditEvent::unproven(AuditActor::Key(key), "key.verify", SystemClock.now())
    };
    let event = event.refused(Code::Unauthenticated.as_str());
    Ok(services.audit.record(event).await?)
}

/// Notes in an event what its caller was told.
pub fn ended(event: &mut AuditEvent, problem: &Problem) {
    let failed = problem.code().status().is_server_error();
    event.outcome = if failed { Outcome::Error } else { Outcome::Refused };
    event.code = Some(problem.code().as_str());
}

/// Records a decision about a proven caller: at once when there is room, else when there is.
///
/// # Errors
/// 503 when the log does not keep up.
pub async fn record(services: &Services, event: AuditEvent) -> Result<(), Problem> {
    match services.audit.try_record(event) {
        Ok(()) => Ok(()),
        Err(event) => Ok(services.audit.record(*event).await?),
    }
}
