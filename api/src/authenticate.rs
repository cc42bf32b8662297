//! From a request to a scope: the first checks of every surface, in the contract's order. Refusals are recorded here,
//! with the reason that the caller is not told.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use domain::access::{Actor, TenantScope};
use domain::audit::{AuditActor, AuditEvent, AuditTarget, Outcome};
use domain::id::OrganizationId;
use domain::key::KeyId;
use domain::key::presented::{NoToken, select};
use domain::key::verify::{Unauthenticated, VerifiedKey, VerifyFault};
use domain::organization::session::SessionFault;
use domain::tenant::{Surface, TenantParams};
use domain::time::{Clock, SystemClock};
use infra::cache::LiveKeyHandle;
use std::sync::Arc;
use tracing_actix_web::RequestId;

use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A caller that was proven, and the shared state of its key if it has one.
#[derive(Debug)]
pub struct Proven {
    /// What the request may do.
    pub scope: TenantScope,
    /// The key in use.
    pub live: Option<LiveKeyHandle>,
}

/// The request's id as audit rows have it.
#[must_use]
pub fn request_id(request: &HttpRequest) -> Option<uuid::Uuid> {
    request.extensions().get::<RequestId>().map(|id| **id)
}

/// Proves a key, and only a key.
///
/// # Errors
/// [`Problem`]
pub async fn by_key(services: &Services, request: &HttpRequest, surface: Surface) -> Result<Proven, Problem> {
    let token = presented(services, request.headers())?;
    key(services, request, token, surface).await
}

/// Proves a key or a person.
///
/// # Errors
/// [`Problem`]
pub async fn by_key_or_session(
    services: &Services,
    request: &HttpRequest,
    surface: Surface,
) -> Result<Proven, Problem> {
    let token = presented(services, request.headers())?;
    // A JWT has dots; a key never does.
    if !token.contains('.') {
        return key(services, request, token, surface).await;
    }
    let session = services.sessions.read(token).await.map_err(|fault| {
        if matches!(fault, SessionFault::Unauthenticated) {
            services.audit.count_anonymous("session.verify", "access token does not verify");
        }
        Problem::from(fault)
    })?;
    let member = session.member().clone();
    let scope = TenantParams::parse(request.query_string())
        .map_err(Problem::from)
        .and_then(|params| TenantScope::of_member(session, surface, params).map_err(Problem::from));
    match scope {
        Ok(scope) => Ok(Proven { scope, live: None }),
        Err(problem) => {
            let organization = member.organization.id;
            refused_tenant(services, request, Actor::Member(Arc::new(member)), organization, &problem).await?;
            Err(problem)
        }
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

async fn key(services: &Services, request: &HttpRequest, token: &str, surface: Surface) -> Result<Proven, Problem> {
    let verified = match services.verifier.verify(token).await {
        Ok(verified) => verified,
        Err(VerifyFault::Unauthenticated(reason)) => {
            refused_key(services, request, reason).await?;
            return Err(Problem::new(Code::Unauthenticated));
        }
        Err(VerifyFault::Store(fault)) => return Err(fault.into()),
    };
    services.last_used.note(verified.facts().id);
    match scope(services, request, &verified, surface).await {
        Ok(scope) => Ok(Proven { scope, live: Some(verified.live().clone()) }),
        Err(problem) => {
            let facts = verified.facts();
            let actor = Actor::Key(Arc::clone(facts));
            refused_tenant(services, request, actor, facts.organization.id, &problem).await?;
            Err(problem)
        }
    }
}

async fn scope(
    services: &Services,
    request: &HttpRequest,
    verified: &VerifiedKey<LiveKeyHandle>,
    surface: Surface,
) -> Result<TenantScope, Problem> {
    let params = TenantParams::parse(request.query_string())?;
    Ok(services.verifier.scope(verified, surface, params, request_id(request)).await?)
}

/// Records a refused key. One that was never ours is counted; one that was is named in its organization's log.
async fn refused_key(services: &Services, request: &HttpRequest, reason: Unauthenticated) -> Result<(), Problem> {
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
        Unauthenticated::Expired { key } | Unauthenticated::Revoked { key } => key,
    };
    let event = AuditEvent {
        organization: services.verifier.organization_of(key).await?,
        target: AuditTarget::Key(key),
        reason: Some(reason.to_string()),
        request_id: request_id(request),
        ..AuditEvent::unproven(AuditActor::Key(key), "key.verify", SystemClock.now())
    };
    let event = event.refused(Code::Unauthenticated.as_str());
    Ok(services.audit.record(event).await?)
}

async fn refused_tenant(
    services: &Services,
    request: &HttpRequest,
    actor: Actor,
    organization: OrganizationId,
    problem: &Problem,
) -> Result<(), Problem> {
    let mut event = AuditEvent {
        organization: Some(organization),
        target: AuditTarget::Tenant,
        request_id: request_id(request),
        ..AuditEvent::unproven(AuditActor::Proven(actor), "tenant.resolve", SystemClock.now())
    };
    ended(&mut event, problem);
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
