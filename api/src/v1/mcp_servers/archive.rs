//! `POST /mcp-servers/{server}/archive`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::Denied;
use domain::access::permission::ServersWrite;
use domain::audit::AuditTarget;
use domain::server::port::ServerName;

use super::shapes::ServerShape;
use super::view;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Puts a server away: it stays for the record and takes no calls. Archiving it again changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "archive_mcp_server", tag = "mcp-servers",
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The server, archived.", body = ServerShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/mcp-servers/{server}/archive")]
pub async fn archive_mcp_server(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    server: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = ServerName::parse(&server).ok_or_else(|| Problem::from(Denied::ServerNotFound))?;
    let view = to_the_end(async move {
        let event = allowed.event("server.archive", AuditTarget::Organization);
        let archived = services.servers.archive(&allowed, &name, event).await;
        let server = allowed.noted(&services, AuditTarget::Organization, archived).await?;
        view(&services, &allowed, &server).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(view))
}
