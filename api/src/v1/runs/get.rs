//! `GET /runs/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::RunsRead;
use domain::audit::AuditTarget;
use domain::id::RunId;
use domain::run::Run;
use domain::run::service::RunFault;

use super::shapes::RunShape;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// The run that a path names, if the caller sees it.
///
/// # Errors
/// 404; recorded like every refusal.
pub async fn named(services: &Services, allowed: &Allowed<RunsRead>, id: &str) -> Result<Run, Problem> {
    let found = match id.parse::<RunId>() {
        Ok(id) => services.runs.get(allowed, id).await,
        Err(_) => Err(RunFault::NotFound),
    };
    allowed.noted(services, AuditTarget::Organization, found).await
}

/// A run with its steps: what they were given, what they answered, and how that was judged.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_run", tag = "runs",
    params(("id" = String, Path, description = "The run's id."), crate::openapi::TenantQuery),
    responses((status = 200, description = "The run.", body = RunShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/runs/{id}")]
pub async fn get_run(
    allowed: Allowed<RunsRead>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let run = named(&services, &allowed, &id).await?;
    Ok(HttpResponse::Ok().json(RunShape::whole(&run)))
}
