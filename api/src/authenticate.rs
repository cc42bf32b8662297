//! From a request to a scope: the first checks of every surface, in the contract's order. Refusals are recorded here,
//! with the reason that the caller is not told.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use domain::access::{Actor, TenantScope};
use domain::audit::{AuditActor, AuditEvent, AuditTarget, Outcome};
use domain::id::EventId;
use domain::key::presented::{NoToken, select};
use domain::key::verify::{Unauthenticated, VerifiedKey, VerifyFault};
use domain::key::{KeyFacts, KeyId};
use domain::organization::session::SessionFault;
use domain::tenant::{Surface, Tenant, TenantParams};
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
            services.audit.count_anonymous("access token does not verify");
        }
        Problem::from(fault)
    })?;
    let params = TenantParams::parse(request.query_string())?;
    Ok(Proven { scope: TenantScope::of_member(session, surface, params)?, live: None })
}

fn presented<'a>(services: &Services, headers: &'a HeaderMap) -> Result<&'a str, Problem> {
    let keys = headers.get_all(X_API_KEY).map(actix_http::header::HeaderValue::as_bytes);
    let authorizations = headers.get_all(AUTHORIZATION).map(actix_http::header::HeaderValue::as_bytes);
    select(keys, authorizations).map_err(|reason| {
        services.audit.count_anonymous(match reason {
            NoToken::Missing => "no credentials",
            NoToken::Conflicting => "two different credentials",
            NoToken::NotText => "credentials are not text",
        });
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
            refused_tenant(services, request, verified.facts(), &problem).await?;
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
    let resolved = services.verifier.scope(verified, surface, params).await?;
    if resolved.first_use {
        let mut event = AuditEvent::allowed(&resolved.scope, "tenant.create", AuditTarget::Tenant, SystemClock.now());
        event.request_id = request_id(request);
        services.audit.record(event).await?;
    }
    Ok(resolved.scope)
}

/// Records a refused key. One that was never ours is counted; one that was is named in its organization's log.
async fn refused_key(services: &Services, request: &HttpRequest, reason: Unauthenticated) -> Result<(), Problem> {
    let key: KeyId = match reason {
        Unauthenticated::NotAToken(not) => {
            services.audit.count_anonymous(match not {
                domain::key::token::NotAToken::Malformed => "malformed",
                domain::key::token::NotAToken::Checksum => "checksum does not hold",
            });
            return Ok(());
        }
        Unauthenticated::Unknown { claimed } => claimed,
        Unauthenticated::Expired { key } | Unauthenticated::Revoked { key } => key,
    };
    let event = AuditEvent {
        id: EventId::new(),
        at: SystemClock.now(),
        organization: services.verifier.organization_of(key).await?,
        actor: AuditActor::Key(key),
        action: "key.verify",
        target: AuditTarget::Key(key),
        tenant: Tenant::Organization,
        outcome: Outcome::Refused,
        code: Some(Code::Unauthenticated.as_str()),
        reason: Some(reason.to_string()),
        request_id: request_id(request),
    };
    Ok(services.audit.record(event).await?)
}

async fn refused_tenant(
    services: &Services,
    request: &HttpRequest,
    facts: &Arc<KeyFacts>,
    problem: &Problem,
) -> Result<(), Problem> {
    let event = AuditEvent {
        id: EventId::new(),
        at: SystemClock.now(),
        organization: Some(facts.organization.id),
        actor: AuditActor::Proven(Actor::Key(Arc::clone(facts))),
        action: "tenant.resolve",
        target: AuditTarget::Tenant,
        tenant: Tenant::Organization,
        outcome: if problem.code().status().is_server_error() { Outcome::Error } else { Outcome::Refused },
        code: Some(problem.code().as_str()),
        reason: None,
        request_id: request_id(request),
    };
    Ok(services.audit.record(event).await?)
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
