//! A server as data.

use std::sync::Arc;

use secrecy::SecretString;

use super::timeouts::Timeouts;
use crate::egress::VettedUrl;
use crate::guard::AllowedFields;
use crate::id::{OrganizationId, ServerId};
use crate::key::RateLimit;
use crate::text::{Description, Name, Slug};
use crate::time::Timestamp;

/// How the upstream server wants to be authenticated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// Not at all.
    None,
    /// `Authorization: Bearer <secret>`
    Bearer,
    /// A header of its own.
    Header,
    /// `Authorization: Basic <username:secret>`
    Basic,
}

impl AuthKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::None, Self::Bearer, Self::Header, Self::Basic];

    /// The kind's name in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Header => "header",
            Self::Basic => "basic",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Whose credential a server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScope {
    /// One of the organization.
    Organization,
}

/// A credential for an upstream server, ready to be sent. It cannot be printed.
#[derive(Debug, Clone)]
pub enum UpstreamAuth {
    /// None.
    None,
    /// A bearer token.
    Bearer(SecretString),
    /// A value for a header of the server's own.
    Header {
        /// The header's name, in lower case.
        name: String,
        /// Its value.
        value: SecretString,
    },
    /// User name and password (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: SecretString,
    },
}

impl UpstreamAuth {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> AuthKind {
        match self {
            Self::None => AuthKind::None,
            Self::Bearer(_) => AuthKind::Bearer,
            Self::Header { .. } => AuthKind::Header,
            Self::Basic { .. } => AuthKind::Basic,
        }
    }
}

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
    /// The organization's credential for it.
    pub auth: UpstreamAuth,
    /// Whose credential it gets.
    pub scope: AuthScope,
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

/// Shared by every request to the server until it changes.
pub type SharedServer = Arc<ServerRecord>;
