//! `GET /workflows/{id}/proposals`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::WorkflowsRead;
use domain::audit::AuditTarget;
use domain::workflow::proposal::ProposalState;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::ProposalShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::workflows::named;
use crate::v1::{Items, Refusals};

/// Which proposals.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StateFilter {
    /// `open`, `applied`, `rejected`, `withdrawn` or `expired`; all when not given.
    #[param(example = "open")]
    state: Option<String>,
}

/// A workflow's proposals, newest first. They are kept for 30 days after they would have expired.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_workflow_proposals", tag = "workflows",
    params(
        ("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"),
        Paging,
        StateFilter,
        crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "A page of proposals.", body = Items<ProposalShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/workflows/{id}/proposals")]
pub async fn list_workflow_proposals(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    id: Path<String>,
    paging: Asked<Paging>,
    filter: Asked<StateFilter>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let page = paging.read()?.request(|key| key.parse().ok())?;
    let wrong = || {
        let names = ProposalState::ALL.map(ProposalState::as_str).join(", ");
        Problem::field(Code::ValidationFailed, "state", format!("must be one of {names}"))
    };
    let state = filter.read()?.state.map(|name| ProposalState::named(&name).ok_or_else(wrong)).transpose()?;
    let found = services.proposals.list(&allowed, id, state, page).await;
    let page = allowed.noted(&services, AuditTarget::Workflow(id), found).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(ProposalShape::from).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
