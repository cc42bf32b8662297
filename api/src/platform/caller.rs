//! Whose request a handler of the endpoint answers.

use std::ops::Deref;
use std::sync::Arc;

use domain::access::decide::ReachableServer;
use domain::access::permission::McpConnect;
use domain::access::{Denied, Grant, PermissionKind};
use domain::audit::{AuditEvent, AuditTarget};
use domain::server::port::ServerName;
use domain::time::{Clock, SystemClock};
use infra::cache::LiveKeyHandle;
use tracing_actix_web::RequestId;

use super::query::Options;
use crate::authenticate::{ended, record};
use crate::compose::Services;
use crate::limit;
use crate::problem::Problem;

/// On whose behalf servers are asked: a caller's, or that of whoever stands behind a run.
pub struct Asker {
    /// Everything.
    pub services: Arc<Services>,
    /// What they may do.
    pub grant: Grant<McpConnect>,
}

/// A proven caller and what it asked for with its address.
pub struct Caller {
    /// On whose behalf servers are asked.
    pub asker: Arc<Asker>,
    /// The request's id.
    pub id: Option<RequestId>,
    /// The caller's key.
    pub live: LiveKeyHandle,
    /// What its address asks for.
    pub options: Options,
}

impl Deref for Caller {
    type Target = Asker;

    fn deref(&self) -> &Asker {
        &self.asker
    }
}

impl Caller {
    /// The proof that it may use permission `P`.
    ///
    /// # Errors
    /// [`Problem`] of the rule that says no.
    pub fn granted<P: PermissionKind>(&self) -> Result<Grant<P>, Problem> {
        Ok((*self.grant).clone().grant::<P>()?)
    }

    /// The request's id as audit rows have it.
    #[must_use]
    pub fn request_id(&self) -> Option<uuid::Uuid> {
        self.id.map(|id| *id)
    }

    /// An event about what is done for it.
    pub fn event(&self, action: &'static str, target: AuditTarget) -> AuditEvent {
        let event = AuditEvent::allowed(&self.grant, action, target, SystemClock.now());
        AuditEvent { request_id: self.request_id(), ..event }
    }

    /// A server that it names, decided, counted against the server's limit and recorded like a connection through the
    /// gateway.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn connect(&self, name: Option<&ServerName>) -> Result<ReachableServer, Problem> {
        let found = match self.services.gate.reach(&self.grant, name.into()).await {
            Ok(found) if self.options.includes(found.record().id) => Ok(found),
            Ok(_) => Err(Denied::ServerNotFound.into()),
            Err(fault) => Err(Problem::from(fault)),
        };
        let target = |server: &ReachableServer| AuditTarget::Server(server.record().id);
        let mut event = self.event("mcp.connect", found.as_ref().map_or(AuditTarget::Organization, target));
        let limited = match found {
            Ok(server) => limit::of_tool(&self.services, server.record()).await.map(|()| server),
            Err(problem) => {
                event.reason = name.map(ToString::to_string);
                Err(problem)
            }
        };
        if let Err(problem) = &limited {
            ended(&mut event, problem);
        }
        record(&self.services, event).await?;
        limited
    }

    /// Records that something was refused that the endpoint itself would have allowed.
    ///
    /// # Errors
    /// 503 when the log does not keep up.
    pub async fn refused(&self, action: &'static str, problem: &Problem) -> Result<(), Problem> {
        let mut event = self.event(action, AuditTarget::Organization);
        ended(&mut event, problem);
        record(&self.services, event).await
    }
}
