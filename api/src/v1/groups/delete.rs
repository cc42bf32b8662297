//! `DELETE /groups/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete};
use domain::access::permission::GroupsAdminister;
use domain::audit::AuditTarget;

use super::get::named;
use super::shapes::GroupShape;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Deletes a group, and its place in policies with it.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "delete_group", tag = "access",
    params(("id" = String, Path, description = "`grp_…`", example = "grp_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The group as it was.", body = GroupShape), Refusals),
    security(("access_token" = []))
)]
#[delete("/groups/{id}")]
pub async fn delete_group(
    allowed: Allowed<GroupsAdminister>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let group = to_the_end(async move {
        let event = allowed.event("group.delete", AuditTarget::Group(id));
        let done = services.policies.delete_group(&allowed, id, event).await;
        allowed.noted(&services, AuditTarget::Group(id), done).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(GroupShape::from(&group)))
}
