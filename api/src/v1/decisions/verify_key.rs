//! `POST /keys/verify`

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::Actor;
use domain::access::decide::{DecisionFault, Verdict};
use domain::access::permission::KeysVerify;
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::key::verify::VerifyFault;
use domain::key::{KeyFacts, KeyType};
use domain::tenant::resolve::Admission;
use domain::time::{Clock, SystemClock};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use validator::Validate;

use super::question::Parts;
use crate::authenticate::{ended, record, refused_key};
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::v1::identity::me::{KeyShape, TenantPart, TenantShape, tenant as tenant_shape};
use crate::v1::{BodyRefusals, Refusals};

/// A token that somebody showed to your service.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PresentedKey {
    /// The token.
    #[schema(value_type = String, format = Password, max_length = 256)]
    token: SecretString,
    /// The tenant org that the request is for.
    #[schema(max_length = 128)]
    org_id: Option<String>,
    /// The tenant user that the request is for.
    #[schema(max_length = 128, example = "marina")]
    user_id: Option<String>,
    /// A server that the key must reach, by id or slug.
    #[schema(example = "notes")]
    server: Option<String>,
    /// A permission that the key must have; `mcp:connect` when only a server is given.
    #[schema(example = "mcp:connect")]
    permission: Option<String>,
}

/// Whether a token is good.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedShape {
    /// Whether a request with it would pass.
    valid: bool,
    /// The code that it would be refused with; `unauthenticated` for every token that is no key of your organization.
    code: Option<Code>,
    /// The key, when its token is good, also where the request would be refused for another reason.
    api_key: Option<KeyShape>,
    /// The tenant that was asked for, when the request would pass.
    tenant: Option<TenantShape>,
}

impl VerifiedShape {
    const fn unauthenticated() -> Self {
        Self { valid: false, code: Some(Code::Unauthenticated), api_key: None, tenant: None }
    }
}

/// Verifies a token that somebody showed to a service of yours, as Keyrack itself would. Nothing is made by it: a tenant
/// that was never seen stays unseen.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "verify_key", tag = "decisions", request_body = PresentedKey,
    params(crate::openapi::TenantQuery),
    responses((status = 200, description = "Whether it is good.", body = VerifiedShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/keys/verify")]
pub async fn verify_key(
    allowed: Allowed<KeysVerify>,
    services: Data<Services>,
    body: Body<PresentedKey>,
) -> Result<HttpResponse, Problem> {
    let PresentedKey { token, org_id, user_id, server, permission } = body.read().await?;
    let asking = Parts { org_id: org_id.clone(), user_id: user_id.clone(), server, permission }.read()?;
    let verified = match services.verifier.verify(token.expose_secret()).await {
        Ok(verified) => Some(verified),
        Err(VerifyFault::Unauthenticated(reason)) => {
            refused_key(&services, allowed.request_id(), reason).await?;
            None
        }
        Err(VerifyFault::Store(fault)) => return Err(fault.into()),
    };
    // Another organization's key looks like none: a service learns nothing about keys that are not its own.
    let own = verified.filter(|verified| verified.facts().organization.id == allowed.organization().id);
    let answer = match own {
        None => VerifiedShape::unauthenticated(),
        Some(verified) => {
            let facts = Arc::clone(verified.facts());
            services.last_used.note(verified.live());
            let actor = Actor::Key(Arc::clone(&facts));
            let (code, tenant) = match services.gate.decide(&actor, asking.question(), &mut ()).await {
                Ok(Verdict { tenant: Admission::Known(tenant), .. }) => (None, tenant_shape(&tenant)),
                // Allowed and never seen: as it was asked for, but for a client key's own organization.
                Ok(Verdict { tenant: Admission::FirstUse, .. }) => {
                    let org = org_id.filter(|_| facts.kind == KeyType::Platform);
                    let part = |id: String| TenantPart { id };
                    (None, Some(TenantShape { org: org.map(part), user: user_id.map(part) }))
                }
                Err(DecisionFault::Refused(refusal)) => (Some(Problem::from(refusal)), None),
                Err(DecisionFault::Store(fault)) => return Err(fault.into()),
            };
            note(&allowed, &services, actor, &facts, code.as_ref()).await?;
            VerifiedShape {
                valid: code.is_none(),
                code: code.as_ref().map(Problem::code),
                api_key: Some(KeyShape::from(&*facts)),
                tenant,
            }
        }
    };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store"))).json(answer))
}

/// Records the decision about the verified key, as one of that key.
async fn note(
    allowed: &Allowed<KeysVerify>,
    services: &Services,
    actor: Actor,
    facts: &KeyFacts,
    problem: Option<&Problem>,
) -> Result<(), Problem> {
    let mut event = AuditEvent {
        organization: Some(facts.organization.id),
        target: AuditTarget::Key(facts.id),
        request_id: allowed.request_id(),
        ..AuditEvent::unproven(AuditActor::Proven(actor), "key.verify", SystemClock.now())
    };
    if let Some(problem) = problem {
        ended(&mut event, problem);
    }
    record(services, event).await
}
