//! Making a connection: to an address that the policy permits now, over TLS where the URL says so, within a time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::egress::EgressPolicy;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{Timeout, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::UpstreamFault;
use super::connection::{Connection, Outgoing, SharedConnection};
use super::target::Endpoint;
use crate::egress::{ResolveFault, VettingResolver};

/// How often a peer over HTTP/2 is asked whether it is still there while calls wait for it: other calls share the
/// connection, and would wait with them.
const PING: Duration = Duration::from_secs(20);

/// Makes connections.
pub(super) struct Connector {
    resolver: VettingResolver,
    tls: TlsConnector,
}

impl Connector {
    pub(super) fn new(policy: Arc<EgressPolicy>, roots: RootCertStore) -> Self {
        Self { resolver: VettingResolver::new(policy), tls: TlsConnector::from(Arc::new(config(roots))) }
    }

    /// A new connection. All of it, name, address and TLS, takes at most `limit`.
    pub(super) async fn connect(&self, endpoint: &Arc<Endpoint>, limit: Duration) -> Result<Connection, UpstreamFault> {
        // A timer costs little beside a connection, and ends with it.
        in_time(timeout(limit, self.open(endpoint, Instant::now() + limit))).await
    }

    async fn open(&self, endpoint: &Arc<Endpoint>, until: Instant) -> Result<Connection, UpstreamFault> {
        let addresses = self.resolver.resolve(&endpoint.host, endpoint.port).await.map_err(|fault| match fault {
            ResolveFault::Refused(refusal) => UpstreamFault::Egress(refusal),
            ResolveFault::Lookup(error) => UpstreamFault::Unreachable(error),
        })?;
        let tcp = reach(&addresses, until).await?;
        if !endpoint.tls {
            return h1(tcp).await;
        }
        let name =
            ServerName::try_from(endpoint.host.clone()).map_err(|error| UpstreamFault::Tls(io::Error::other(error)))?;
        let tls = self.tls.connect(name, tcp).await.map_err(UpstreamFault::Tls)?;
        if tls.get_ref().1.alpn_protocol() == Some(b"h2") { h2(tls).await } else { h1(tls).await }
    }
}

/// Tries the addresses in their order. None may use up the time of those after it: a host with a dead address is reached
/// at another.
async fn reach(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, UpstreamFault> {
    let mut fault = UpstreamFault::Unreachable(io::ErrorKind::AddrNotAvailable.into());
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        let connecting = async { TcpStream::connect(address).await.map_err(UpstreamFault::Unreachable) };
        match in_time(timeout(share, connecting)).await {
            Ok(tcp) => {
                // Messages are small and waited for.
                tcp.set_nodelay(true).map_err(UpstreamFault::Unreachable)?;
                return Ok(tcp);
            }
            Err(failed) => fault = failed,
        }
    }
    Err(fault)
}

async fn in_time<T>(work: Timeout<impl Future<Output = Result<T, UpstreamFault>>>) -> Result<T, UpstreamFault> {
    work.await.unwrap_or(Err(UpstreamFault::ConnectTimeout))
}

async fn h1<Io>(io: Io) -> Result<Connection, UpstreamFault>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::Builder::new().handshake::<_, Outgoing>(TokioIo::new(io)).await.map_err(UpstreamFault::Broken)?;
    // How it ends is told to whoever waits for an answer of it.
    spawn_local(async move { drop(connection.await) });
    Ok(Connection::h1(sender))
}

async fn h2(io: TlsStream<TcpStream>) -> Result<Connection, UpstreamFault> {
    let (sender, connection) = http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .handshake::<_, Outgoing>(TokioIo::new(io))
        .await
        .map_err(UpstreamFault::Broken)?;
    spawn_local(async move { drop(connection.await) });
    Ok(Connection::H2(SharedConnection::new(sender)))
}

fn config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Runs what hyper wants run on the worker's own thread.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
