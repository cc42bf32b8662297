//! The two documents of a discovery, as they come, and what is taken from them.

use domain::egress::VettedUrl;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::ask::Reply;
use super::{OAuthClient, OAuthFault, Step};

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all: the client is public, PKCE alone protects the code.
    None,
    /// Client id and secret in `Authorization: Basic`.
    Basic,
    /// Client id and secret in the body.
    Post,
}

impl AuthMethod {
    /// The standard's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    /// The method with this name, if it is one of ours.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Basic, Self::Post].into_iter().find(|method| method.as_str() == name)
    }
}

/// What an MCP server says of its authorization (RFC 9728).
#[derive(Deserialize)]
pub(super) struct ResourceMetadata {
    pub(super) resource: String,
    #[serde(default)]
    pub(super) authorization_servers: Vec<String>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
}

impl ResourceMetadata {
    /// Whether it speaks of this server: the same origin, and its path or one above it.
    pub(super) fn describes(&self, server: &Url) -> bool {
        let Ok(resource) = Url::parse(&self.resource) else { return false };
        let above = resource.path().trim_end_matches('/');
        let below = server.path().strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let query = resource.query().is_none() || resource.query() == server.query();
        resource.origin() == server.origin() && below && query && resource.fragment().is_none()
    }
}

/// What an authorization server says of itself (RFC 8414).
#[derive(Deserialize)]
pub(super) struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// An authorization server whose metadata holds.
#[derive(Debug, Clone)]
pub struct AuthorizationServer {
    /// Its name, as its metadata has it.
    pub issuer: String,
    /// Where people give their consent.
    pub authorization_endpoint: VettedUrl,
    /// Where tokens come from.
    pub token_endpoint: VettedUrl,
    /// Where clients register themselves, if they can.
    pub registration_endpoint: Option<VettedUrl>,
    /// Scopes that it knows.
    pub scopes: Vec<String>,
    /// Ways of ours to authenticate at the token endpoint; none when it says nothing.
    pub auth_methods: Option<Vec<AuthMethod>>,
    /// Whether it names itself when people come back (RFC 9207).
    pub names_itself: bool,
}

impl ServerMetadata {
    /// Checks everything that must hold before anybody is sent there.
    pub(super) fn check(self, client: &OAuthClient, expected: &Url) -> Result<AuthorizationServer, OAuthFault> {
        // As URLs, since `https://a.example` and `https://a.example/` have one document; what people bring back must be
        // this text itself.
        if Url::parse(&self.issuer).ok().as_ref() != Some(expected) {
            return Err(OAuthFault::OtherIssuer);
        }
        if !self.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            return Err(OAuthFault::NoPkce);
        }
        let vet = |text: &str| client.vet(Step::ServerMetadata, text);
        let methods = |names: Vec<String>| names.iter().filter_map(|name| AuthMethod::named(name)).collect();
        Ok(AuthorizationServer {
            authorization_endpoint: vet(&self.authorization_endpoint)?,
            token_endpoint: vet(&self.token_endpoint)?,
            registration_endpoint: self.registration_endpoint.as_deref().map(vet).transpose()?,
            scopes: self.scopes_supported,
            auth_methods: self.token_endpoint_auth_methods_supported.map(methods),
            names_itself: self.authorization_response_iss_parameter_supported,
            issuer: self.issuer,
        })
    }
}

/// Reads a document of this step.
pub(super) fn read<T: DeserializeOwned>(step: Step, reply: &Reply) -> Result<T, OAuthFault> {
    serde_json::from_slice(&reply.body).map_err(|_| OAuthFault::Document {
        step,
        what: "the answer is not the JSON document that the standard describes",
    })
}
