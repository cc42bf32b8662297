//! How a server wants to be authenticated to, and whose credential it gets.

use secrecy::SecretString;

/// How an upstream server wants to be authenticated to.
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
    /// `Authorization: Bearer <access token>`, which an authorization server gave (OAuth 2.1).
    OAuth2,
}

impl AuthKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::None, Self::Bearer, Self::Header, Self::Basic, Self::OAuth2];

    /// The kind's name in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Header => "header",
            Self::Basic => "basic",
            Self::OAuth2 => "oauth2",
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
    /// One of the organization, for all callers.
    Organization,
    /// Each tenant's own: its connection.
    Tenant,
}

impl AuthScope {
    /// The scope's name in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Tenant => "tenant",
        }
    }

    /// The scope with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Organization, Self::Tenant].into_iter().find(|scope| scope.as_str() == name)
    }
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

/// What each tenant's connection has to bring.
#[derive(Debug, Clone)]
pub enum TenantAuth {
    /// A bearer token.
    Bearer,
    /// A value for this header, in lower case.
    Header {
        /// The header's name.
        name: String,
    },
    /// User name and password.
    Basic,
    /// The consent of an account's owner (OAuth 2.1).
    OAuth2(OAuthClient),
}

impl TenantAuth {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> AuthKind {
        match self {
            Self::Bearer => AuthKind::Bearer,
            Self::Header { .. } => AuthKind::Header,
            Self::Basic => AuthKind::Basic,
            Self::OAuth2(_) => AuthKind::OAuth2,
        }
    }
}

/// What the organization knows of Keyrack as a client of the server's authorization server.
#[derive(Debug, Clone, Default)]
pub struct OAuthClient {
    /// The client id; none to be registered dynamically (RFC 7591).
    pub id: Option<String>,
    /// The client's secret; none for a public client.
    pub secret: Option<SecretString>,
    /// What to ask for; what the server says when there is none.
    pub scopes: Vec<String>,
}

/// How a server is authenticated to.
#[derive(Debug, Clone)]
pub enum ServerAuth {
    /// With the organization's credential, whoever calls.
    Organization(UpstreamAuth),
    /// With the connection of the tenant that calls.
    Tenant(TenantAuth),
}

impl ServerAuth {
    /// Whose credential it is.
    #[must_use]
    pub const fn scope(&self) -> AuthScope {
        match self {
            Self::Organization(_) => AuthScope::Organization,
            Self::Tenant(_) => AuthScope::Tenant,
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> AuthKind {
        match self {
            Self::Organization(auth) => auth.kind(),
            Self::Tenant(auth) => auth.kind(),
        }
    }

    /// The header's name, for kind `header`.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Organization(UpstreamAuth::Header { name, .. }) | Self::Tenant(TenantAuth::Header { name }) => {
                Some(name)
            }
            Self::Organization(UpstreamAuth::None | UpstreamAuth::Bearer(_) | UpstreamAuth::Basic { .. })
            | Self::Tenant(TenantAuth::Bearer | TenantAuth::Basic | TenantAuth::OAuth2(_)) => None,
        }
    }

    /// Whether the organization's own secret is in it, which must not go to another place than the one it was given for.
    #[must_use]
    pub const fn holds_secret(&self) -> bool {
        match self {
            Self::Organization(UpstreamAuth::None) => false,
            Self::Organization(_) => true,
            // A client's secret goes to the authorization server that the server names.
            Self::Tenant(TenantAuth::OAuth2(client)) => client.secret.is_some(),
            Self::Tenant(_) => false,
        }
    }
}
