//! `POST /mcp-servers`

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::ServersWrite;
use domain::audit::AuditTarget;
use domain::egress::EgressPolicy;
use domain::field::FieldErrors;
use domain::guard::{AllowedField, AllowedFields};
use domain::server::change::TimeoutChange;
use domain::server::service::ServerRequest;
use domain::server::timeouts::Timeouts;
use domain::server::{AuthKind, UpstreamAuth};
use domain::text::Slug;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{ServerShape, TimeoutsShape};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::gateway::passport::credential;
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::api_keys::RateLimitShape;
use crate::v1::{BodyRefusals, Refusals};

/// Most words to group a server by.
pub(super) const CATEGORIES_MAX: u64 = 20;
const CATEGORY_MAX: usize = 50;
const ALLOWED_FIELDS_MAX: usize = 100;

/// A server to register.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewServer {
    /// Name for people.
    #[schema(example = "Notes", min_length = 1, max_length = 100)]
    name: String,
    /// Where its MCP endpoint (Streamable HTTP) is: https, or an address in a network that the operator allowed.
    #[schema(example = "https://mcp.example.com/mcp", max_length = 2048)]
    url: String,
    /// Name for addresses; made from the name when not given.
    #[schema(example = "notes", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    slug: Option<String>,
    /// A longer explanation.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// How to authenticate to it; not at all when not given.
    #[validate(nested)]
    auth: Option<NewAuth>,
    /// Words to group it by.
    #[schema(max_items = 20, example = json!(["productivity"]))]
    #[validate(length(max = CATEGORIES_MAX, message = "must be at most 20"))]
    categories: Option<Vec<String>>,
    /// Arguments that its tools may take although their names are those of secrets: a field's name, or names with dots
    /// between them for a place.
    #[schema(max_items = 100, example = json!(["password", "db.token"]))]
    allowed_secret_fields: Option<Vec<String>>,
    /// A limit of all calls to it, whichever keys of the organization make them; none when not given.
    #[serde(rename = "rateLimit")]
    rate_limit: Option<RateLimitShape>,
    /// How long it may take; the installation's defaults when not given.
    timeouts: Option<TimeoutsShape>,
}

/// How to authenticate to a server.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewAuth {
    /// `none`, `bearer`, `header` or `basic`.
    kind: AuthKindName,
    /// `organization`: one credential for all of its callers. The default.
    scope: Option<AuthScopeName>,
    /// The header's name, for kind `header`.
    #[schema(example = "X-Service-Token", max_length = 100)]
    header: Option<String>,
    /// The token, the header's value or the password. Sealed at once and never shown again.
    #[schema(value_type = Option<String>, format = Password, max_length = 8192)]
    secret: Option<SecretString>,
    /// The user name, for kind `basic`.
    #[schema(max_length = 256)]
    username: Option<String>,
}

/// The kinds of authentication.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthKindName {
    /// Not at all.
    None,
    /// `Authorization: Bearer`
    Bearer,
    /// A header of its own.
    Header,
    /// `Authorization: Basic`
    Basic,
}

/// Whose credential a server gets.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthScopeName {
    /// The organization's.
    Organization,
}

impl From<AuthKindName> for AuthKind {
    fn from(name: AuthKindName) -> Self {
        match name {
            AuthKindName::None => Self::None,
            AuthKindName::Bearer => Self::Bearer,
            AuthKindName::Header => Self::Header,
            AuthKindName::Basic => Self::Basic,
        }
    }
}

impl NewAuth {
    /// Checks it; `auth` is where the shape stands in requests.
    pub(super) fn parse(self, errors: &mut FieldErrors) -> Option<UpstreamAuth> {
        let AuthScopeName::Organization = self.scope.unwrap_or(AuthScopeName::Organization);
        let kind = AuthKind::from(self.kind);
        let unneeded = [
            ("auth.header", self.header.is_some() && kind != AuthKind::Header),
            ("auth.username", self.username.is_some() && kind != AuthKind::Basic),
            ("auth.secret", self.secret.is_some() && kind == AuthKind::None),
        ];
        for (field, _) in unneeded.iter().filter(|(_, unneeded)| *unneeded) {
            errors.add(*field, format!("does not go with kind {}", kind.as_str()));
        }
        if kind == AuthKind::None {
            return Some(UpstreamAuth::None);
        }
        let secret = self.secret.filter(|secret| !secret.expose_secret().is_empty());
        let Some(secret) = secret else {
            errors.add("auth.secret", format!("is required for kind {}", kind.as_str()));
            return None;
        };
        let auth = match kind {
            AuthKind::None => UpstreamAuth::None,
            AuthKind::Bearer => UpstreamAuth::Bearer(secret),
            AuthKind::Header => UpstreamAuth::Header { name: header_name(self.header, errors)?, value: secret },
            AuthKind::Basic => UpstreamAuth::Basic {
                username: errors.take("auth.username", username(self.username))?,
                password: secret,
            },
        };
        if auth.too_long() || credential(&auth).is_none() {
            errors.add("auth.secret", "must be at most 8192 visible ASCII characters, as it is sent in a header");
            return None;
        }
        Some(auth)
    }
}

