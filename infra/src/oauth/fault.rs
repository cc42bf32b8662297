//! Why no token was got. Every message names the step and what would help; none repeats what a server said beyond an
//! error code of the standard's form, since answers of authorization servers may have secrets in them.

use std::fmt;

use domain::egress::EgressRefusal;
use http::StatusCode;

use super::ask::HttpFault;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Asking the MCP server without a credential.
    Probe,
    /// Reading what the MCP server says of its authorization (RFC 9728).
    ResourceMetadata,
    /// Reading what the authorization server says of itself (RFC 8414).
    ServerMetadata,
    /// Registering Keyrack (RFC 7591).
    Registration,
    /// Exchanging the code for tokens.
    Exchange,
    /// Exchanging the refresh token for new ones.
    Refresh,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Probe => "asking the server how to authorize",
            Self::ResourceMetadata => "reading the server's resource metadata",
            Self::ServerMetadata => "reading the authorization server's metadata",
            Self::Registration => "registering with the authorization server",
            Self::Exchange => "exchanging the authorization code",
            Self::Refresh => "refreshing the access token",
        })
    }
}

/// No token, and why.
#[derive(Debug, thiserror::Error)]
pub enum OAuthFault {
    /// Nothing came back, or nothing that could be taken.
    #[error("{step}: no usable answer")]
    Http {
        /// When.
        step: Step,
        /// Why.
        #[source]
        fault: HttpFault,
    },
    /// A document names a URL that we must not send anybody to.
    #[error("{step}: it leads to a URL that is not allowed")]
    Egress {
        /// When.
        step: Step,
        /// Why.
        #[source]
        refusal: EgressRefusal,
    },
    /// An answer with a status that says nothing of the matter.
    #[error("{step}: HTTP status {status}")]
    Status {
        /// When.
        step: Step,
        /// It.
        status: StatusCode,
    },
    /// An answer that is not what the standard describes.
    #[error("{step}: {what}")]
    Document {
        /// When.
        step: Step,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The MCP server's document is about something else, and its tokens would be too.
    #[error(
        "the server's resource metadata describes another resource than the registered URL; register the server \
             by the URL that its metadata names"
    )]
    OtherResource,
    /// The authorization server's document is another server's.
    #[error("the authorization server's metadata names another issuer than the one that was asked for")]
    OtherIssuer,
    /// There is no document anywhere.
    #[error("the server says nothing of OAuth; register it with another kind of authentication")]
    NotOffered,
    /// No S256: a code that is intercepted could be used.
    #[error("the authorization server does not offer PKCE with S256, which MCP requires")]
    NoPkce,
    /// Nobody knows Keyrack there, and it cannot introduce itself.
    #[error(
        "the authorization server registers no clients by itself; register Keyrack there, and give the server its \
             client id"
    )]
    NoClient,
    /// The configured client belongs to another authorization server; its secret is not for this one.
    #[error(
        "the server names another authorization server than the one that its client was first used \
             with; if that is right, register Keyrack there and give the server the new client id"
    )]
    OtherServersClient,
    /// None of the ways to authenticate at the token endpoint is one of ours.
    #[error("the authorization server accepts none of client_secret_basic, client_secret_post and none")]
    NoAuthMethod,
    /// The authorization server said no.
    #[error("{step}: the authorization server answered {code}")]
    Refused {
        /// When.
        step: Step,
        /// Its `error`.
        code: String,
    },
    /// The operating system's random source failed.
    #[error("no random numbers")]
    NoRandomness,
}

impl OAuthFault {
    /// Whether the grant is over, so that only its person can give another. Everything else may pass: a server that is
    /// down, or busy, or refuses a client that somebody configured wrongly, takes nothing from anybody.
    #[must_use]
    pub fn ends_grant(&self) -> bool {
        matches!(self, Self::Refused { step: Step::Refresh, code } if code == "invalid_grant")
    }

    /// Whether the authorization server no longer knows the client. One that registered itself can do so again, but not
    /// without a new consent.
    #[must_use]
    pub fn forgets_client(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_client" || code == "unauthorized_client")
    }
}

/// An `error` of an authorization server, if it has the form of one; else words of our own. What a server writes freely
/// is not repeated.
pub(super) fn error_code(code: &str) -> String {
    let known =
        !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if known { code.to_owned() } else { "an unknown error".to_owned() }
}
