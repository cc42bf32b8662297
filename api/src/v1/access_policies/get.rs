//! `GET /access-policies/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::AccessAdminister;
use domain::audit::AuditTarget;
use domain::id::PolicyId;

use super::shapes::PolicyShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// The policy that a path names; what cannot be an id is one that does not exist.
pub(super) fn named(id: &str) -> Result<PolicyId, Problem> {
    id.parse().map_err(|_| Problem::new(Code::NotFound))
}

/// One policy.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_access_policy", tag = "access",
    params(("id" = String, Path, description = "`pol_…`", example = "pol_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The policy.", body = PolicyShape), Refusals),
    security(("access_token" = []))
)]
#[get("/access-policies/{id}")]
pub async fn get_access_policy(
    allowed: Allowed<AccessAdminister>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let found = services.policies.get(&allowed, id).await;
    let policy = allowed.noted(&services, AuditTarget::Policy(id), found).await?;
    Ok(HttpResponse::Ok().json(PolicyShape::from(&policy)))
}
