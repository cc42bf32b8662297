//! `PATCH /api-keys/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::ApiKeysWrite;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::key::service::KeyChangeRequest;
use domain::time::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::create::{Permissions, parse_servers};
use super::get::named;
use super::shapes::{ApiKeyShape, RateLimitShape};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{AnyOr, BodyRefusals, Refusals, given};

/// What shall be different; fields that are left out stay. Role, type and owner never change.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyPatch {
    /// What you call it.
    #[schema(example = "CI runner", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// A longer explanation; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Option<Option<String>>,
    /// `"full"` (all that the key's role allows), `"mcp_only"`, or a list of permissions.
    permissions: Option<Permissions>,
    /// `"*"` or a list of server ids.
    #[schema(schema_with = AnyOr::<String>::field_schema, required = false)]
    servers: Option<AnyOr<String>>,
    /// RFC 3339; null for never. A later time makes an expired key work again.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    expires_at: Option<Option<String>>,
    /// A limit of the key's own; null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<RateLimitShape>)]
    rate_limit: Option<Option<RateLimitShape>>,
}

impl KeyPatch {
    fn parse(self) -> Result<KeyChangeRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        let nothing = self.name.is_none()
            && self.description.is_none()
            && self.permissions.is_none()
            && self.servers.is_none()
            && self.expires_at.is_none()
            && self.rate_limit.is_none();
        if nothing {
            errors.add("body", "must have a field that shall be different");
        }
        let request = KeyChangeRequest {
            name: errors.take_optional("name", self.name.map(|text| text.parse())),
            description: self
                .description
                .map(|text| errors.take_optional("description", text.map(|text| text.parse()))),
            permissions: self.permissions.map(|permissions| permissions.parse(&mut errors)),
            servers: self.servers.map(|servers| parse_servers(&servers, &mut errors)),
            expires_at: self
                .expires_at
                .map(|text| errors.take_optional("expiresAt", text.map(|text| Timestamp::parse(&text)))),
            rate_limit: self.rate_limit.map(|limit| limit.and_then(|limit| limit.parse(&mut errors))),
        };
        errors.check()?;
        Ok(request)
    }
}

/// Changes a key; effective on the next request.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "change_api_key", tag = "api-keys", request_body = KeyPatch,
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key.", body = ApiKeyShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[patch("/api-keys/{id}")]
pub async fn change_api_key(
    allowed: Allowed<ApiKeysWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<KeyPatch>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let request = body.read().await?.parse()?;
    let view = to_the_end(async move {
        let event = allowed.event("key.change", AuditTarget::Key(key));
        let changed = services.keys.change(&allowed, key, request, event).await;
        let record = allowed.noted(&services, AuditTarget::Key(key), changed).await?;
        Ok(services.keys.view(record).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(ApiKeyShape::from(&view)))
}
