//! `DELETE /access-policies/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete};
use domain::access::permission::AccessAdminister;
use domain::audit::AuditTarget;

use super::get::named;
use super::shapes::PolicyShape;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Deletes a policy. What only it gave is lost from the next request on; without any policy nobody reaches anything.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "delete_access_policy", tag = "access",
    params(("id" = String, Path, description = "`pol_…`", example = "pol_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The policy as it was.", body = PolicyShape), Refusals),
    security(("access_token" = []))
)]
#[delete("/access-policies/{id}")]
pub async fn delete_access_policy(
    allowed: Allowed<AccessAdminister>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let policy = to_the_end(async move {
        let event = allowed.event("policy.delete", AuditTarget::Policy(id));
        let done = services.policies.delete(&allowed, id, event).await;
        allowed.noted(&services, AuditTarget::Policy(id), done).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(PolicyShape::from(&policy)))
}
