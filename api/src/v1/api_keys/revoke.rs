//! `DELETE /api-keys/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete};
use domain::access::permission::ApiKeysWrite;
use domain::audit::AuditTarget;

use super::get::named;
use super::shapes::{ApiKeyShape, ReceiptShape, RevokedShape};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Revokes a key, for good. When this is answered, no request with its token is accepted any more, calls under way get
/// 401 and open streams are cut. Revoking it again changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "revoke_api_key", tag = "api-keys",
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key, revoked.", body = RevokedShape), Refusals),
    security(("access_token" = []))
)]
#[delete("/api-keys/{id}")]
pub async fn revoke_api_key(
    allowed: Allowed<ApiKeysWrite>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let (view, receipt) = to_the_end(async move {
        let event = allowed.event("key.revoke", AuditTarget::Key(key));
        let revoked = services.keys.revoke(&allowed, key, event).await;
        let revoked = allowed.noted(&services, AuditTarget::Key(key), revoked).await?;
        Ok((services.keys.view(revoked.record).await?, revoked.receipt))
    })
    .await?;
    Ok(HttpResponse::Ok().json(RevokedShape { api_key: ApiKeyShape::from(&view), receipt: ReceiptShape::of(&receipt) }))
}
