//! From an MCP server's URL to the authorization server that gives tokens for it.

use bytes::Bytes;
use domain::egress::VettedUrl;
use http::StatusCode;
use http::header::{ACCEPT, HeaderValue};
use url::Url;

use super::ask::{Ask, Reads, Reply};
use super::challenge::Challenge;
use super::metadata::{self, AuthorizationServer, ResourceMetadata, ServerMetadata};
use super::{OAuthClient, OAuthFault, Step, scope, well_known};

/// The first message of a session, which every server of MCP knows; one that needs a token says so.
const PROBE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"Keyrack","version":"1"}}}"#;

/// What was found out about a server.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// What tokens are asked for (RFC 8707).
    pub resource: String,
    /// The scopes that the server asks for, if it says so.
    pub scope: Option<String>,
    /// Who gives tokens.
    pub server: AuthorizationServer,
}

impl OAuthClient {
    /// Finds out who gives tokens for an MCP server: by what it says when it is asked without one, else by its metadata
    /// in the places that the standard names. Nothing is sent but the question.
    ///
    /// # Errors
    /// [`OAuthFault`]
    pub async fn discover(&self, server: &VettedUrl) -> Result<Discovered, OAuthFault> {
        let challenge = self.challenge(server).await?;
        let url = server.as_url();
        let document = match &challenge.resource_metadata {
            Some(place) => Some(self.document(Step::ResourceMetadata, self.vet(Step::ResourceMetadata, place)?).await?),
            None => self.first(Step::ResourceMetadata, &well_known::of_resource(url)).await?,
        };
        let (resource, issuer, supported) = match document {
            Some(reply) => {
                let found: ResourceMetadata = metadata::read(Step::ResourceMetadata, &reply)?;
                if !found.describes(url) {
                    return Err(OAuthFault::OtherResource);
                }
                let issuer = found.authorization_servers.into_iter().next().ok_or(OAuthFault::Document {
                    step: Step::ResourceMetadata,
                    what: "it names no authorization server",
                })?;
                (found.resource, issuer, found.scopes_supported)
            }
            // Servers from before RFC 9728 are their own authorization servers.
            None => (canonical(url), url.origin().ascii_serialization(), vec![]),
        };
        let supported = supported.iter().map(String::as_str);
        let scope = match &challenge.scope {
            Some(asked) => scope::list(Step::Probe, [asked.as_str()])?,
            None => scope::list(Step::ResourceMetadata, supported)?,
        };
        let server = self.authorization_server(&issuer).await?;
        Ok(Discovered { resource, scope: scope::lasting(scope, &server.scopes), server })
    }

    async fn challenge(&self, server: &VettedUrl) -> Result<Challenge, OAuthFault> {
        let mut ask = Ask::post(server.clone(), "application/json", Bytes::from_static(PROBE.as_bytes()));
        ask.headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        ask.reads = Reads::Head;
        let reply = self.ask(Step::Probe, ask).await?;
        if reply.status.is_server_error() {
            return Err(OAuthFault::Status { step: Step::Probe, status: reply.status });
        }
        Ok(if reply.status == StatusCode::UNAUTHORIZED { Challenge::of(&reply.headers) } else { Challenge::default() })
    }

    async fn authorization_server(&self, issuer: &str) -> Result<AuthorizationServer, OAuthFault> {
        let issuer = self.vet(Step::ServerMetadata, issuer)?;
        let issuer = issuer.as_url();
        if issuer.query().is_some() {
            return Err(OAuthFault::Document { step: Step::ServerMetadata, what: "an issuer has no query" });
        }
        let reply = self.first(Step::ServerMetadata, &well_known::of_issuer(issuer)).await?;
        let reply = reply.ok_or(OAuthFault::NotOffered)?;
        metadata::read::<ServerMetadata>(Step::ServerMetadata, &reply)?.check(self, issuer)
    }

    /// The first document that is there.
    async fn first(&self, step: Step, places: &[Url]) -> Result<Option<Reply>, OAuthFault> {
        for place in places {
            match self.document(step, self.vet(step, place.as_str())?).await {
                Ok(reply) => return Ok(Some(reply)),
                // Not here. A server that is down has not said so.
                Err(OAuthFault::Status { status, .. }) if status.is_client_error() => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    async fn document(&self, step: Step, url: VettedUrl) -> Result<Reply, OAuthFault> {
        let reply = self.ask(step, Ask::document(url)).await?;
        if reply.status == StatusCode::OK { Ok(reply) } else { Err(OAuthFault::Status { step, status: reply.status }) }
    }

    pub(super) async fn ask(&self, step: Step, ask: Ask) -> Result<Reply, OAuthFault> {
        self.http.send(ask).await.map_err(|fault| OAuthFault::Http { step, fault })
    }
}

/// A server's URL as a resource: without query, and without a slash that only says "root".
fn canonical(server: &Url) -> String {
    let mut url = server.clone();
    url.set_query(None);
    match url.path() {
        "/" => url.origin().ascii_serialization(),
        _ => url.to_string(),
    }
}
