//! A connection as its tenant sees it.

use domain::access::TenantScope;
use domain::connection::service::Connected;
use domain::tenant::{Tenant, TenantText};
use serde::Serialize;
use utoipa::ToSchema;

use crate::v1::time;

/// A tenant's credential for a server, without the credential.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionShape {
    /// `con_…`; another one when the connection is made anew.
    #[schema(example = "con_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// For which server.
    server: ConnectedServerShape,
    /// Whose it is.
    tenant: ConnectionTenantShape,
    /// `bearer`, `header`, `basic` or `oauth2`.
    #[schema(example = "bearer")]
    kind: &'static str,
    /// `connected`, or `needs_reconnect`: it could not be renewed, or the server now takes another kind or is elsewhere.
    #[schema(example = "connected")]
    status: &'static str,
    /// When it was made, RFC 3339 UTC.
    created_at: String,
    /// When a call last used it, exact to a minute.
    last_used_at: Option<String>,
}

/// The server of a connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectedServerShape {
    /// `mcp_…`
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Name for addresses.
    #[schema(example = "notes")]
    slug: String,
    /// Name for people.
    #[schema(example = "Notes")]
    name: String,
}

/// Whose a connection is, in your own words: both null for a person's own.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionTenantShape {
    /// The tenant org.
    #[schema(example = "globex")]
    org: Option<String>,
    /// The tenant user.
    #[schema(example = "marina")]
    user: Option<String>,
}

impl From<&Tenant> for ConnectionTenantShape {
    fn from(tenant: &Tenant) -> Self {
        let text = |text: Option<&TenantText>| text.map(|text| text.as_str().to_owned());
        Self { org: text(tenant.org()), user: text(tenant.user()) }
    }
}

impl ConnectionShape {
    /// A connection of the tenant that the request speaks for.
    #[must_use]
    pub fn new(connected: &Connected, scope: &TenantScope) -> Self {
        let Connected { connection, server } = connected;
        Self {
            id: connection.id.to_string(),
            server: ConnectedServerShape {
                id: server.id.to_string(),
                slug: server.slug.to_string(),
                name: server.name.to_string(),
            },
            tenant: scope.tenant().into(),
            kind: connection.kind().as_str(),
            status: connection.status(server).as_str(),
            created_at: time(connection.created_at),
            last_used_at: connection.last_used_at.map(time),
        }
    }
}
