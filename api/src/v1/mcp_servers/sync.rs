//! `POST /mcp-servers/{server}/sync`

use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::ServersSync;
use domain::access::{Denied, Grant};
use domain::audit::{AuditEvent, AuditTarget};
use domain::capability::port::Answer;
use domain::organization::Feature;
use domain::server::model::SharedServer;
use domain::server::port::ServerName;
use domain::server::{ServerAuth, UpstreamAuth};
use domain::time::{Clock, SystemClock};

use super::shapes::ServerShape;
use super::view;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{ConflictRefusals, Refusals, UpstreamRefusals};
use crate::visit::visit;

/// The organization's credential, or that of the connection of whoever syncs.
///
/// # Errors
/// [`Problem`]
pub async fn credential(
    services: &Services,
    grant: &Grant<ServersSync>,
    server: &SharedServer,
) -> Result<UpstreamAuth, Problem> {
    match &server.auth {
        ServerAuth::Organization(auth) => Ok(auth.clone()),
        ServerAuth::Tenant(_) => {
            let connection = services.connections.for_sync(grant, server).await?;
            services.connections.used(&connection);
            let unusable = || Problem::because(Code::UpstreamError, "the connection does not fit the server any more");
            connection.credential.upstream(server.auth.header()).ok_or_else(unusable)
        }
    }
}

/// Asks a server for its tools, prompts and resources, keeps them, and tells how they differ from the time before. The
/// server is asked with the organization's credential, or, where each tenant brings its own, with the caller's. When it
/// cannot be reached, what was kept stays.
///
/// A key needs `servers:write` and `servers:read`, and the role admin.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "sync_mcp_server", tag = "mcp-servers",
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses(
        (status = 200, description = "The server, with what it offers and how that changed.", body = ServerShape),
        Refusals, ConflictRefusals, UpstreamRefusals
    ),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/mcp-servers/{server}/sync")]
pub async fn sync_mcp_server(
    allowed: Allowed<ServersSync>,
    services: Data<Services>,
    server: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = ServerName::parse(&server).ok_or_else(|| Problem::from(Denied::ServerNotFound))?;
    let found = services.servers.to_sync(&allowed, &name).await;
    let server = allowed.noted(&services, AuditTarget::Organization, found).await?;
    let credential = credential(&services, &allowed, &server).await;
    let credential = allowed.noted(&services, AuditTarget::Server(server.id), credential).await?;
    let target = AuditTarget::Server(server.id);
    let event = allowed.event("server.sync", target);
    let synced = ask_and_keep(&services, (*allowed).clone(), server, credential, event).await;
    Ok(HttpResponse::Ok().json(allowed.noted(&services, target, synced).await?))
}

/// Asks a server and keeps its answer.
///
/// # Errors
/// [`Problem`]
pub async fn ask_and_keep(
    services: &Arc<Services>,
    grant: Grant<ServersSync>,
    server: SharedServer,
    credential: UpstreamAuth,
    event: AuditEvent,
) -> Result<ServerShape, Problem> {
    // Not to the end: a client that leaves wants nothing of the server any more.
    let snapshot = visit(services, &grant, &server, credential).await?;
    let services = Arc::clone(services);
    to_the_end(async move {
        let approval = grant.organization().features.contains(Feature::ToolApproval);
        let answer = Answer { snapshot, at: SystemClock.now(), approval };
        services.capabilities.keep(&grant, &server, answer, event).await?;
        services.tool_lists.forget(server.id);
        view(&services, &grant, &server).await
    })
    .await
}
