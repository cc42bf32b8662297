//! `GET /workflows/{id}/versions` and `GET /workflows/{id}/versions/{version}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::WorkflowsRead;
use domain::audit::AuditTarget;

use super::shapes::{VersionShape, named};
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// A workflow's versions, newest first, with who made each.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_workflow_versions", tag = "workflows",
    params(("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"), Paging, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of versions.", body = Items<VersionShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/workflows/{id}/versions")]
pub async fn list_workflow_versions(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    id: Path<String>,
    paging: Asked<Paging>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let page = paging.read()?.request(|key| key.parse().ok())?;
    let found = services.workflows.versions(&allowed, id, page).await;
    let page = allowed.noted(&services, AuditTarget::Workflow(id), found).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(VersionShape::from).collect(),
        next_cursor: page.next.map(|number| encode_cursor(&number.to_string())),
    }))
}

/// One version of a workflow.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_workflow_version", tag = "workflows",
    params(
        ("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"),
        ("version" = String, Path, description = "Its number.", example = "3"),
        crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "The version.", body = VersionShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/workflows/{id}/versions/{version}")]
pub async fn get_workflow_version(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, number) = path.into_inner();
    let id = named(&id)?;
    let number = number.parse().map_err(|_| Problem::new(Code::NotFound))?;
    let found = services.workflows.version(&allowed, id, number).await;
    let made = allowed.noted(&services, AuditTarget::Workflow(id), found).await?;
    Ok(HttpResponse::Ok().json(VersionShape::from(&made)))
}
