//! `POST /workflows/{id}/proposals`

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::WorkflowsRead;
use domain::audit::AuditTarget;
use domain::field::{FieldError, FieldErrors};
use domain::workflow::proposal::service::ProposalRequest;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::ProposalShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::workflows::{Changes, named};
use crate::v1::{BodyRefusals, Refusals};

/// A change to propose.
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewProposal {
    /// What shall be different; its `version` is the one that you looked at, the newest when not given.
    change: Changes,
    /// Why, for whoever decides.
    #[schema(max_length = 1000, example = "The search misses notes without a title.")]
    note: Option<String>,
}

impl NewProposal {
    /// What is proposed.
    ///
    /// # Errors
    /// [`FieldErrors`] when nothing shall be different.
    pub fn read(self) -> Result<ProposalRequest, FieldErrors> {
        let nothing = |errors: FieldErrors| {
            FieldErrors(errors.0.into_iter().map(|error| FieldError { field: "change".to_owned(), ..error }).collect())
        };
        let (change, version) = self.change.read().map_err(nothing)?;
        Ok(ProposalRequest { change, version, note: self.note })
    }
}

/// Proposes a change of a workflow. Whoever may see workflows may propose one; nothing changes until an editor applies it,
/// within 14 days and while the workflow is at the version that it is of. At most 50 are open per workflow.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "propose_workflow_change", tag = "workflows", request_body = NewProposal,
    params(
        ("id" = String, Path, example = "wf_01kafx5tgyf1na07m4q6nf1sgb"),
        OnceHeader,
        crate::openapi::TenantQuery
    ),
    responses((status = 201, description = "The proposal.", body = ProposalShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/workflows/{id}/proposals")]
pub async fn propose_workflow_change(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    id: Path<String>,
    once: Once,
    body: Body<NewProposal>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let (body, bytes) = body.read_both().await?;
    let request = body.read()?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("workflow.propose", AuditTarget::Workflow(id));
        let proposed = services.proposals.propose(&allowed, id, request, event).await;
        let proposal = allowed.noted(&services, AuditTarget::Workflow(id), proposed).await?;
        Made::new(StatusCode::CREATED, &ProposalShape::from(&proposal))
    })
    .await
}
