//! The OAuth 2.1 client for connections, as MCP's authorization (2025-11-25 and 2026-07-28) asks for it: where a server
//! sends people is discovered (RFC 9728, RFC 8414), Keyrack registers itself where that is offered (RFC 7591), and tokens
//! come from the authorization code with PKCE, for one resource (RFC 8707).
//!
//! Everything that comes from outside is a claim: each document must speak of what was asked for, and each URL in it
//! passes the egress policy before anything is sent there, people's browsers included. No fault and no log line has a
//! token, a code or a secret in it.
//!
//! Written by hand, since the crate `oauth2` has neither discovery nor registration nor resource indicators, and its
//! error for an answer that it cannot read carries the answer, tokens included.

mod ask;
mod authorization;
mod callback;
mod challenge;
mod consents;
mod discovery;
mod fault;
mod granted;
mod metadata;
mod registration;
mod renewals;
mod scope;
mod token;
mod well_known;
mod wire;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::egress::{EgressPolicy, VettedUrl};
use secrecy::SecretString;

pub use self::ask::{ANSWER_MAX, Ask, HttpFault, OAuthHttp, PATIENCE, Reads, Reply};
pub use self::authorization::Begun;
pub use self::callback::{Callback, CallbackFault};
pub use self::consents::{ConsentFault, Consents, KnownClient, Pending};
pub use self::discovery::Discovered;
pub use self::fault::{OAuthFault, Step};
pub use self::metadata::{AuthMethod, AuthorizationServer};
pub use self::registration::Registered;
pub use self::renewals::OAuthRenewals;
pub use self::token::TokenSet;

/// What Keyrack is called where people give their consent.
const CLIENT_NAME: &str = "Keyrack";

/// Keyrack as a client of authorization servers.
pub struct OAuthClient {
    http: Arc<dyn OAuthHttp>,
    egress: Arc<EgressPolicy>,
    redirect_uri: String,
}

/// How Keyrack is known to one authorization server.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The client id.
    pub id: String,
    /// The secret, of a client that has one.
    pub secret: Option<SecretString>,
    /// How it proves itself at the token endpoint.
    pub method: AuthMethod,
}

/// Where tokens of one grant come from, and for what: all that a refresh needs beside the refresh token.
#[derive(Debug, Clone)]
pub struct TokenSource {
    /// The authorization server's token endpoint.
    pub endpoint: VettedUrl,
    /// The resource that tokens are for.
    pub resource: String,
    /// The client that they are for.
    pub client: ClientIdentity,
}

impl OAuthClient {
    /// A client whose people come back to `redirect_uri`.
    #[must_use]
    pub const fn new(http: Arc<dyn OAuthHttp>, egress: Arc<EgressPolicy>, redirect_uri: String) -> Self {
        Self { http, egress, redirect_uri }
    }

    /// Vets a URL that somebody else's document names.
    fn vet(&self, step: Step, text: &str) -> Result<VettedUrl, OAuthFault> {
        self.egress.vet(text).map_err(|refusal| OAuthFault::Egress { step, refusal })
    }
}
