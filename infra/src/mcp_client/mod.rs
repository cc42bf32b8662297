//! Our own MCP client towards upstream servers: what capability sync and the platform's endpoint ask servers with.
//!
//! The protocol is rmcp's, both eras of it; HTTP is [`SharedUpstream`]'s, so that every connection is vetted at the
//! moment it is made and nothing is followed to another origin. Everything has an end: pages, items, bytes and time.
//! A modern server that wants input ([`CallToolResponse::InputRequired`]) is the caller's to answer; nothing is asked
//! twice on its own.
//!
//! What rmcp's models lose of what a server sends: fields that the protocol's schema does not have, outside `_meta`,
//! schemas and `structuredContent`, which are kept as JSON. That is unknown fields of tools, prompts, resources, their
//! annotations and of the parts of a result (`execution` of tools in revision 2025-11-25 among them), and capabilities
//! that no revision names. A tool whose `x-mcp-header` annotations are invalid is left out of a modern server's list, as
//! the specification wants it. A result with a part of an unknown type, or with a known field of the wrong type, is not
//! read at all and is a [`ClientFault::Protocol`].
//!
//! The gateway does not take this way: it passes bytes on.

mod body;
mod fault;
mod http;
mod list;
mod mirror;
mod offer;
mod session;

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion};
use rmcp::service::{ClientCacheConfig, ClientLifecycleMode, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::fault::Broken;
pub use self::fault::{ClientFault, HttpFault};
use self::http::UpstreamHttp;
pub use self::list::{BYTES_MAX, ITEMS_MAX, PAGES_MAX};
use self::mirror::Schemas;
pub use self::offer::tool;
pub use self::session::Session;
use crate::upstream::{SharedUpstream, Target};

pub use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, Prompt, Resource, ResourceTemplate, Tool,
};

/// How often a stream that broke off is resumed before its request is given up.
const RESUMES_MAX: usize = 3;

/// The headers that are ours on each request: who calls, and the credential. It is asked at every request, since an
/// assertion is short-lived, and it must not wait.
pub trait HeaderSource: Send + Sync + 'static {
    /// The headers of a request that is sent now.
    ///
    /// # Errors
    /// Why there are none; the request is not sent then.
    fn headers(&self) -> Result<HeaderMap, HeaderFault>;
}

/// Why a request has no headers.
pub type HeaderFault = Box<dyn std::error::Error + Send + Sync>;

impl<F: Fn() -> Result<HeaderMap, HeaderFault> + Send + Sync + 'static> HeaderSource for F {
    fn headers(&self) -> Result<HeaderMap, HeaderFault> {
        self()
    }
}

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For a new connection.
    pub connect: Duration,
    /// For the handshake: finding out which era the server speaks included, which is up to four requests.
    pub handshake: Duration,
    /// For each request after that, to the last byte of its answer. One page of a list is one request.
    pub answer: Duration,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2025-11-25 and earlier: a handshake, and perhaps a session.
    Legacy,
    /// 2026-07-28 and later: requests that stand by themselves.
    Modern,
}

/// Begins to talk with a server. Who knows its era from an earlier session saves the question; a wrong guess is an error.
///
/// It belongs inside a tokio runtime; which thread does not matter.
///
/// # Errors
/// [`ClientFault`]
pub async fn connect(
    upstream: &SharedUpstream,
    target: Target,
    headers: Arc<dyn HeaderSource>,
    deadlines: Deadlines,
    era: Option<Era>,
) -> Result<Session, ClientFault> {
    let broken = Arc::new(Broken::default());
    let given_up = CancellationToken::new();
    let (greeting, connect) = (given_up.clone().drop_guard(), deadlines.connect);
    let schemas = Arc::new(Schemas::default());
    let http = UpstreamHttp::new(
        upstream.clone(),
        target,
        headers,
        connect,
        Arc::clone(&broken),
        given_up,
        Arc::clone(&schemas),
    );
    let transport = StreamableHttpClientTransport::with_client(http, config());
    let begun = timeout(deadlines.handshake, serve_client_with_lifecycle(ourselves(), transport, lifecycle(era))).await;
    match begun {
        Ok(Ok(running)) => {
            // From here on rmcp knows by itself.
            greeting.disarm();
            // What a server lets be kept is for whoever keeps it, and a stale list must not stand for a dead server.
            running.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
            Ok(Session::of(running, deadlines.answer, broken, schemas))
        }
        Ok(Err(error)) => Err(ClientFault::of_handshake(error, &broken)),
        Err(_) => Err(ClientFault::TimedOut),
    }
}

fn ourselves() -> ClientConfig {
    // No capabilities: a server has nobody to ask for input here.
    ClientConfig::new(ClientCapabilities::default(), Implementation::new("keyrack", env!("CARGO_PKG_VERSION")))
}

fn lifecycle(era: Option<Era>) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    match era {
        None => ClientLifecycleMode::Auto { preferred_versions, legacy_version: Some(ProtocolVersion::V_2025_11_25) },
        Some(Era::Modern) => ClientLifecycleMode::Discover { preferred_versions },
        Some(Era::Legacy) => ClientLifecycleMode::Initialize,
    }
}

fn config() -> StreamableHttpClientTransportConfig {
    let mut resume = ExponentialBackoff::default();
    resume.max_times = Some(RESUMES_MAX);
    // The client knows where it sends to. The URL may hold what no log line should.
    let mut config = StreamableHttpClientTransportConfig::with_uri("upstream");
    config.retry_config = Arc::new(resume);
    config.max_sse_event_size = body::EVENT_MAX;
    config
}

#[cfg(test)]
mod tests;
