//! `GET /mcp-servers/{server}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::Denied;
use domain::access::permission::ServersRead;
use domain::audit::AuditTarget;
use domain::server::port::ServerName;

use super::shapes::ServerShape;
use super::view;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// One server, by id or slug.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_mcp_server", tag = "mcp-servers",
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The server.", body = ServerShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/mcp-servers/{server}")]
pub async fn get_mcp_server(
    allowed: Allowed<ServersRead>,
    services: Data<Services>,
    server: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = ServerName::parse(&server).ok_or_else(|| Problem::from(Denied::ServerNotFound))?;
    let found = services.servers.get(&allowed, &name).await;
    let server = allowed.noted(&services, AuditTarget::Organization, found).await?;
    Ok(HttpResponse::Ok().json(view(&services, &allowed, &server).await?))
}
