//! `POST /workflows/{id}/archive` and `POST /workflows/{id}/restore`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::WorkflowsWrite;
use domain::audit::AuditTarget;

use super::shapes::{WorkflowShape, named};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Puts a workflow away: it stays for the record, does not change and does not run. Archiving it again changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "archive_workflow", tag = "workflows",
    params(("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The workflow, archived.", body = WorkflowShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/workflows/{id}/archive")]
pub async fn archive_workflow(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    put(allowed, services, &id, true).await
}

/// Brings an archived workflow back. It runs by its schedule again, from the next time on.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "restore_workflow", tag = "workflows",
    params(("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The workflow, no longer archived.", body = WorkflowShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/workflows/{id}/restore")]
pub async fn restore_workflow(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    put(allowed, services, &id, false).await
}

async fn put(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    id: &str,
    archived: bool,
) -> Result<HttpResponse, Problem> {
    let id = named(id)?;
    // Before the change: what was done is answered whatever becomes of a reading.
    let baseline = services.runs.baselines(&allowed, &[id]).await?.remove(&id);
    let seen = to_the_end(async move {
        let event = allowed.event("workflow.update", AuditTarget::Workflow(id));
        let done = services.workflows.archive(&allowed, id, archived, event).await;
        allowed.noted(&services, AuditTarget::Workflow(id), done).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(WorkflowShape::new(&seen, baseline)))
}
