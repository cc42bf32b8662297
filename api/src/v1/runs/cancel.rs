//! `POST /runs/{id}/cancel`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::RunsDispatch;
use domain::audit::AuditTarget;
use domain::id::RunId;
use domain::run::service::RunFault;

use super::shapes::RunShape;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{ConflictRefusals, Refusals};

/// Ends a run. One that waits is `cancelled` at once; of one that a node has the call under way is dropped within a second.
/// Cancelling it again changes nothing; a run that came to another end is a 409.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "cancel_run", tag = "runs",
    params(("id" = String, Path, description = "The run's id."), crate::openapi::TenantQuery),
    responses((status = 200, description = "The run: over, or with `cancelling` while its node lets go of it.", body = RunShape), Refusals, ConflictRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/runs/{id}/cancel")]
pub async fn cancel_run(
    allowed: Allowed<RunsDispatch>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let run = to_the_end(async move {
        let event = allowed.event("run.cancel", AuditTarget::Organization);
        let cancelled = match id.parse::<RunId>() {
            Ok(id) => services.runs.cancel(&allowed, id, event).await,
            Err(_) => Err(RunFault::NotFound),
        };
        allowed.noted(&services, AuditTarget::Organization, cancelled).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(RunShape::whole(&run)))
}
