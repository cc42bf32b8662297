//! How the client reaches servers: one request, one answer, bounded in time and size. No redirect is followed, since
//! each would have to be vetted again, and none of these endpoints has a reason to move.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::egress::VettedUrl;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

/// Longest answer that is read, in bytes.
pub const ANSWER_MAX: usize = 64 << 10;
/// The time for a whole exchange.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Status and headers.
    Head,
    /// Everything, up to [`ANSWER_MAX`].
    Whole,
}

/// A request. It may have secrets in it, and cannot be printed.
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: VettedUrl,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What is wanted of the answer.
    pub reads: Reads,
}

/// An answer. It may have secrets in it, and cannot be printed.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, if it was wanted.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpFault {
    /// Not reached, or broken off.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// Over [`PATIENCE`].
    #[error("the server took longer than {} seconds", PATIENCE.as_secs())]
    TooSlow,
    /// Over [`ANSWER_MAX`].
    #[error("the answer is longer than {ANSWER_MAX} bytes")]
    TooLong,
}

/// Sends requests, to where the egress policy lets it.
#[async_trait]
pub trait OAuthHttp: Send + Sync {
    /// Sends one request.
    ///
    /// # Errors
    /// [`HttpFault`]
    async fn send(&self, ask: Ask) -> Result<Reply, HttpFault>;
}

impl Ask {
    /// A document.
    pub(super) fn document(url: VettedUrl) -> Self {
        Self { method: Method::GET, url, headers: accepting_json(), body: Bytes::new(), reads: Reads::Whole }
    }

    /// A body of this kind to an endpoint that answers with JSON.
    pub(super) fn post(url: VettedUrl, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = accepting_json();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self { method: Method::POST, url, headers, body: body.into(), reads: Reads::Whole }
    }
}

fn accepting_json() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}
