//! `POST /workflows/{id}/proposals/{proposal}/reject`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::WorkflowsRead;
use domain::audit::AuditTarget;

use super::shapes::{self, ProposalShape};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::workflows::named;
use crate::v1::{ConflictRefusals, Refusals};

/// Ends a proposal without its change. Whoever proposed it withdraws it so; those of others are rejected by editors, with
/// `workflows:write`.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "reject_workflow_proposal", tag = "workflows",
    params(
        ("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"),
        ("proposal" = String, Path, example = "wfp_01kafx5tgyf1na07m4q6nf1sgb"),
        crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "The proposal.", body = ProposalShape), Refusals, ConflictRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/workflows/{id}/proposals/{proposal}/reject")]
pub async fn reject_workflow_proposal(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, proposal) = path.into_inner();
    let (id, proposal) = (named(&id)?, shapes::named(&proposal)?);
    let proposal = to_the_end(async move {
        let event = allowed.event("workflow.reject", AuditTarget::Workflow(id));
        let done = services.proposals.reject(&allowed, id, proposal, event).await;
        allowed.noted(&services, AuditTarget::Workflow(id), done).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(ProposalShape::from(&proposal)))
}
