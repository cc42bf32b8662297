//! A server as clients see it. Its credential is never shown.

use domain::access::TenantScope;
use domain::capability::{Change, Offer, ToolLine};
use domain::organization::Feature;
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
    /// Its tools, as it listed them when it was last synced; none before.
    tools: Vec<ToolShape>,
    /// When it was last asked what it offers, RFC 3339 UTC.
    synced_at: Option<String>,
    /// How what it offers differed then from the time before, what to look at first in front.
    changes: Vec<ChangeShape>,
    /// When it was registered, RFC 3339 UTC.
    created_at: String,
}

/// A tool of a server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ToolShape {
    /// What it is called by.
    #[schema(example = "add_note")]
    name: String,
    /// Name for people.
    title: Option<String>,
    /// What it is for, in the server's words.
    description: Option<String>,
    /// What it says of its effects.
    annotations: AnnotationsShape,
    /// `offered`, or `awaiting_approval`: the organization wants changed tools approved (`tool_approval`), and nobody has
    /// approved it as it is.
    #[schema(example = "offered")]
    status: &'static str,
    /// What an approval is of: 64 hexadecimal digits, others when its schema or its word of its effects is another.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    fingerprint: String,
}

/// What a tool says of its effects; null where it says nothing, which means the worst.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the protocol's names")]
pub struct AnnotationsShape {
    /// It changes nothing.
    read_only_hint: Option<bool>,
    /// What it changes may be lost.
    destructive_hint: Option<bool>,
    /// Calling it again changes nothing more.
    idempotent_hint: Option<bool>,
    /// It deals with things outside of the server.
    open_world_hint: Option<bool>,
}

/// How something that a server offers differs from the time before.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeShape {
    /// `added`, `new_destructive`, `removed`, `text_changed`, `schema_changed` or `became_destructive`.
    #[schema(example = "schema_changed")]
    change: &'static str,
    /// `harmless` (text), `changed` or `dangerous` (it may destroy something).
    #[schema(example = "changed")]
    grade: &'static str,
    /// `tool`, `prompt`, `resource` or `resource_template`.
    #[schema(example = "tool")]
    kind: &'static str,
    /// A tool's or prompt's name, a resource's URI.
    #[schema(example = "add_note")]
    name: String,
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
            tools: vec![],
            synced_at: None,
            changes: vec![],
            created_at: time(server.created_at),
        }
    }

    /// The same, with what it offers, if it was ever asked.
    #[must_use]
    pub fn offering(self, scope: &TenantScope, offer: Option<&Offer>) -> Self {
        let Some(offer) = offer else { return self };
        let approval = scope.organization().features.contains(Feature::ToolApproval);
        let tool = |tool: &ToolLine| ToolShape {
            name: tool.name.clone(),
            title: tool.title.clone(),
            description: tool.description.clone(),
            annotations: AnnotationsShape {
                read_only_hint: tool.annotations.read_only_hint,
                destructive_hint: tool.annotations.destructive_hint,
                idempotent_hint: tool.annotations.idempotent_hint,
                open_world_hint: tool.annotations.open_world_hint,
            },
            status: if offer.offers(tool, approval) { "offered" } else { "awaiting_approval" },
            fingerprint: tool.fingerprint.into(),
        };
        let change = |change: &Change| ChangeShape {
            change: change.change.as_str(),
            grade: change.change.grade().as_str(),
            kind: change.kind.as_str(),
            name: change.name.clone(),
        };
        Self {
            tools: offer.tools.iter().map(tool).collect(),
            synced_at: Some(time(offer.synced_at)),
            changes: offer.changes.iter().map(change).collect(),
            ..self
        }
    }
}
