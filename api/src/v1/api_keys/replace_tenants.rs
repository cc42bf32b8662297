//! `PUT /api-keys/{id}/tenants`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, put};
use domain::access::permission::ApiKeysWrite;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::key::port::TenantsChange;

use super::get::named;
use super::shapes::ApiKeyShape;
use super::tenants::TenantsShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// Replaces the tenants that a key may speak for; effective on the next request.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "replace_api_key_tenants", tag = "api-keys", request_body = TenantsShape,
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key.", body = ApiKeyShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[put("/api-keys/{id}/tenants")]
pub async fn replace_api_key_tenants(
    allowed: Allowed<ApiKeysWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<TenantsShape>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let mut errors = FieldErrors::default();
    let tenants = body.read().await?.parse("tenants", &mut errors);
    let tenants = tenants.filter(|_| errors.0.is_empty()).ok_or(errors)?;
    let view = to_the_end(async move {
        let event = allowed.event("key.tenants.replace", AuditTarget::Key(key));
        let changed = services.keys.change_tenants(&allowed, key, TenantsChange::Replace(tenants), event).await;
        let record = allowed.noted(&services, AuditTarget::Key(key), changed).await?;
        Ok(services.keys.view(record).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(ApiKeyShape::from(&view)))
}
