//! `GET /workflows/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::WorkflowsRead;
use domain::audit::AuditTarget;

use super::shapes::{WorkflowShape, named};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// One workflow with its newest version, archived or not.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_workflow", tag = "workflows",
    params(("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The workflow.", body = WorkflowShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/workflows/{id}")]
pub async fn get_workflow(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let found = services.workflows.get(&allowed, id).await;
    let seen = allowed.noted(&services, AuditTarget::Workflow(id), found).await?;
    let baseline = services.runs.baselines(&allowed, &[id]).await?.remove(&id);
    Ok(HttpResponse::Ok().json(WorkflowShape::new(&seen, baseline)))
}
