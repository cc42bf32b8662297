//! `GET /admin/api-keys/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::InstanceKeys;
use domain::audit::AuditTarget;

use super::shapes::InstanceKeyShape;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;
use crate::v1::api_keys::get::named;

/// One key, whosever it is. For instance admins.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_instance_api_key", tag = "admin",
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key.", body = InstanceKeyShape), Refusals),
    security(("access_token" = []))
)]
#[get("/admin/api-keys/{id}")]
pub async fn get_instance_api_key(
    allowed: Allowed<InstanceKeys>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let found = services.instance_keys.get(&allowed, key).await;
    let record = allowed.noted(&services, AuditTarget::Key(key), found).await?;
    let view = services.keys.view(record).await?;
    Ok(HttpResponse::Ok().json(InstanceKeyShape::from(&view)))
}
