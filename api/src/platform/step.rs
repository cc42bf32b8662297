//! Calling a server's tool for a step of a run: decided, counted, recorded and sent like a caller's call.

use std::sync::Arc;

use domain::access::Actor;
use domain::access::decide::{Asked, ReachableServer};
use domain::audit::{AuditEvent, AuditTarget};
use domain::guard::inspect;
use domain::id::{RunId, ServerId};
use domain::server::port::ServerName;
use domain::tenant::TenantRefusal;
use domain::time::{Clock, SystemClock};
use infra::mcp_client::{CallToolRequestParams, CallToolResponse, Era, Tool};
use rmcp::model::JsonObject;
use serde_json::value::to_raw_value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::caller::Asker;
use super::catalogue;
use super::lists::Wait;
use super::upstream::{NotCalled, Reached, length, send};
use crate::authenticate::{ended, record};
use crate::code::Code;
use crate::gateway::recorder::CallUnderWay;
use crate::limit;
use crate::problem::Problem;

/// A tool that may be called now.
pub struct Ready {
    asker: Arc<Asker>,
    reached: Reached,
    tool: Tool,
    era: Era,
}

impl Ready {
    /// Decides whether whoever stands behind a run reaches the server now, and finds the tool among those that it offers.
    ///
    /// # Errors
    /// [`Problem`]; the refusal is recorded.
    pub async fn find(asker: &Arc<Asker>, run: RunId, server: ServerId, tool: &str) -> Result<Self, Problem> {
        let server = connect(asker, run, server).await?;
        let reached = Reached::with_connection(asker, server).await.map_err(Problem::from)?;
        let listed = catalogue::offered(asker, &asker.services.tool_lists, &reached, Wait::ToTheEnd)
            .await
            .map_err(|trouble| trouble.problem())?;
        let offered = listed.tools.iter().find(|known| known.own.name == tool).ok_or_else(|| {
            let slug = &reached.server.record().slug;
            Problem::because(Code::NotFound, format!("the server {slug} offers no tool {tool:?} now"))
        })?;
        let (tool, era) = (offered.own.clone(), listed.era);
        Ok(Self { asker: Arc::clone(asker), reached, tool, era })
    }

    /// Looks at the arguments like at a caller's: a result that they are made of can bring a key along.
    ///
    /// # Errors
    /// [`Problem`]: `secret_argument`, or arguments that cannot be read.
    pub fn guard(&self, arguments: &JsonObject) -> Result<(), Problem> {
        let raw = to_raw_value(arguments).map_err(Problem::internal)?;
        let allowed = &self.reached.server.record().allowed_secret_fields;
        Ok(inspect(&raw, allowed, &self.asker.services.token_keys)?)
    }

    /// Calls the tool, once. Dropping the future tells the server that nobody waits.
    ///
    /// # Errors
    /// [`NotCalled`]
    pub async fn call(self, arguments: JsonObject) -> Result<CallToolResponse, NotCalled> {
        let services = &self.asker.services;
        let call = match self.asker.grant.actor() {
            // Records of calls and use are of keys; a person's runs stand in the log and in their own evidence.
            Actor::Member(_) => None,
            Actor::Key(facts) => {
                let about = (self.reached.server.record().id, &*self.tool.name);
                let tenant = self.asker.grant.tenant();
                let call = CallUnderWay::of_tool(services, Some(Uuid::now_v7()), facts, tenant, about).await;
                let mut call = call.map_err(Problem::from)?;
                call.received(length(Some(&arguments)));
                Some(call)
            }
        };
        let request = CallToolRequestParams::new(self.tool.name.to_string()).with_arguments(arguments);
        let sent = send(&self.asker, &self.reached, (&self.tool, self.era), request, &CancellationToken::new()).await;
        if let Some(call) = call {
            call.concluded(&sent);
        }
        sent
    }
}

/// A server, decided, counted against its limit, and recorded like a connection through the gateway.
async fn connect(asker: &Asker, run: RunId, server: ServerId) -> Result<ReachableServer, Problem> {
    let services = &asker.services;
    let name = ServerName::Id(server);
    let found = if services.suspended.covers(asker.grant.tenant()) {
        Err(TenantRefusal::Suspended.into())
    } else {
        services.gate.reach(&asker.grant, Asked::Named(&name)).await.map_err(Problem::from)
    };
    let target = match &found {
        Ok(_) => AuditTarget::Server(server),
        Err(_) => AuditTarget::Organization,
    };
    let mut event = AuditEvent::allowed(&asker.grant, "mcp.connect", target, SystemClock.now());
    event.reason = Some(match &found {
        Ok(_) => run.to_string(),
        Err(_) => format!("{run}: {name}"),
    });
    let limited = match found {
        Ok(server) => limit::of_tool(services, server.record()).await.map(|()| server),
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &limited {
        ended(&mut event, problem);
    }
    record(services, event).await?;
    limited
}
