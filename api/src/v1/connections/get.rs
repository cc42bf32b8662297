//! `GET /connections/{server}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::ConnectionsRead;
use domain::audit::AuditTarget;
use domain::server::port::ServerName;

use super::shapes::ConnectionShape;
use crate::compose::Services;
use crate::extract::{Allowed, OnTenant};
use crate::problem::Problem;
use crate::v1::Refusals;

/// The tenant's own connection to a server. Without one: `not_found`.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_connection", tag = "connections",
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The connection.", body = ConnectionShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/connections/{server}")]
pub async fn get_connection(
    allowed: Allowed<ConnectionsRead, OnTenant>,
    services: Data<Services>,
    server: Path<String>,
) -> Result<HttpResponse, Problem> {
    let found = services.connections.get(&allowed, ServerName::parse(&server).as_ref()).await;
    let connected = allowed.noted(&services, AuditTarget::Tenant, found).await?;
    Ok(HttpResponse::Ok().json(ConnectionShape::new(&connected, &allowed)))
}
