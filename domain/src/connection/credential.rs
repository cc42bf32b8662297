//! What a connection brings to its server.

use secrecy::SecretString;

use crate::egress::VettedUrl;
use crate::server::{AuthKind, UpstreamAuth};
use crate::time::Timestamp;

/// A tenant's credential. It cannot be printed.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A bearer token.
    Bearer(SecretString),
    /// A value for the header that the server names.
    Header(SecretString),
    /// User name and password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// What an authorization server granted.
    OAuth(Box<OAuthGrant>),
}

/// What an authorization server granted, and what it takes to have it renewed (OAuth 2.1).
#[derive(Debug, Clone)]
pub struct OAuthGrant {
    /// The access token.
    pub access: SecretString,
    /// When it is sent no more; none when the server did not say how long it lasts.
    pub expires_at: Option<Timestamp>,
    /// When it is time to renew it, which is before.
    pub renew_at: Option<Timestamp>,
    /// What renews it; none when it cannot be.
    pub refresh: Option<SecretString>,
    /// Where it is renewed.
    pub token_endpoint: VettedUrl,
    /// The resource that it is for (RFC 8707).
    pub resource: String,
    /// The client that it was granted to.
    pub client_id: String,
    /// How that client authenticates.
    pub client_auth: ClientAuth,
}

impl OAuthGrant {
    /// Whether it can be renewed, and it is time to.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.refresh.is_some() && self.renew_at.is_some_and(|due| due <= now)
    }

    /// Whether it cannot be sent any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// How a client authenticates at the token endpoint (RFC 7591, `token_endpoint_auth_method`).
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// `none`: a public client.
    None,
    /// `client_secret_basic`
    Basic(SecretString),
    /// `client_secret_post`
    Post(SecretString),
}

impl Credential {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> AuthKind {
        match self {
            Self::Bearer(_) => AuthKind::Bearer,
            Self::Header(_) => AuthKind::Header,
            Self::Basic { .. } => AuthKind::Basic,
            Self::OAuth(_) => AuthKind::OAuth2,
        }
    }

    /// What was granted, for kind `oauth2`.
    #[must_use]
    pub const fn grant(&self) -> Option<&OAuthGrant> {
        match self {
            Self::OAuth(grant) => Some(grant),
            Self::Bearer(_) | Self::Header(_) | Self::Basic { .. } => None,
        }
    }

    /// What is sent; `header` is the name that the server gives, for kind `header`. None when the server has no such name
    /// any more.
    #[must_use]
    pub fn upstream(&self, header: Option<&str>) -> Option<UpstreamAuth> {
        Some(match self {
            Self::Bearer(secret) => UpstreamAuth::Bearer(secret.clone()),
            Self::Header(value) => UpstreamAuth::Header { name: header?.to_owned(), value: value.clone() },
            Self::Basic { username, password } => {
                UpstreamAuth::Basic { username: username.clone(), password: password.clone() }
            }
            Self::OAuth(grant) => UpstreamAuth::Bearer(grant.access.clone()),
        })
    }
}
