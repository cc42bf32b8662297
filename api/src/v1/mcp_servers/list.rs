//! `GET /mcp-servers`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::ServersRead;
use domain::server::model::SharedServer;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::ServerShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, ProjectFilter, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Which servers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ServerFilter {
    /// The archived ones instead of the active ones.
    #[serde(default)]
    archived: bool,
}

/// The organization's servers, in the order of their registration.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_mcp_servers", tag = "mcp-servers",
    params(Paging, ServerFilter, ProjectFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of servers.", body = Items<ServerShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/mcp-servers")]
pub async fn list_mcp_servers(
    allowed: Allowed<ServersRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    filter: Asked<ServerFilter>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let (page, archived) = (paging.read()?.request(|key| key.parse().ok())?, filter.read()?.archived);
    let narrowing = project.read()?.read_by(&services, &allowed).await?;
    let page = services.servers.list(&allowed, narrowing.as_ref(), archived, page).await?;
    let ids: Vec<_> = page.items.iter().map(|server| server.id).collect();
    let offers = services.capabilities.offers(&allowed, &ids).await?;
    let shape = |server: &SharedServer| {
        ServerShape::new(server, services.health.view(server.id)).offering(&allowed, offers.get(&server.id))
    };
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(shape).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
