//! `GET /runs/{id}/steps`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::RunsRead;

use super::get::named;
use super::shapes::RunStepShape;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// The steps of a run, in order and all on one page.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_run_steps", tag = "runs",
    params(("id" = String, Path, description = "The run's id."), crate::openapi::TenantQuery),
    responses((status = 200, description = "The steps.", body = Items<RunStepShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/runs/{id}/steps")]
pub async fn list_run_steps(
    allowed: Allowed<RunsRead>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let run = named(&services, &allowed, &id).await?;
    let items: Vec<_> = run.steps.iter().map(RunStepShape::from).collect();
    Ok(HttpResponse::Ok().json(Items { items, next_cursor: None }))
}
