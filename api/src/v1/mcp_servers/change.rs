//! `PATCH /mcp-servers/{server}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::Denied;
use domain::access::permission::ServersWrite;
use domain::audit::AuditTarget;
use domain::egress::EgressPolicy;
use domain::field::FieldErrors;
use domain::server::change::{ServerChange, TimeoutChange};
use domain::server::port::ServerName;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::auth::NewAuth;
use super::create::{CATEGORIES_MAX, check_categories, parse_allowed};
use super::shapes::{ServerShape, TimeoutsShape};
use super::view;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::api_keys::RateLimitShape;
use crate::v1::{BodyRefusals, Refusals, given};

/// What shall be different; fields that are left out stay. The slug never changes: clients know the server by it.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerPatch {
    /// Name for people.
    #[schema(example = "Notes", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// A longer explanation; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Option<Option<String>>,
    /// Where its MCP endpoint (Streamable HTTP) is. Another origin needs `auth` as well, if the server has a credential.
    #[schema(example = "https://mcp.example.com/mcp", max_length = 2048)]
    url: Option<String>,
    /// How to authenticate to it, in place of what there is.
    #[validate(nested)]
    auth: Option<NewAuth>,
    /// Words to group it by, in place of those there are.
    #[schema(max_items = 20, example = json!(["productivity"]))]
    #[validate(length(max = CATEGORIES_MAX, message = "must be at most 20"))]
    categories: Option<Vec<String>>,
    /// Arguments that its tools may take although their names are those of secrets, in place of those there are.
    #[schema(max_items = 100, example = json!(["password", "db.token"]))]
    allowed_secret_fields: Option<Vec<String>>,
    /// A limit of all calls to it; null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<RateLimitShape>)]
    rate_limit: Option<Option<RateLimitShape>>,
    /// How long it may take; null, here or in a field, for the installation's defaults.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<TimeoutsShape>)]
    timeouts: Option<Option<TimeoutsPatch>>,
}

/// What shall be different of a server's times.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TimeoutsPatch {
    #[serde(default, deserialize_with = "given")]
    connect_ms: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given")]
    idle_ms: Option<Option<u32>>,
}

impl ServerPatch {
    fn parse(self, egress: &EgressPolicy) -> Result<ServerChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        let nothing = self.name.is_none()
            && self.description.is_none()
            && self.url.is_none()
            && self.auth.is_none()
            && self.categories.is_none()
            && self.allowed_secret_fields.is_none()
            && self.rate_limit.is_none()
            && self.timeouts.is_none();
        if nothing {
            errors.add("body", "must have a field that shall be different");
        }
        if let Some(categories) = &self.categories {
            check_categories(categories, &mut errors);
        }
        let change = ServerChange {
            name: errors.take_optional("name", self.name.map(|text| text.parse())),
            description: self
                .description
                .map(|text| errors.take_optional("description", text.map(|text| text.parse()))),
            url: errors.take_optional("url", self.url.map(|url| egress.vet(&url))),
            auth: self.auth.and_then(|auth| auth.parse(&mut errors)),
            categories: self.categories,
            allowed_secret_fields: self.allowed_secret_fields.map(|names| parse_allowed(&names, &mut errors)),
            rate_limit: self.rate_limit.map(|limit| limit.and_then(|limit| limit.parse(&mut errors))),
            timeouts: self.timeouts.map(|timeouts| {
                timeouts.map_or(TimeoutChange::DEFAULTS, |timeouts| TimeoutChange {
                    connect_ms: timeouts.connect_ms,
                    idle_ms: timeouts.idle_ms,
                })
            }),
        };
        errors.check()?;
        Ok(change)
    }
}

/// Changes a server; effective on the next request.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "change_mcp_server", tag = "mcp-servers", request_body = ServerPatch,
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The server.", body = ServerShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[patch("/mcp-servers/{server}")]
pub async fn change_mcp_server(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    server: Path<String>,
    body: Body<ServerPatch>,
) -> Result<HttpResponse, Problem> {
    let name = ServerName::parse(&server).ok_or_else(|| Problem::from(Denied::ServerNotFound))?;
    let change = body.read().await?.parse(&services.egress)?;
    let moved = change.url.is_some();
    let view = to_the_end(async move {
        let event = allowed.event("server.change", AuditTarget::Organization);
        let changed = services.servers.change(&allowed, &name, change, event).await;
        let server = allowed.noted(&services, AuditTarget::Organization, changed).await?;
        if moved {
            // What was learned is true of another place.
            services.health.forget(server.id);
        }
        view(&services, &allowed, &server).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(view))
}
