//! `DELETE /connections/{server}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete};
use domain::access::permission::ConnectionsWrite;
use domain::audit::AuditTarget;
use domain::server::port::ServerName;

use super::shapes::ConnectionShape;
use crate::compose::Services;
use crate::extract::{Allowed, OnTenant};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Ends the tenant's own connection to a server: its credential is deleted, and no call that starts uses it. Without one:
/// `not_found`.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "delete_connection", tag = "connections",
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The connection as it was.", body = ConnectionShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[delete("/connections/{server}")]
pub async fn delete_connection(
    allowed: Allowed<ConnectionsWrite, OnTenant>,
    services: Data<Services>,
    server: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = ServerName::parse(&server);
    let view = to_the_end(async move {
        let event = allowed.event("connection.delete", AuditTarget::Tenant);
        let done = services.connections.delete(&allowed, name.as_ref(), event).await;
        let connected = allowed.noted(&services, AuditTarget::Tenant, done).await?;
        Ok(ConnectionShape::new(&connected, &allowed))
    })
    .await?;
    Ok(HttpResponse::Ok().json(view))
}
