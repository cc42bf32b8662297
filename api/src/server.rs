//! The HTTP server: opens everything, listens, and on the way down drains before it closes.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServerHandle, ServiceRequest};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use domain::audit::AuditLog;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use infra::audit::open_journal;
use infra::cluster::JoinFault;
use infra::db::{ConnectFault, Held};
use infra::limit::{RedisFault, SharedLimiter};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tracing_actix_web::TracingLogger;
use url::Url;

use crate::compose::{Background, Services};
use crate::gateway::Line;
use crate::logging::RequestSpan;
use crate::openapi::{self, DocumentText};
use crate::root_secret::{self, RootSecretFault};
use crate::runs::Runner;
use crate::settings::Settings;
use crate::{layer, routes};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// No root secret.
    #[error(transparent)]
    RootSecret(#[from] RootSecretFault),
    /// The database cannot be opened.
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    /// The database cannot be migrated or read.
    #[error("the database cannot be prepared")]
    Store(#[from] StoreFault),
    /// The nodes that serve do not take this one.
    #[error("this node cannot serve beside the others")]
    Join(#[from] JoinFault),
    /// Redis cannot be set up; that it is away is no reason not to start.
    #[error(transparent)]
    Redis(#[from] RedisFault),
    /// The bootstrap token cannot be made.
    #[error("the bootstrap token cannot be made")]
    Bootstrap(#[source] domain::organization::service::AccountFault),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The API document cannot be written.
    #[error("the API document cannot be made")]
    Document(#[from] serde_json::Error),
}

/// A running server.
pub struct Running {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// How clients reach it.
    pub public_url: Url,
    /// The token for the first sign-up, when the installation is fresh.
    pub bootstrap_token: Option<SecretString>,
    /// What requests need; tests look in.
    pub services: Arc<Services>,
    background: Background,
    runs: Runner,
    claim: Held,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

/// What becomes of the audit log's way in before requests use it. The product changes nothing; a bench puts something
/// that forgets in its place, to measure what the log costs.
pub type Recording = fn(Arc<dyn AuditLog>) -> Arc<dyn AuditLog>;

/// Starts a server. It answers `/ready` when this returns.
///
/// # Errors
/// [`StartFault`]
pub async fn start(settings: Settings) -> Result<Running, StartFault> {
    start_recording(settings, |log| log).await
}

/// Starts a server whose decisions are recorded so.
///
/// # Errors
/// [`StartFault`]
///
/// # Panics
/// Never: the services are new.
pub async fn start_recording(settings: Settings, recording: Recording) -> Result<Running, StartFault> {
    let (root, database, mut node) = root_secret::open(&settings).await?;
    let claim = database.claim().await?;
    let listen = settings.listen;
    let fault = |cause| StartFault::Listen { address: listen, cause };
    let listener = TcpListener::bind(listen).map_err(fault)?;
    node.journal = open_journal(&database, &settings.data_dir).await?;
    let address = listener.local_addr().map_err(fault)?;
    let public_url = settings.public_url.clone().unwrap_or_else(|| default_url(address));
    let shared = settings.redis_url.as_ref().map(|url| SharedLimiter::new(url, settings.cache_entries)).transpose()?;
    let (mut services, background) = Services::compose(settings, &root, database, &public_url, node);
    let new = Arc::get_mut(&mut services).expect("nobody else has them yet");
    new.audit = recording(Arc::clone(&new.audit));
    if let Some(shared) = shared {
        new.limiter = Arc::new(shared);
    }
    let bootstrap_token = services.accounts.arm_bootstrap().await.map_err(StartFault::Bootstrap)?;
    services.assertion_keys.refresh(SystemClock.now()).await?;
    let runs = Runner::start(&services);
    let server = http(listener, Arc::clone(&services), openapi::text()?).map_err(fault)?;
    let handle = server.handle();
    let task = tokio::spawn(server);
    Ok(Running { address, public_url, bootstrap_token, services, background, runs, claim, handle, task })
}

fn default_url(address: SocketAddr) -> Url {
    let mut url = Url::parse("http://localhost").expect("a url");
    let set = url.set_ip_host(address.ip()).and_then(|()| url.set_port(Some(address.port())));
    debug_assert!(set.is_ok(), "http urls take any address and port");
    url
}

fn http(listener: TcpListener, services: Arc<Services>, document: String) -> std::io::Result<actix_web::dev::Server> {
    let workers = services.settings.workers;
    let grace = services.settings.shutdown_timeout.as_secs();
    let document = Data::new(DocumentText(document));
    let server = HttpServer::new(move || {
        let services = Data::from(Arc::clone(&services));
        let layered = services.clone();
        App::new()
            .app_data(services.clone())
            .app_data(Data::new(Line::open(&services)))
            .app_data(document.clone())
            // Not by an extractor, which would cost every request a future of its own.
            .wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
                layer::finish(layered.clone(), request, next)
            }))
            .wrap(TracingLogger::<RequestSpan>::new())
            .configure(routes::all)
    })
    .workers(workers)
    // Else a client that leaves is noticed only when something is written to it, and upstream is never told.
    .h1_allow_half_closed(false)
    // Else the second of two small events waits until the client has acknowledged the first.
    .tcp_nodelay(true)
    .shutdown_timeout(grace)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// How long a node that others stand in for goes on taking connections when it stops. Whoever balances between nodes sends
/// requests over connections that it has kept; those that are closed under it take a request with them now and then, and nobody
/// knows whether a POST was done. So each gets its last answer first.
const LEAVING: Duration = Duration::from_secs(1);

impl Running {
    /// Returns when the server ends by itself, which it only does when it fails.
    ///
    /// # Errors
    /// The failure.
    pub async fn ended(&mut self) -> std::io::Result<()> {
        (&mut self.task).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    /// Says in `/ready` that it stops, and with each answer that its connection is over; then stops taking connections; waits
    /// for what is under way, for as long as the grace period is, while streams are ended between two events and runs go back
    /// to the queue; writes what is to be written, and closes the database.
    pub async fn stop(self) {
        self.services.calls.stopping();
        let grace = self.services.settings.shutdown_timeout;
        self.services.stopping.begin(grace);
        self.runs.stop();
        if self.background.has_others() {
            tokio::time::sleep(LEAVING.min(grace / 4)).await;
        }
        self.handle.stop(true).await;
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the server ended badly");
        }
        self.runs.stopped().await;
        drop(self.claim);
        self.background.finish(self.services).await;
    }
}
