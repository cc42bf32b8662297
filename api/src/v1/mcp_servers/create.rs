//! `POST /mcp-servers`

use actix_web::http::StatusCode;
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
use domain::server::{ServerAuth, UpstreamAuth};
use domain::text::Slug;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::auth::NewAuth;
use super::shapes::{ServerShape, TimeoutsShape};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
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
            None => Some(ServerAuth::Organization(UpstreamAuth::None)),
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
