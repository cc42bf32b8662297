//! A server that has been greeted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, CallToolResponse, ClientConfig, ServerPeerInfo, Tool};
use rmcp::service::{Peer, RunningService, ServiceError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Era;
use super::fault::{Broken, ClientFault};
use super::mirror::Schemas;

/// How long a server's session is given to be ended.
const FAREWELL: Duration = Duration::from_secs(6);

/// A server that has been greeted: what is asked of it now goes one request each. Cheap to clone; many tasks may ask at
/// once. It ends with its last clone, or by [`Session::close`].
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    peer: Peer<RoleClient>,
    // Taken by whoever closes it. Dropping it ends what runs.
    running: Mutex<Option<RunningService<RoleClient, ClientConfig>>>,
    answer: Duration,
    broken: Arc<Broken>,
    schemas: Arc<Schemas>,
}

impl Session {
    pub(super) fn of(
        running: RunningService<RoleClient, ClientConfig>,
        answer: Duration,
        broken: Arc<Broken>,
        schemas: Arc<Schemas>,
    ) -> Self {
        let peer = running.peer().clone();
        Self(Arc::new(Inner { peer, running: Mutex::new(Some(running)), answer, broken, schemas }))
    }

    /// What the server says of itself; none only before it was greeted.
    #[must_use]
    pub fn server(&self) -> Option<Arc<ServerPeerInfo>> {
        self.0.peer.peer_info()
    }

    /// What the server speaks.
    #[must_use]
    pub fn era(&self) -> Era {
        if self.server().is_some_and(|server| !server.protocol_version.has_initialize()) {
            Era::Modern
        } else {
            Era::Legacy
        }
    }

    /// Tells of a tool that was listed in another session: a modern server may want some of its arguments in headers, and
    /// the tool's schema says which.
    pub fn knows(&self, tool: &Tool) {
        self.0.schemas.keep(tool);
    }

    /// Calls a tool, once. Schemas are not looked at: what fits a tool is the tool's to say. A server that wants input
    /// says so with [`CallToolResponse::InputRequired`].
    ///
    /// Dropping the future, or cancelling, tells the server that nobody waits: a legacy one by
    /// `notifications/cancelled`, a modern one by the end of its connection.
    ///
    /// # Errors
    /// [`ClientFault`]
    pub async fn call_tool(
        &self,
        call: CallToolRequestParams,
        cancel: &CancellationToken,
    ) -> Result<CallToolResponse, ClientFault> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ClientFault::Cancelled),
            answer = self.within(self.0.peer.call_tool_once(call)) => answer,
        }
    }

    /// Ends the session, on the server too where it keeps one. Other clones can ask nothing any more.
    pub async fn close(&self) {
        let running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            // How it ends is nobody's concern.
            drop(running.close_with_timeout(FAREWELL).await);
        }
    }

    pub(super) fn peer(&self) -> &Peer<RoleClient> {
        &self.0.peer
    }

    /// One request, in its time.
    pub(super) async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ClientFault> {
        match timeout(self.0.answer, request).await {
            Ok(answer) => answer.map_err(|error| ClientFault::of_request(error, &self.0.broken)),
            Err(_) => Err(ClientFault::TimedOut),
        }
    }
}
