//! The API document: made by utoipa from the routes themselves, committed under `openapi/`, kept true by a test.

use actix_web::web::Data;
use actix_web::{App, HttpResponse};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa::{IntoParams, OpenApi as _};
use utoipa_actix_web::{AppExt, scope};

use crate::routes;

/// The optional tenant parameters of routes outside the tenant surfaces.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by utoipa alone")]
pub struct TenantQuery {
    /// A tenant org, for platform keys; one's own organization for others.
    #[param(min_length = 1, max_length = 128, required = false)]
    org_id: Option<String>,
    /// A tenant user, for client and platform keys; one's own id for others.
    #[param(min_length = 1, max_length = 128, required = false)]
    user_id: Option<String>,
}

#[derive(utoipa::OpenApi)]
#[openapi(tags(
    (name = "auth", description = "Signing up, in and out."),
    (name = "identity", description = "Who is calling."),
    (name = "organization", description = "Members and invitations. Only people manage people."),
    (name = "api-keys", description = "API keys: solo, client and platform. Only people manage keys."),
    (name = "admin", description = "The installation as a whole, for instance admins."),
    (name = "mcp-servers", description = "Registered upstream MCP servers."),
    (name = "connections", description = "The tenant's own credentials for servers."),
    (name = "access", description = "Who reaches which servers: policies, and the groups that they name."),
    (name = "projects", description = "Named parts of the organization, which narrow what is seen."),
    (name = "workflows", description = "Ordered calls of servers' tools with what is expected of each answer, in versions."),
    (name = "decisions", description = "Whether a token is good, and how a request would be decided."),
    (name = "tenants", description = "Customers' organizations and end users below yours."),
    (name = "usage", description = "Calls and errors per key and server."),
    (name = "insights", description = "What is told from the organization's calls. Needs the feature `mcp_analytics`."),
    (name = "audit", description = "Who did what, and how it ended."),
    (name = "system", description = "Probes, and keys for upstream servers.")
))]
struct Tags;

/// The document of everything that the routes declare.
#[must_use]
pub fn document() -> OpenApi {
    let (_, described) = App::new()
        .into_utoipa_app()
        .openapi(OpenApi::default())
        .service(scope("/api/v1").configure(routes::rest))
        .configure(routes::outside)
        .split_for_parts();
    let info = InfoBuilder::new()
        .title("Keyrack")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "API keys for MCP servers. The same routes answer under `/api`. The gateway, \
             `/mcp-connect/{server}/mcp`, speaks MCP and is not described here.",
        ))
        .contact(Some(ContactBuilder::new().name(Some("Keyrack")).build()))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let mut document = OpenApiBuilder::from(described).info(info).tags(Tags::openapi().tags).build();
    let components = document.components.get_or_insert_default();
    let header =
        |description| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-API-Key", description)));
    let bearer = |description: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build())
    };
    let schemes = [
        ("api_key", header("An API key.")),
        ("api_key_bearer", bearer("The same API key, as a bearer token.")),
        ("access_token", bearer("A person's access token (a JWT), from sign-in.")),
    ];
    components.security_schemes.extend(schemes.map(|(name, scheme)| (name.to_owned(), scheme.into())));
    document
}

/// The committed form: pretty JSON and a newline.
///
/// # Errors
/// When the document cannot be written as JSON.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(document().to_pretty_json()? + "\n")
}

/// The document's text, made once.
pub struct DocumentText(pub String);

/// `GET /api/v1/openapi.json`
pub async fn serve(text: Data<DocumentText>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text.0.clone())
}
