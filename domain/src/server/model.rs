//! A server as data.

use std::sync::Arc;

use super::auth::ServerAuth;
use super::timeouts::Timeouts;
use crate::egress::VettedUrl;
use crate::guard::AllowedFields;
use crate::id::{OrganizationId, ServerId};
use crate::key::RateLimit;
use crate::text::{Description, Name, Slug};
use crate::time::Timestamp;

/// Whether a server takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStatus {
    /// It does.
    Active,
    /// It is put away: kept for the record, reached by nobody.
    Archived,
}

impl ServerStatus {
    /// The status's name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }
}

/// A registered server.
#[derive(Debug, Clone)]
pub struct ServerRecord {
    /// The id.
    pub id: ServerId,
    /// The organization.
    pub organization: OrganizationId,
    /// The name for addresses, unique in the organization.
    pub slug: Slug,
    /// The name for people.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// Where its MCP endpoint is.
    pub url: VettedUrl,
    /// How it is authenticated to.
    pub auth: ServerAuth,
    /// Words to group it by.
    pub categories: Vec<String>,
    /// Arguments that it may take although their names are those of secrets.
    pub allowed_secret_fields: AllowedFields,
    /// The limit of all calls to it, if any.
    pub rate_limit: Option<RateLimit>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Whether it takes calls.
    pub status: ServerStatus,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl ServerRecord {
    /// The origin (RFC 6454) that it is at, in text.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.as_url().origin().ascii_serialization()
    }
}

/// Shared by every request to the server until it changes.
pub type SharedServer = Arc<ServerRecord>;
