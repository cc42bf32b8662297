//! `POST /workflows/{id}/proposals/{proposal}/apply`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::WorkflowsWrite;
use domain::audit::AuditTarget;

use super::shapes::{self, AppliedShape};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::workflows::named;
use crate::v1::{ConflictRefusals, Refusals};

/// Makes the change that a proposal is of, as if you had sent it: you must reach its servers, and the workflow must still be
/// at the version that the change is of.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "apply_workflow_change", tag = "workflows",
    params(
        ("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"),
        ("proposal" = String, Path, example = "wfp_01kafx5tgyf1na07m4q6nf1sgb"),
        crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "What came of it.", body = AppliedShape), Refusals, ConflictRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/workflows/{id}/proposals/{proposal}/apply")]
pub async fn apply_workflow_change(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, proposal) = path.into_inner();
    let (id, proposal) = (named(&id)?, shapes::named(&proposal)?);
    let baseline = services.runs.baselines(&allowed, &[id]).await?.remove(&id);
    let (proposal, seen) = to_the_end(async move {
        let event = allowed.event("workflow.apply", AuditTarget::Workflow(id));
        let applied = services.proposals.apply(&allowed, id, proposal, event).await;
        allowed.noted(&services, AuditTarget::Workflow(id), applied).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(AppliedShape::new(&proposal, &seen, baseline)))
}
