//! `PUT` and `DELETE /workflows/{id}/baseline`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, put};
use domain::access::permission::WorkflowsWrite;
use domain::audit::AuditTarget;
use domain::id::{RunId, WorkflowId};
use domain::run::service::RunFault;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::RunShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// Which run.
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBaseline {
    /// A run of the workflow that passed.
    #[schema(example = "run_01kafx5tgyf1na07m4q6nf1sgb")]
    run_id: String,
}

/// Takes a run that passed as what other runs of the workflow are compared with, in place of the one before. It is kept for
/// as long as it is the baseline.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "set_baseline", tag = "runs", request_body = NewBaseline,
    params(("id" = String, Path, description = "The workflow's id."), crate::openapi::TenantQuery),
    responses((status = 200, description = "The run.", body = RunShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[put("/workflows/{id}/baseline")]
pub async fn set_baseline(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<NewBaseline>,
) -> Result<HttpResponse, Problem> {
    let parsed = id.parse::<WorkflowId>().map_err(|_| RunFault::NotFound);
    let workflow = allowed.noted(&services, AuditTarget::Organization, parsed).await?;
    let run = body.read().await?.run_id.parse::<RunId>();
    let run = run.map_err(|error| Problem::field(Code::ValidationFailed, "runId", error))?;
    let run = to_the_end(async move {
        let mut event = allowed.event("workflow.baseline", AuditTarget::Workflow(workflow));
        event.reason = Some(run.to_string());
        let set = services.runs.set_baseline(&allowed, workflow, run, event).await;
        allowed.noted(&services, AuditTarget::Organization, set).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(RunShape::listed(&run)))
}

/// Takes the workflow's baseline away. The run stays.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "remove_baseline", tag = "runs",
    params(("id" = String, Path, description = "The workflow's id."), crate::openapi::TenantQuery),
    responses((status = 204, description = "The workflow has no baseline."), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[delete("/workflows/{id}/baseline")]
pub async fn remove_baseline(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    to_the_end(async move {
        let removed = match id.parse::<WorkflowId>() {
            Ok(workflow) => {
                let mut event = allowed.event("workflow.baseline", AuditTarget::Workflow(workflow));
                event.reason = Some("removed".to_owned());
                services.runs.remove_baseline(&allowed, workflow, event).await
            }
            Err(_) => Err(RunFault::NotFound),
        };
        allowed.noted(&services, AuditTarget::Organization, removed).await
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
