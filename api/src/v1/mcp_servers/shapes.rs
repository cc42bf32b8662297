//! A server as clients see it. Its credential is never shown.

use domain::server::model::SharedServer;
use domain::server::{ServerStatus, UpstreamAuth};
use serde::Serialize;
use utoipa::ToSchema;

use crate::v1::api_keys::RateLimitShape;
use crate::v1::time;

/// A registered MCP server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerShape {
    /// `mcp_…`
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Name for addresses: `/mcp-connect/{slug}/mcp`.
    #[schema(example = "notes")]
    slug: String,
    /// Name for people.
    #[schema(example = "Notes")]
    name: String,
    /// A longer explanation.
    description: Option<String>,
    /// Where its MCP endpoint is.
    #[schema(example = "https://mcp.example.com/mcp")]
    url: String,
    /// How it is authenticated to.
    auth: AuthShape,
    /// Words to group it by.
    categories: Vec<String>,
    /// Arguments that its tools may take although their names are those of secrets.
    allowed_secret_fields: Vec<String>,
    /// The limit of all calls to it.
    #[serde(rename = "rateLimit")]
    rate_limit: Option<RateLimitShape>,
    /// `active` or `archived`.
    status: &'static str,
    /// When it was registered, RFC 3339 UTC.
    created_at: String,
}

/// How a server is authenticated to.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthShape {
    /// `none`, `bearer`, `header` or `basic`.
    kind: &'static str,
    /// `organization`: one credential for all of its callers.
    scope: &'static str,
    /// The header's name, for kind `header`.
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
}

impl From<&SharedServer> for ServerShape {
    fn from(server: &SharedServer) -> Self {
        Self {
            id: server.id.to_string(),
            slug: server.slug.to_string(),
            name: server.name.to_string(),
            description: server.description.as_ref().map(ToString::to_string),
            url: server.url.as_url().to_string(),
            auth: AuthShape {
                kind: server.auth.kind().as_str(),
                scope: "organization",
                header: match &server.auth {
                    UpstreamAuth::Header { name, .. } => Some(name.clone()),
                    UpstreamAuth::None | UpstreamAuth::Bearer(_) | UpstreamAuth::Basic { .. } => None,
                },
            },
            categories: server.categories.clone(),
            allowed_secret_fields: server.allowed_secret_fields.iter().map(ToString::to_string).collect(),
            rate_limit: server.rate_limit.map(RateLimitShape::from),
            status: ServerStatus::as_str(server.status),
            created_at: time(server.created_at),
        }
    }
}
