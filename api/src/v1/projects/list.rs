//! `GET /projects`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::ProjectsRead;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::ProjectShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Which projects.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ArchivedFilter {
    /// The archived ones instead of the others.
    #[serde(default)]
    archived: bool,
}

/// The organization's projects, oldest first, each with those of its servers that you see.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_projects", tag = "projects",
    params(Paging, ArchivedFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of projects.", body = Items<ProjectShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/projects")]
pub async fn list_projects(
    allowed: Allowed<ProjectsRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    filter: Asked<ArchivedFilter>,
) -> Result<HttpResponse, Problem> {
    let (page, archived) = (paging.read()?.request(|key| key.parse().ok())?, filter.read()?.archived);
    let page = services.projects.list(&allowed, archived, page).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(ProjectShape::from).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
