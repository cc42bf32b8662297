//! Introducing Keyrack to an authorization server that takes clients by itself (RFC 7591), or using the client that the
//! operator of a server registered there.

use domain::time::Timestamp;
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use url::{Host, Url};

use super::ask::Ask;
use super::metadata::AuthorizationServer;
use super::token::refusal;
use super::{AuthMethod, CLIENT_NAME, ClientIdentity, Discovered, OAuthClient, OAuthFault, Step, metadata};

/// A client as an authorization server registered it.
#[derive(Debug, Clone)]
pub struct Registered {
    /// It.
    pub client: ClientIdentity,
    /// When its secret ends, if it does.
    pub secret_ends: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Information {
    client_id: String,
    client_secret: Option<SecretString>,
    #[serde(default)]
    client_secret_expires_at: Option<i64>,
    token_endpoint_auth_method: Option<String>,
}

impl AuthorizationServer {
    /// The way in which a client with or without a secret authenticates. RFC 8414 means Basic when nothing is said.
    fn method(&self, secret: bool) -> Result<AuthMethod, OAuthFault> {
        let ours = if secret { &[AuthMethod::Basic, AuthMethod::Post][..] } else { &[AuthMethod::None] };
        match &self.auth_methods {
            // A public client is told apart by having no secret, also where `none` is not listed.
            None => Ok(ours[0]),
            Some(offered) => ours.iter().copied().find(|ours| offered.contains(ours)).ok_or(OAuthFault::NoAuthMethod),
        }
    }
}

impl Discovered {
    /// The client that somebody registered by hand, with its secret if it has one. A client belongs to one authorization
    /// server: where its issuer was given, the secret goes to that one alone.
    ///
    /// # Errors
    /// [`OAuthFault::OtherServersClient`], [`OAuthFault::NoAuthMethod`]
    pub fn configured(
        &self,
        id: &str,
        secret: Option<&SecretString>,
        issuer: Option<&str>,
    ) -> Result<ClientIdentity, OAuthFault> {
        if issuer.is_some_and(|issuer| issuer != self.server.issuer) {
            return Err(OAuthFault::OtherServersClient);
        }
        Ok(ClientIdentity { id: id.to_owned(), secret: secret.cloned(), method: self.server.method(secret.is_some())? })
    }
}

impl OAuthClient {
    /// Registers Keyrack.
    ///
    /// # Errors
    /// [`OAuthFault`]; [`OAuthFault::NoClient`] when the server registers nobody
    pub async fn register(&self, discovered: &Discovered) -> Result<Registered, OAuthFault> {
        let step = Step::Registration;
        let server = &discovered.server;
        let endpoint = server.registration_endpoint.clone().ok_or(OAuthFault::NoClient)?;
        let method = server.method(true).or_else(|_| server.method(false))?;
        let mut asked = json!({
            "client_name": CLIENT_NAME,
            "redirect_uris": [&self.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": method.as_str(),
            "application_type": if self.is_local() { "native" } else { "web" },
        });
        if let Some(scope) = &discovered.scope {
            asked["scope"] = json!(scope);
        }
        let reply = self.ask(step, Ask::post(endpoint, "application/json", asked.to_string())).await?;
        if !matches!(reply.status, StatusCode::CREATED | StatusCode::OK) {
            return Err(refusal(step, &reply));
        }
        let given: Information = metadata::read(step, &reply)?;
        let method = match given.token_endpoint_auth_method {
            Some(name) => AuthMethod::named(&name).ok_or(OAuthFault::NoAuthMethod)?,
            None if given.client_secret.is_none() => AuthMethod::None,
            None => method,
        };
        let secret = given.client_secret.filter(|_| method != AuthMethod::None);
        if secret.is_none() && method != AuthMethod::None {
            return Err(OAuthFault::Document { step, what: "a client that must have a secret got none" });
        }
        let ends = given.client_secret_expires_at.filter(|ends| *ends > 0 && secret.is_some());
        Ok(Registered {
            client: ClientIdentity { id: given.client_id, secret, method },
            secret_ends: ends.map(|seconds| Timestamp::from_micros(seconds.saturating_mul(1_000_000))),
        })
    }

    /// OpenID Connect tells clients on a person's own machine from those in the web, and lets only the former come back
    /// to plain http.
    fn is_local(&self) -> bool {
        let url = Url::parse(&self.redirect_uri).ok();
        match url.as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}