trait TooLong {
    fn too_long(&self) -> bool;
}

impl TooLong for UpstreamAuth {
    fn too_long(&self) -> bool {
        const MAX: usize = 8192;
        match self {
            Self::None => false,
            Self::Bearer(secret) | Self::Header { value: secret, .. } | Self::Basic { password: secret, .. } => {
                secret.expose_secret().len() > MAX
            }
        }
    }
}

fn username(username: Option<String>) -> Result<String, &'static str> {
    // RFC 7617, section 2: a user name has no colon.
    match username {
        Some(name)
            if !name.is_empty() && name.len() <= 256 && !name.contains(':') && !name.contains(char::is_control) =>
        {
            Ok(name)
        }
        _ => Err("is required for kind basic: 1 to 256 characters without a colon or control characters"),
    }
}

fn header_name(header: Option<String>, errors: &mut FieldErrors) -> Option<String> {
    // Headers that HTTP or MCP themselves need, or that say who calls.
    const RESERVED: [&str; 14] = [
        "accept",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "last-event-id",
        "mcp-protocol-version",
        "mcp-session-id",
        "te",
        "transfer-encoding",
        "upgrade",
        "x-keyrack-assertion",
    ];
    let parsed = header.as_deref().and_then(|name| name.parse::<HeaderName>().ok());
    match parsed {
        Some(name) if name.as_str().len() <= 100 && !RESERVED.contains(&name.as_str()) => Some(name.to_string()),
        Some(name) => {
            errors.add("auth.header", format!("{name} is reserved"));
            None
        }
        None => {
            errors.add("auth.header", "is required for kind header, for example X-Service-Token");
            None
        }
    }
}

/// Checks the words to group by.
pub(super) fn check_categories(categories: &[String], errors: &mut FieldErrors) {
    for (index, category) in categories.iter().enumerate() {
        if category.is_empty() || category.chars().count() > CATEGORY_MAX || category.chars().any(char::is_control) {
            errors.add(format!("categories[{index}]"), "must be 1 to 50 characters without control characters");
        }
    }
}

/// Reads the arguments that a server may take.
pub(super) fn parse_allowed(names: &[String], errors: &mut FieldErrors) -> AllowedFields {
    if names.len() > ALLOWED_FIELDS_MAX {
        errors.add("allowedSecretFields", format!("must be at most {ALLOWED_FIELDS_MAX}"));
        return AllowedFields::default();
    }
    let parse = |(index, name): (usize, &String)| errors.take(&format!("allowedSecretFields[{index}]"), name.parse());
    names.iter().enumerate().filter_map(parse).collect::<Vec<AllowedField>>().into_iter().collect()
}

impl NewServer {
    fn parse(self, egress: &EgressPolicy) -> Result<ServerRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", self.name.parse());
        let url = errors.take("url", egress.vet(&self.url));
        let slug: Option<Slug> = errors.take_optional("slug", self.slug.map(|slug| slug.parse()));
        let description = errors.take_optional("description", self.description.map(|text| text.parse()));
        let auth = match self.auth {
            None => Some(UpstreamAuth::None),
            Some(auth) => auth.parse(&mut errors),
        };
        let categories = self.categories.unwrap_or_default();
        check_categories(&categories, &mut errors);
        let allowed_secret_fields = parse_allowed(&self.allowed_secret_fields.unwrap_or_default(), &mut errors);
        let rate_limit = self.rate_limit.and_then(|limit| limit.parse(&mut errors));
        let timeouts = self.timeouts.map_or_else(Timeouts::default, |timeouts| {
            TimeoutChange { connect_ms: Some(timeouts.connect_ms), idle_ms: Some(timeouts.idle_ms) }
                .apply(Timeouts::default(), &mut errors)
        });
        match (name, url, auth) {
            (Some(name), Some(url), Some(auth)) if errors.0.is_empty() => Ok(ServerRequest {
                name,
                slug,
                description,
                url,
                auth,
                categories,
                allowed_secret_fields,
                rate_limit,
                timeouts,
            }),
            _ => Err(errors),
        }
    }
}

/// Registers a server.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_mcp_server", tag = "mcp-servers", request_body = NewServer,
    params(OnceHeader, crate::openapi::TenantQuery),
    responses((status = 201, description = "The server is registered.", body = ServerShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/mcp-servers")]
pub async fn create_mcp_server(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    once: Once,
    body: Body<NewServer>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let request = body.parse(&services.egress)?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("server.create", AuditTarget::Organization);
        let server = services.servers.register(&allowed, request, event).await?;
        Made::new(StatusCode::CREATED, &ServerShape::new(&server, services.health.view(server.id)))
    })
    .await
}
