//! `GET /workflows`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::WorkflowsRead;
use domain::project::Narrowing;
use domain::workflow::check::Seen;
use domain::workflow::port::WorkflowFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::WorkflowShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, ProjectFilter, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Which workflows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ArchivedFilter {
    /// The archived ones instead of the others.
    #[serde(default)]
    archived: bool,
}

/// The organization's workflows with their newest versions, oldest first.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_workflows", tag = "workflows",
    params(Paging, ArchivedFilter, ProjectFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of workflows.", body = Items<WorkflowShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/workflows")]
pub async fn list_workflows(
    allowed: Allowed<WorkflowsRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    filter: Asked<ArchivedFilter>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let (page, archived) = (paging.read()?.request(|key| key.parse().ok())?, filter.read()?.archived);
    let narrowing = project.read()?.read_by(&services, &allowed).await?;
    let filter = WorkflowFilter { project: narrowing.as_ref().map(Narrowing::project), archived };
    let page = services.workflows.list(&allowed, filter, page).await?;
    let ids: Vec<_> = page.items.iter().map(|seen| seen.workflow.id).collect();
    let baselines = services.runs.baselines(&allowed, &ids).await?;
    let shape = |seen: &Seen| WorkflowShape::new(seen, baselines.get(&seen.workflow.id).copied());
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(shape).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
