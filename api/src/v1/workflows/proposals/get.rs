//! `GET /workflows/{id}/proposals/{proposal}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::WorkflowsRead;
use domain::audit::AuditTarget;

use super::shapes::{self, ProposalShape};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;
use crate::v1::workflows::named;

/// One proposal, with what it changes.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_workflow_proposal", tag = "workflows",
    params(
        ("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"),
        ("proposal" = String, Path, example = "wfp_01kafx5tgyf1na07m4q6nf1sgb"),
        crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "The proposal.", body = ProposalShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/workflows/{id}/proposals/{proposal}")]
pub async fn get_workflow_proposal(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, proposal) = path.into_inner();
    let (id, proposal) = (named(&id)?, shapes::named(&proposal)?);
    let found = services.proposals.get(&allowed, id, proposal).await;
    let proposal = allowed.noted(&services, AuditTarget::Workflow(id), found).await?;
    Ok(HttpResponse::Ok().json(ProposalShape::from(&proposal)))
}
