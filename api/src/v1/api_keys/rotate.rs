//! `POST /api-keys/{id}/rotate`

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::ApiKeysWrite;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::key::model::Grace;
use domain::key::service::CreatedKey;
use secrecy::ExposeSecret;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::get::named;
use super::shapes::{ApiKeyShape, CreatedShape};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// How a key gets its new token.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateRequest {
    /// How many seconds the earlier tokens work yet: 0, the default, to 2592000, which is 30 days. None of them works
    /// longer than the key, or than an earlier rotation said.
    #[schema(minimum = 0, maximum = 2_592_000, default = 0, example = 86_400)]
    grace_seconds: Option<u32>,
}

/// Gives a key a new token: the same id, the same settings, another secret. The token in the answer is shown this once.
/// When this is answered, the earlier tokens are refused, or will be when their grace is over; `previousTokens` of the
/// key tells who still uses them.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "rotate_api_key", tag = "api-keys", request_body = RotateRequest,
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key and its new token.", body = CreatedShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/api-keys/{id}/rotate")]
pub async fn rotate_api_key(
    allowed: Allowed<ApiKeysWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<RotateRequest>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let grace = body.read().await?.grace_seconds.map_or(Ok(Grace::default()), Grace::seconds);
    let grace = grace.map_err(|fault| FieldErrors::one("graceSeconds", fault))?;
    let rotated = to_the_end(async move {
        let event = allowed.event("key.rotate", AuditTarget::Key(key));
        let rotated = services.keys.rotate(&allowed, key, grace, event).await;
        let CreatedKey { record, token } = allowed.noted(&services, AuditTarget::Key(key), rotated).await?;
        let view = services.keys.view(record).await?;
        Ok(CreatedShape { api_key: ApiKeyShape::from(&view), token: token.reveal().expose_secret().to_owned() })
    })
    .await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store"))).json(rotated))
}
