//! `GET /insights/sessions/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::InsightsRead;
use domain::call::port::CallPosition;
use domain::call::{CallRecord, Label, Method, Outcome};
use domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::asked::narrowed;
use super::list_sessions::CallSessionShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, ProjectFilter, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Refusals, time};

/// A session, and a page of its calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCallsShape {
    /// The session.
    session: CallSessionShape,
    /// Its calls, the oldest first.
    items: Vec<SessionCallShape>,
    /// Give it as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// A call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCallShape {
    /// When it began, RFC 3339 UTC.
    at: String,
    /// The request, as the audit log and error messages name it.
    request_id: String,
    /// The server, `mcp_…`.
    server_id: String,
    /// The method; null of a message without one.
    #[schema(example = "tools/call")]
    method: Option<String>,
    /// The tool, of a `tools/call`.
    #[schema(example = "add_note")]
    tool: Option<String>,
    /// `answered`, `failed`, `refused`, `cancelled` or `cut`.
    #[schema(example = "answered")]
    outcome: &'static str,
    /// Why it failed, was refused or cut.
    code: Option<String>,
    /// The HTTP status that went to the caller.
    #[schema(example = 200)]
    status: Option<u16>,
    /// Whether it went wrong.
    error: bool,
    /// Milliseconds until the answer began; null when none did.
    first_byte_ms: Option<f64>,
    /// Milliseconds until its end.
    took_ms: f64,
    /// What its model said that the person wants, redacted.
    intent: Option<String>,
    /// What led to it, redacted.
    context: Option<String>,
    /// What did not go well, redacted.
    frustration: Option<String>,
}

impl From<&CallRecord> for SessionCallShape {
    fn from(call: &CallRecord) -> Self {
        let outcome = match call.outcome {
            Outcome::Answered => "answered",
            Outcome::Failed(_) => "failed",
            Outcome::Refused(_) => "refused",
            Outcome::Cancelled => "cancelled",
            Outcome::Cut(_) => "cut",
        };
        let said = call.telemetry.clone().unwrap_or_default();
        Self {
            at: time(call.at),
            request_id: call.request_id.to_string(),
            server_id: call.server.to_string(),
            method: call.method.as_ref().map(Method::as_str).map(str::to_owned),
            tool: call.tool.as_ref().map(Label::as_str).map(str::to_owned),
            outcome,
            code: call.outcome.reason().map(str::to_owned),
            status: call.status,
            error: call.went_wrong(),
            first_byte_ms: call.first_byte.map(|time| time.as_secs_f64() * 1000.0),
            took_ms: call.took.as_secs_f64() * 1000.0,
            intent: said.intent,
            context: said.context,
            frustration: said.frustration,
        }
    }
}

fn cursor(position: CallPosition) -> String {
    encode_cursor(&format!("{} {}", position.at.as_micros(), position.request_id))
}

fn position(cursor: &str) -> Option<CallPosition> {
    let (at, request_id) = cursor.split_once(' ')?;
    let at = Timestamp::from_micros(at.parse().ok()?);
    Some(CallPosition { at, request_id: request_id.parse::<Uuid>().ok()? })
}

/// One session and its calls. A page can have fewer calls than asked for, or none, and yet a `nextCursor`: a bounded number
/// of the organization's calls is looked at for each.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_session", tag = "insights",
    params(
        ("id" = String, Path, description = "`ses_…`", example = "ses_01kafx5tgyf1na07m4q6nf1sgb"),
        Paging, ProjectFilter, crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "The session.", body = SessionCallsShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/insights/sessions/{id}")]
pub async fn get_session(
    allowed: Allowed<InsightsRead>,
    services: Data<Services>,
    id: Path<String>,
    paging: Asked<Paging>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let id = id.parse().map_err(|_| Problem::new(Code::NotFound))?;
    let page = paging.read()?.request(position)?;
    let project = project.read()?;
    let narrowed = narrowed(&allowed, &services, &project).await?;
    let found = services.insights.session(&allowed, id, &narrowed, page).await;
    let (session, page) = allowed.noted(&services, domain::audit::AuditTarget::Organization, found).await?;
    Ok(HttpResponse::Ok().json(SessionCallsShape {
        session: CallSessionShape::from(&session),
        items: page.items.iter().map(SessionCallShape::from).collect(),
        next_cursor: page.next.map(cursor),
    }))
}
