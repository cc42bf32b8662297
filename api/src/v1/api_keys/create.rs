//! `POST /api-keys`

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::ApiKeysWrite;
use domain::access::{Holder, Permission, PermissionSet, Role};
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::id::ServerId;
use domain::key::KeyType;
use domain::key::service::{CreatedKey, KeyRequest};
use domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{
    ApiKeyShape, CreatedAnswerShape, CreatedBeforeShape, CreatedShape, KeyTypeName, RateLimitShape, RoleName,
};
use super::tenants::TenantsShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::{AnyOr, BodyRefusals, Refusals};

/// Most servers that a key can list.
const SERVERS_MAX: usize = 10_000;

/// A key to create.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewKeyRequest {
    /// What you call it.
    #[schema(example = "CI runner", min_length = 1, max_length = 100)]
    name: String,
    /// A longer explanation.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Whom it may speak for: `solo` (the default), `client` or `platform`. Never changes.
    #[serde(rename = "type")]
    kind: Option<KeyTypeName>,
    /// Its role: yours (the default) or a lower one. Never changes.
    role: Option<RoleName>,
    /// `"full"` (all that the role allows; the default), `"mcp_only"`, or a list of permissions.
    permissions: Option<Permissions>,
    /// `"*"` (every server, also later ones; the default) or a list of server ids.
    #[schema(schema_with = AnyOr::<String>::field_schema, required = false)]
    servers: Option<AnyOr<String>>,
    /// Required for a platform key; `{"users": "*"}` is a client key's default.
    tenants: Option<TenantsShape>,
    /// A limit of the key's own; none when not given.
    rate_limit: Option<RateLimitShape>,
    /// RFC 3339; never when not given.
    #[schema(format = DateTime, example = "2030-01-31T12:00:00Z")]
    expires_at: Option<String>,
}

/// A preset or a list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected \"full\", \"mcp_only\" or a list of permissions")]
pub enum Permissions {
    /// A preset.
    Preset(Preset),
    /// A list.
    Listed(Vec<String>),
}

/// A preset of permissions.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// All that the role allows.
    Full,
    /// Only connecting to servers.
    McpOnly,
}

impl From<KeyTypeName> for KeyType {
    fn from(name: KeyTypeName) -> Self {
        match name {
            KeyTypeName::Solo => Self::Solo,
            KeyTypeName::Client => Self::Client,
            KeyTypeName::Platform => Self::Platform,
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Editor => Self::Editor,
            RoleName::Admin => Self::Admin,
            RoleName::Owner => Self::Owner,
        }
    }
}

impl Permissions {
    /// The permissions; none for all that the role allows.
    pub(super) fn parse(&self, errors: &mut FieldErrors) -> Option<PermissionSet> {
        match self {
            Self::Preset(Preset::Full) => None,
            Self::Preset(Preset::McpOnly) => Some(PermissionSet::mcp_only()),
            Self::Listed(names) => {
                let mut permissions = Vec::with_capacity(names.len().min(64));
                for (index, name) in names.iter().enumerate() {
                    match Permission::named(name) {
                        Some(permission) if permission.holder() == Holder::PeopleAndKeys => {
                            permissions.push(permission);
                        }
                        Some(_) => {
                            errors.add(format!("permissions[{index}]"), "is for people alone; no key can have it");
                        }
                        None => errors.add(format!("permissions[{index}]"), "is no permission"),
                    }
                }
                Some(permissions.into_iter().collect())
            }
        }
    }
}

pub(super) fn parse_servers(servers: &AnyOr<String>, errors: &mut FieldErrors) -> Option<HashSet<ServerId>> {
    match servers {
        AnyOr::Any => None,
        AnyOr::List(ids) if ids.len() > SERVERS_MAX => {
            errors.add("servers", format!("must be at most {SERVERS_MAX}"));
            None
        }
        AnyOr::List(ids) => {
            let parse = |(index, id): (usize, &String)| errors.take(&format!("servers[{index}]"), id.parse());
            Some(ids.iter().enumerate().filter_map(parse).collect())
        }
    }
}

impl NewKeyRequest {
    fn parse(self) -> Result<KeyRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", self.name.parse());
        let description = errors.take_optional("description", self.description.map(|text| text.parse()));
        let permissions = self.permissions.and_then(|permissions| permissions.parse(&mut errors));
        let servers = self.servers.and_then(|servers| parse_servers(&servers, &mut errors));
        let tenants = self.tenants.and_then(|tenants| tenants.parse("tenants", &mut errors));
        let rate_limit = self.rate_limit.and_then(|limit| limit.parse(&mut errors));
        let expires_at = errors.take_optional("expiresAt", self.expires_at.map(|text| Timestamp::parse(&text)));
        match name {
            Some(name) if errors.0.is_empty() => Ok(KeyRequest {
                name,
                description,
                kind: self.kind.map_or(KeyType::Solo, KeyType::from),
                role: self.role.map(Role::from),
                permissions,
                servers,
                tenants,
                rate_limit,
                expires_at,
            }),
            _ => Err(errors),
        }
    }
}

/// Creates a key that belongs to you. The token in the answer is shown this once.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_api_key", tag = "api-keys", request_body = NewKeyRequest,
    params(OnceHeader),
    responses((status = 201, description = "The key and its token.", body = CreatedAnswerShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/api-keys")]
pub async fn create_api_key(
    allowed: Allowed<ApiKeysWrite>,
    services: Data<Services>,
    once: Once,
    body: Body<NewKeyRequest>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let request = body.parse()?;
    let scope = (**allowed).clone();
    let shared = services.clone();
    let made = once.make(&shared, &scope, &bytes, async move {
        let event = allowed.event("key.create", AuditTarget::Organization);
        let CreatedKey { record, token } = services.keys.create(&allowed, request, event).await?;
        let view = services.keys.view(record).await?;
        let token = token.reveal().expose_secret().to_owned();
        let shown = CreatedAnswerShape::First(CreatedShape { api_key: ApiKeyShape::from(&view), token });
        // What is kept for a repetition is the answer without the token, which is shown once.
        let kept = CreatedBeforeShape { api_key: ApiKeyShape::from(&view), token: None };
        let kept = CreatedAnswerShape::Again(kept);
        Made::keeping(StatusCode::CREATED, &shown, &kept)
    });
    let mut response = made.await?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
