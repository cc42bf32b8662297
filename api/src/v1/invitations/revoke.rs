//! `DELETE /org/invitations/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete};
use domain::access::permission::MembersAdminister;
use domain::audit::AuditTarget;
use domain::id::InvitationId;

use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Revokes an invitation: its link does not work any more.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "revoke_invitation", tag = "organization",
    params(("id" = String, Path, description = "`inv_…`", example = "inv_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 204, description = "Revoked."), Refusals),
    security(("access_token" = []))
)]
#[delete("/org/invitations/{id}")]
pub async fn revoke_invitation(
    allowed: Allowed<MembersAdminister>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id: InvitationId = id.parse().map_err(|_| Problem::new(Code::NotFound))?;
    to_the_end(async move {
        let event = allowed.event("invitation.revoke", AuditTarget::Invitation(id));
        let revoked = services.invitations.revoke(&allowed, id, event).await;
        allowed.noted(&services, AuditTarget::Invitation(id), revoked).await
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
