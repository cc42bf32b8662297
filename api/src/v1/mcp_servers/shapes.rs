//! A server as clients see it. Its credential is never shown.

use domain::server::ServerStatus;
use domain::server::health::Health;
use domain::server::model::SharedServer;
use domain::server::timeouts::Timeouts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::AuthShape;
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
    /// How long it may take.
    timeouts: TimeoutsShape,
    /// `active` or `archived`.
    status: &'static str,
    /// How it does.
    health: HealthShape,
    /// When it was registered, RFC 3339 UTC.
    created_at: String,
}

/// How long a server may take, in milliseconds; null for the installation's default. A call as a whole has no limit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeoutsShape {
    /// For a connection to it.
    #[serde(default)]
    #[schema(minimum = 100, maximum = 60_000, example = 5_000)]
    pub connect_ms: Option<u32>,
    /// For silence, before its answer and within it.
    #[serde(default)]
    #[schema(minimum = 1_000, maximum = 86_400_000, example = 300_000)]
    pub idle_ms: Option<u32>,
}

impl From<Timeouts> for TimeoutsShape {
    fn from(timeouts: Timeouts) -> Self {
        Self { connect_ms: timeouts.connect_ms(), idle_ms: timeouts.idle_ms() }
    }
}

/// How a server does, as calls through this node found out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthShape {
    /// `up`, `failing` (the last call failed), `down` (it failed repeatedly and is left alone for a moment), or `unknown`
    /// (nobody called it since the node started).
    #[schema(example = "up")]
    state: &'static str,
    /// When a call last told something of it, RFC 3339 UTC.
    checked_at: Option<String>,
    /// How the last call failed.
    detail: Option<String>,
}

impl From<Health> for HealthShape {
    fn from(health: Health) -> Self {
        Self { state: health.state.as_str(), checked_at: health.checked_at.map(time), detail: health.detail }
    }
}

impl ServerShape {
    /// A server, and what this node knows of how it does.
    #[must_use]
    pub fn new(server: &SharedServer, health: Health) -> Self {
        Self {
            id: server.id.to_string(),
            slug: server.slug.to_string(),
            name: server.name.to_string(),
            description: server.description.as_ref().map(ToString::to_string),
            url: server.url.as_url().to_string(),
            auth: (&server.auth).into(),
            categories: server.categories.clone(),
            allowed_secret_fields: server.allowed_secret_fields.iter().map(ToString::to_string).collect(),
            rate_limit: server.rate_limit.map(RateLimitShape::from),
            timeouts: server.timeouts.into(),
            status: ServerStatus::as_str(server.status),
            health: health.into(),
            created_at: time(server.created_at),
        }
    }
}
