//! `DELETE /org/members/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete};
use domain::access::permission::MembersLeave;
use domain::audit::AuditTarget;

use super::get::named;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{ConflictRefusals, Refusals};

/// Removes a member, or with your own id lets you leave; the owner cannot be removed. Their keys in this organization are
/// revoked for good, and their sessions in it end. When this is answered none of them is accepted any more.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "remove_member", tag = "organization",
    params(("id" = String, Path, description = "`usr_…`", example = "usr_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 204, description = "Removed."), Refusals, ConflictRefusals),
    security(("access_token" = []))
)]
#[delete("/org/members/{id}")]
pub async fn remove_member(
    allowed: Allowed<MembersLeave>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let user = named(&id)?;
    to_the_end(async move {
        let event = allowed.event("member.remove", AuditTarget::User(user));
        let removed = services.members.remove(&allowed, user, event).await;
        allowed.noted(&services, AuditTarget::User(user), removed).await
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
