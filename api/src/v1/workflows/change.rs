//! `PATCH /workflows/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::WorkflowsWrite;
use domain::audit::AuditTarget;

use super::input::Changes;
use super::shapes::{WorkflowShape, named};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// Changes a workflow. Other steps or another `timeoutSeconds` make the next version; name, description, schedule and project
/// do not. Runs go on with the version that they were begun with.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "change_workflow", tag = "workflows", request_body = Changes,
    params(("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The workflow as it is now.", body = WorkflowShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[patch("/workflows/{id}")]
pub async fn change_workflow(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<Changes>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let (draft, version) = body.read().await?.read()?;
    // Before the change: what was done is answered whatever becomes of a reading.
    let baseline = services.runs.baselines(&allowed, &[id]).await?.remove(&id);
    let seen = to_the_end(async move {
        let event = allowed.event("workflow.update", AuditTarget::Workflow(id));
        let changed = services.workflows.change(&allowed, id, draft, version, event).await;
        allowed.noted(&services, AuditTarget::Workflow(id), changed).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(WorkflowShape::new(&seen, baseline)))
}
