//! The client for upstream servers: awc, which shares actix's HTTP types and streams without copying.
//!
//! One per worker thread. It follows no redirects, decompresses nothing, adds no headers of its own, and connects only
//! through the vetting resolver.

mod whole;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_service::fn_service;
use actix_tls::connect::tcp::TcpConnector;
use actix_tls::connect::{ConnectError as TcpFault, ConnectInfo, Connection};
use awc::error::{ConnectError, SendRequestError};
use awc::http::{Method, Uri};
use awc::{Client, ClientRequest, Connector};
use domain::egress::{EgressPolicy, EgressRefusal};
use rustls::{ClientConfig, RootCertStore};

use self::whole::Whole;
use crate::egress::{ResolveFault, VettingResolver};

/// An idle connection is kept this long; shorter than what servers commonly allow, so that we close first.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Why an upstream server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFault {
    /// Its address is one that we must not connect to.
    #[error("the address is not allowed")]
    Egress(#[source] EgressRefusal),
    /// No connection was made: nothing was sent.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// No connection was made in time: nothing was sent.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// The connection broke, or what came was not HTTP.
    #[error("the connection failed: {0}")]
    Broken(String),
}

/// Connections to upstream servers, of one worker.
#[derive(Clone)]
pub struct Upstream {
    // awc pools connections by authority alone, so that http and https need pools of their own: a credential meant for
    // TLS must never find a plain connection to the same host.
    plain: Client,
    tls: Client,
}

impl Upstream {
    /// A client that connects where the policy allows, within `connect_timeout`.
    #[must_use]
    pub fn new(policy: &Arc<EgressPolicy>, connect_timeout: Duration) -> Self {
        Self { plain: client(policy, connect_timeout), tls: client(policy, connect_timeout) }
    }

    /// Begins a request.
    #[must_use]
    pub fn request(&self, method: Method, uri: Uri) -> ClientRequest {
        let tls = uri.scheme_str() == Some("https");
        let client = if tls { &self.tls } else { &self.plain };
        client.request(method, uri).no_decompress()
    }
}

fn client(policy: &Arc<EgressPolicy>, connect_timeout: Duration) -> Client {
    let resolver = Rc::new(VettingResolver::new(Arc::clone(policy)));
    let vetted = fn_service(move |info: ConnectInfo<Uri>| {
        let resolver = Rc::clone(&resolver);
        async move {
            let port = info.port();
            let addresses =
                resolver.resolve(info.hostname(), port).await.map_err(|fault| TcpFault::Resolver(Box::new(fault)))?;
            let tcp = TcpConnector::default().service();
            let (io, request) = actix_service::Service::call(&tcp, info.set_addrs(addresses)).await?.into_parts();
            Ok::<_, TcpFault>(Connection::new(request, Whole(io)))
        }
    });
    let connector = Connector::new()
        .connector(Rc::new(vetted))
        .rustls_0_23(tls())
        .timeout(connect_timeout)
        .handshake_timeout(connect_timeout)
        .conn_keep_alive(KEEP_ALIVE)
        .limit(0);
    Client::builder().connector(connector).disable_redirects().disable_timeout().no_default_headers().finish()
}

fn tls() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

impl From<SendRequestError> for UpstreamFault {
    fn from(error: SendRequestError) -> Self {
        match error {
            SendRequestError::Connect(ConnectError::Resolver(cause)) => match cause.downcast::<ResolveFault>() {
                Ok(fault) => match *fault {
                    ResolveFault::Refused(refusal) => Self::Egress(refusal),
                    ResolveFault::Lookup(_) => Self::Unreachable(fault.to_string()),
                },
                Err(other) => Self::Unreachable(other.to_string()),
            },
            SendRequestError::Connect(ConnectError::Timeout) => Self::ConnectTimeout,
            SendRequestError::Connect(cause) => Self::Unreachable(cause.to_string()),
            other => Self::Broken(other.to_string()),
        }
    }
}
