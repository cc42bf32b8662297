//! `POST /authorize`

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::KeysVerify;
use domain::access::rehearse::{Arguments, Ruling};
use domain::access::trail::Step;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::key::KeyId;
use domain::time::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use super::question::Parts;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::v1::{BodyRefusals, Refusals};

/// Longest name of a tool, in characters.
const TOOL_MAX: usize = 256;

/// A request to rehearse.
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rehearsal {
    /// The key that would make the request.
    #[schema(example = "key_7Gk2mQ0xZt4Rv9Ab")]
    api_key_id: String,
    /// `?org_id=`, decoded.
    #[schema(max_length = 128)]
    org_id: Option<String>,
    /// `?user_id=`, decoded.
    #[schema(max_length = 128, example = "marina")]
    user_id: Option<String>,
    /// The server that would be called, by id or slug.
    #[schema(example = "notes")]
    server: Option<String>,
    /// The tool that would be called. No rule is about single tools yet: it changes nothing.
    #[schema(max_length = 256, example = "add_note")]
    tool: Option<String>,
    /// The arguments that the tool would get: they are looked at as the gateway looks at them, and not kept.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Map<String, Value>>,
    /// The permission that the request would take; `mcp:connect` when only a server is given, none when neither is.
    #[schema(example = "mcp:connect")]
    permission: Option<String>,
}

/// How the request would be decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct RulingShape {
    /// Whether it would pass.
    allowed: bool,
    /// The code that it would be refused with.
    code: Option<Code>,
    /// The checks that were made, in order; the last is the one that decided.
    trail: Vec<CheckShape>,
}

/// A check that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckShape {
    /// `key`, `tenant_syntax`, `tenant`, `feature`, `role`, `permission`, `resource`, `server` or `arguments`.
    #[schema(example = "tenant")]
    check: &'static str,
    /// `passed` or `refused`.
    #[schema(example = "passed")]
    outcome: &'static str,
    /// Why it refused.
    detail: Option<String>,
}

impl From<Step> for CheckShape {
    fn from(step: Step) -> Self {
        Self {
            check: step.check.as_str(),
            outcome: if step.refused.is_some() { "refused" } else { "passed" },
            detail: step.refused,
        }
    }
}

/// The code of a ruling, as the live request would get it.
fn code_of(ruling: &Ruling) -> Option<Code> {
    match ruling {
        Ruling::Allowed => None,
        Ruling::Unauthenticated => Some(Code::Unauthenticated),
        Ruling::Refused(refusal) => Some(Problem::from(*refusal).code()),
        Ruling::Message(refused) => Some(Problem::from(refused.clone()).code()),
    }
}

/// Says how a request of a key would be decided, by the same rules as the request itself, and does nothing. People ask
/// about their own keys, admins and keys with `keys:verify` about every key of the organization.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "authorize_request", tag = "decisions", request_body = Rehearsal,
    params(crate::openapi::TenantQuery),
    responses((status = 200, description = "How it would be decided.", body = RulingShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/authorize")]
pub async fn authorize_request(
    allowed: Allowed<KeysVerify>,
    services: Data<Services>,
    body: Body<Rehearsal>,
) -> Result<HttpResponse, Problem> {
    let Rehearsal { api_key_id, org_id, user_id, server, tool, arguments, permission } = body.read().await?;
    let key: KeyId = api_key_id.parse().map_err(|_| Problem::new(Code::NotFound))?;
    let standing = services.keys.standing(&allowed, key).await;
    let standing = allowed.noted(&services, AuditTarget::Key(key), standing).await?;
    let asking = Parts { org_id, user_id, server, permission }.read()?;
    if tool.is_some_and(|tool| tool.is_empty() || tool.chars().count() > TOOL_MAX) {
        return Err(FieldErrors::one("tool", format!("must be 1 to {TOOL_MAX} characters")).into());
    }
    let json =
        arguments.map(|arguments| to_raw_value(&arguments)).transpose().map_err(|_| Problem::new(Code::Internal))?;
    let arguments = json.as_deref().map(|json| Arguments { json, keys: &services.token_keys });
    let now = SystemClock.now();
    let (ruling, trail) = services.gate.rehearse(&standing, asking.question(), arguments, now).await?;
    Ok(HttpResponse::Ok().json(RulingShape {
        allowed: ruling == Ruling::Allowed,
        code: code_of(&ruling),
        trail: trail.0.into_iter().map(CheckShape::from).collect(),
    }))
}
