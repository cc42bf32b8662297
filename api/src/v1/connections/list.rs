//! `GET /connections`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::ConnectionsRead;
use domain::audit::AuditTarget;

use super::shapes::ConnectionShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, OnTenant, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// The tenant's own connections, oldest first; also those to servers that are out of reach now, so that they can be ended.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_connections", tag = "connections", params(Paging, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of connections.", body = Items<ConnectionShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/connections")]
pub async fn list_connections(
    allowed: Allowed<ConnectionsRead, OnTenant>,
    services: Data<Services>,
    paging: Asked<Paging>,
) -> Result<HttpResponse, Problem> {
    let asked = paging.read()?.request(|text| text.parse().ok())?;
    let page = services.connections.list(&allowed, asked).await;
    let page = allowed.noted(&services, AuditTarget::Tenant, page).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(|connected| ConnectionShape::new(connected, &allowed)).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
