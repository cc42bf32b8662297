//! `GET /insights/sessions`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::InsightsRead;
use domain::insight::{CallSession, Dimension, Subject};
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{PeriodFilter, narrowed};
use super::shapes::{CallTenantShape, CountsShape, LatencyShape};
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, ProjectFilter, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals, time};

/// Calls of one caller that belong together.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallSessionShape {
    /// `ses_…`
    #[schema(example = "ses_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// The key that called, `key_…`.
    #[schema(example = "key_7Gk2mQ0xZt4Rv9Ab")]
    api_key_id: String,
    /// The tenant that it spoke for; null for none.
    tenant: Option<CallTenantShape>,
    /// When its first call began, RFC 3339 UTC.
    started_at: String,
    /// When its last one did.
    last_call_at: String,
    #[serde(flatten)]
    counts: CountsShape,
    #[serde(flatten)]
    latency: LatencyShape,
    /// The servers that it called most, `mcp_…`; at most 32.
    servers: Vec<String>,
    /// The tools that it called most; at most 32.
    tools: Vec<String>,
}

impl From<&CallSession> for CallSessionShape {
    fn from(session: &CallSession) -> Self {
        let lines = |dimension| session.calls.of(dimension).largest().into_iter();
        let server = |bytes: &[u8]| Subject::server(bytes).map(|server| server.to_string());
        let tool = |bytes: &[u8]| Subject::tool(bytes).map(|(_, tool)| tool.to_owned());
        let mut tools: Vec<String> = Vec::new();
        for tool in lines(Dimension::Tool).filter_map(|(bytes, _)| tool(&bytes)) {
            // Two servers may have one of that name.
            if !tools.contains(&tool) {
                tools.push(tool);
            }
        }
        Self {
            id: session.id.to_string(),
            api_key_id: session.key.to_string(),
            tenant: session.tenant.as_ref().map(CallTenantShape::from),
            started_at: time(session.started_at),
            last_call_at: time(session.last_at),
            counts: (&session.calls.all).into(),
            latency: (&session.calls.all).into(),
            servers: lines(Dimension::Server).filter_map(|(bytes, _)| server(&bytes)).collect(),
            tools,
        }
    }
}

/// Sessions that began in a period, the newest first. A page can have fewer items than asked for, or none, and yet a
/// `nextCursor`, when a project narrows them.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_sessions", tag = "insights",
    params(PeriodFilter, Paging, ProjectFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of sessions.", body = Items<CallSessionShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/insights/sessions")]
pub async fn list_sessions(
    allowed: Allowed<InsightsRead>,
    services: Data<Services>,
    period: Asked<PeriodFilter>,
    paging: Asked<Paging>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let (period, project) = (period.read()?.parse()?, project.read()?);
    let page = paging.read()?.request(|id| id.parse().ok())?;
    let narrowed = narrowed(&allowed, &services, &project).await?;
    let page = services.insights.sessions(&allowed, period, &narrowed, page).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(CallSessionShape::from).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
