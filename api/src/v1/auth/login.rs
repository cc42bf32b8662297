//! `POST /auth/login`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use domain::access::{Actor, MemberFacts};
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::field::FieldErrors;
use domain::organization::AccessClaims;
use domain::organization::service::AccountFault;
use domain::tenant::Tenant;
use domain::text::{Email, InvalidText};
use domain::time::{Clock, SystemClock};
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::shapes::{SessionShape, respond};
use crate::authenticate::request_id;
use crate::client_address;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Body;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, PublicRefusals, ThrottleRefusals};

/// Who you are.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// E-mail address.
    #[schema(example = "ann@example.com")]
    email: String,
    /// Password.
    #[schema(value_type = String, format = Password, example = "correct horse battery")]
    password: SecretString,
    /// Slug or id, for people in several organizations; the one joined first when not given.
    #[schema(example = "acme")]
    organization: Option<String>,
}

/// Signs you in. Failures are counted per e-mail address and per client address; after too many, tries have to wait.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "log_in", tag = "auth", request_body = LoginRequest,
    responses((status = 200, description = "You are signed in.", body = SessionShape), PublicRefusals, BodyRefusals, ThrottleRefusals)
)]
#[post("/auth/login")]
pub async fn log_in(
    request: HttpRequest,
    services: Data<Services>,
    body: Body<LoginRequest>,
) -> Result<HttpResponse, Problem> {
    let LoginRequest { email, password, organization } = body.read().await?;
    let email: Email = email.parse().map_err(|error: InvalidText| FieldErrors::one("email", error))?;
    let (id, inside) = (request_id(&request), services.clone());
    let from = client_address::of(&request, &services.settings.trusted_proxies);
    let session = to_the_end(async move {
        let opened = inside.accounts.login(&email, password, organization.as_deref(), from).await;
        match &opened {
            Err(AccountFault::Unauthenticated) => {
                inside.audit.count_anonymous("session.open", "wrong e-mail address, password or organization");
            }
            Err(AccountFault::Throttled(_)) => inside.audit.count_anonymous("session.open", "too many failures"),
            _ => {}
        }
        let session = opened?;
        record(&inside, id, &session.member, "session.open", AuditTarget::User(session.member.user.id)).await?;
        Ok(session)
    })
    .await?;
    Ok(respond(&services, StatusCode::OK, &session))
}

/// Records what a person did before they had a scope.
pub(super) async fn record(
    services: &Services,
    request_id: Option<Uuid>,
    member: &MemberFacts,
    action: &'static str,
    target: AuditTarget,
) -> Result<(), Problem> {
    let actor = AuditActor::Proven(Actor::Member(Arc::new(member.clone())));
    let event = AuditEvent {
        organization: Some(member.organization.id),
        target,
        tenant: Tenant::Owner,
        request_id,
        ..AuditEvent::unproven(actor, action, SystemClock.now())
    };
    Ok(services.audit.record_durably(event).await?)
}

/// Records what became of a session that is known by its refresh token alone.
pub(super) async fn record_claims(
    services: &Services,
    request_id: Option<Uuid>,
    claims: AccessClaims,
    action: &'static str,
    refused: bool,
) -> Result<(), Problem> {
    let event = AuditEvent {
        organization: Some(claims.organization),
        target: AuditTarget::User(claims.user),
        tenant: Tenant::Owner,
        request_id,
        ..AuditEvent::unproven(AuditActor::User(claims.user), action, SystemClock.now())
    };
    let event = if refused { event.refused(Code::Unauthenticated.as_str()) } else { event };
    Ok(services.audit.record_durably(event).await?)
}
