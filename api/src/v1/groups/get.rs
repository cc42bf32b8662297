//! `GET /groups/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::GroupsAdminister;
use domain::audit::AuditTarget;
use domain::id::GroupId;

use super::shapes::GroupShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// The group that a path names; what cannot be an id is one that does not exist.
pub(super) fn named(id: &str) -> Result<GroupId, Problem> {
    id.parse().map_err(|_| Problem::new(Code::NotFound))
}

/// One group.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_group", tag = "access",
    params(("id" = String, Path, description = "`grp_…`", example = "grp_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The group.", body = GroupShape), Refusals),
    security(("access_token" = []))
)]
#[get("/groups/{id}")]
pub async fn get_group(
    allowed: Allowed<GroupsAdminister>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let found = services.policies.get_group(&allowed, id).await;
    let group = allowed.noted(&services, AuditTarget::Group(id), found).await?;
    Ok(HttpResponse::Ok().json(GroupShape::from(&group)))
}
