//! `POST /mcp-servers/{server}/tools/approve`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::Denied;
use domain::access::permission::ServersApprove;
use domain::audit::AuditTarget;
use domain::capability::port::SeenTool;
use domain::field::FieldErrors;
use domain::server::port::ServerName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::ServerShape;
use super::view;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// Most tools that are approved at once.
const TOOLS_MAX: u64 = 5_000;

/// Tools to approve.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Which, as they were seen.
    #[schema(min_items = 1, max_items = 5000)]
    #[validate(length(min = 1, max = TOOLS_MAX, message = "must be 1 to 5000"))]
    tools: Vec<ApprovedTool>,
}

/// A tool as it was seen.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovedTool {
    /// Its name.
    #[schema(example = "add_note")]
    name: String,
    /// Its fingerprint, from the server's view. A tool that has another by now is not approved.
    #[schema(
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        pattern = "^[0-9a-fA-F]{64}$"
    )]
    fingerprint: String,
}

impl Approval {
    fn parse(self) -> Result<Vec<SeenTool>, FieldErrors> {
        let mut errors = FieldErrors::default();
        let seen = |(index, tool): (usize, ApprovedTool)| {
            let fingerprint = errors.take(&format!("tools[{index}].fingerprint"), tool.fingerprint.parse())?;
            Some(SeenTool { name: tool.name, fingerprint })
        };
        let tools = self.tools.into_iter().enumerate().filter_map(seen).collect();
        errors.check()?;
        Ok(tools)
    }
}

/// Approves tools of a server as they were seen, so that they are offered where the organization wants changed tools
/// approved. All of them or none.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "approve_tools", tag = "mcp-servers", request_body = Approval,
    params(("server" = String, Path, description = "Id or slug.", example = "notes")),
    responses(
        (status = 200, description = "The server, with its tools.", body = ServerShape),
        Refusals, BodyRefusals
    ),
    security(("access_token" = []))
)]
#[post("/mcp-servers/{server}/tools/approve")]
pub async fn approve_tools(
    allowed: Allowed<ServersApprove>,
    services: Data<Services>,
    server: Path<String>,
    body: Body<Approval>,
) -> Result<HttpResponse, Problem> {
    let name = ServerName::parse(&server).ok_or_else(|| Problem::from(Denied::ServerNotFound))?;
    let found = services.servers.to_approve(&allowed, &name).await;
    let server = allowed.noted(&services, AuditTarget::Organization, found).await?;
    let tools = body.read().await?.parse()?;
    let view = to_the_end(async move {
        let event = allowed.event("server.approve_tools", AuditTarget::Server(server.id));
        let approved = services.capabilities.approve(&allowed, server.id, &tools, event).await;
        allowed.noted(&services, AuditTarget::Server(server.id), approved).await?;
        view(&services, &allowed, &server).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(view))
}
