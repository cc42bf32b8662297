//! `GET /api-keys/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::ApiKeysRead;
use domain::audit::AuditTarget;
use domain::key::KeyId;

use super::shapes::ApiKeyShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// The key that a path names; a text that is no key's id names none.
///
/// # Errors
/// 404
pub fn named(id: &str) -> Result<KeyId, Problem> {
    id.parse().map_err(|_| Problem::new(Code::NotFound))
}

/// One of your keys, or for admins anybody's.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_api_key", tag = "api-keys",
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key.", body = ApiKeyShape), Refusals),
    security(("access_token" = []))
)]
#[get("/api-keys/{id}")]
pub async fn get_api_key(
    allowed: Allowed<ApiKeysRead>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let found = services.keys.get(&allowed, key).await;
    let record = allowed.noted(&services, AuditTarget::Key(key), found).await?;
    let view = services.keys.view(record).await?;
    Ok(HttpResponse::Ok().json(ApiKeyShape::from(&view)))
}
