//! A connection as data.

use std::sync::Arc;

use super::credential::Credential;
use super::holder::Holder;
use crate::id::{ConnectionId, OrganizationId, ServerId};
use crate::server::{AuthKind, ServerAuth, ServerRecord};
use crate::time::Timestamp;

/// Whether a connection does what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// As far as is known.
    Connected,
    /// It cannot be renewed, or was made for what the server no longer is.
    NeedsReconnect,
}

impl ConnectionStatus {
    /// The status's name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::NeedsReconnect => "needs_reconnect",
        }
    }
}

/// One tenant's credential for one server.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The id.
    pub id: ConnectionId,
    /// The organization.
    pub organization: OrganizationId,
    /// Whose it is.
    pub holder: Holder,
    /// For which server.
    pub server: ServerId,
    /// The origin (RFC 6454) that it was given for: it goes nowhere else, whoever changes the server's url.
    pub origin: String,
    /// What is sent.
    pub credential: Credential,
    /// Whether it could be renewed when it was last tried.
    pub refused: bool,
    /// When it was made, or made anew.
    pub created_at: Timestamp,
    /// When it was last sent.
    pub last_used_at: Option<Timestamp>,
}

/// Shared by every call that uses it until it changes.
pub type SharedConnection = Arc<Connection>;

impl Connection {
    /// Whether it can be sent to the server as the server is now.
    #[must_use]
    pub fn status(&self, server: &ServerRecord) -> ConnectionStatus {
        let fits = match &server.auth {
            ServerAuth::Tenant(auth) => auth.kind() == self.kind(),
            ServerAuth::Organization(_) => false,
        };
        if fits && !self.refused && self.origin == server.origin() {
            ConnectionStatus::Connected
        } else {
            ConnectionStatus::NeedsReconnect
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> AuthKind {
        self.credential.kind()
    }
}
