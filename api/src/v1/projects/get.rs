//! `GET /projects/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::ProjectsRead;

use super::shapes::{ProjectShape, named, target};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// One project, by id or slug, archived or not.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_project", tag = "projects",
    params(("id" = String, Path, description = "Id or slug.", example = "checkout"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The project.", body = ProjectShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/projects/{id}")]
pub async fn get_project(
    allowed: Allowed<ProjectsRead>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = named(&id)?;
    let found = services.projects.get(&allowed, &name).await;
    let project = allowed.noted(&services, target(&name), found).await?;
    Ok(HttpResponse::Ok().json(ProjectShape::from(&project)))
}
