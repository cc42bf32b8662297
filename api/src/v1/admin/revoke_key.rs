//! `DELETE /admin/api-keys/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete};
use domain::access::permission::InstanceKeys;
use domain::audit::{AuditEvent, AuditTarget};

use super::shapes::{InstanceKeyShape, InstanceRevokedShape};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;
use crate::v1::api_keys::get::named;
use crate::v1::api_keys::shapes::ReceiptShape;

/// Revokes a key of any organization, for good; its organization's audit log says who did. Revoking it again changes
/// nothing. For instance admins.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "revoke_instance_api_key", tag = "admin",
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key, revoked.", body = InstanceRevokedShape), Refusals),
    security(("access_token" = []))
)]
#[delete("/admin/api-keys/{id}")]
pub async fn revoke_instance_api_key(
    allowed: Allowed<InstanceKeys>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let (view, receipt) = to_the_end(async move {
        let event = AuditEvent {
            reason: Some("by an instance admin".to_owned()),
            ..allowed.event("key.revoke", AuditTarget::Key(key))
        };
        let revoked = services.instance_keys.revoke(&allowed, key, event).await;
        let revoked = allowed.noted(&services, AuditTarget::Key(key), revoked).await?;
        Ok((services.keys.view(revoked.record).await?, revoked.receipt))
    })
    .await?;
    Ok(HttpResponse::Ok()
        .json(InstanceRevokedShape { api_key: InstanceKeyShape::from(&view), receipt: ReceiptShape::of(&receipt) }))
}
