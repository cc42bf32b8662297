//! `/mcp` and `/api/mcp`: the platform's own MCP endpoint. One place for the tools of every server that a tenant reaches,
//! and for Keyrack's own.
//!
//! The protocol is rmcp's, stateless: no session, so any node answers any request. Before it stands what stands before
//! every surface: the key, its limits, the tenant, the message and the guard.

mod bridge;
mod caller;
mod catalogue;
mod changes;
mod endpoint;
mod lists;
mod outcome;
mod query;
mod ready;
mod resources;
pub mod step;
mod telemetry;
mod tools;
mod upstream;

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use domain::access::decide::ReachableServer;
use domain::access::{Permission, TenantScope};
use domain::audit::{AuditEvent, AuditTarget};
use domain::guard::{AllowedFields, inspect_message};
use domain::key::port::LiveKey;
use domain::mcp::Envelope;
use domain::server::port::ServerName;
use domain::tenant::{Surface, TenantRefusal};
use domain::time::{Clock, SystemClock};
use tracing_actix_web::RequestId;

pub use self::caller::Asker;
use self::caller::Caller;
use self::endpoint::Endpoint;
pub use self::lists::ToolLists;
use self::query::Options;
pub use self::upstream::NotCalled;
use crate::authenticate::{Ask, Proven, by_key, ended, key_over, record, request_id};
use crate::code::Code;
use crate::compose::Services;
use crate::extract;
use crate::gateway::message::Incoming;
use crate::gateway::refusal;
use crate::problem::Problem;

/// Where it is.
pub const PATHS: [&str; 2] = ["/mcp", "/api/mcp"];

/// Whether a path is this endpoint's.
#[must_use]
pub fn is_platform_path(path: &str) -> bool {
    PATHS.contains(&path.strip_suffix('/').unwrap_or(path))
}

/// The endpoint's one handler. Its refusals are JSON-RPC errors.
pub async fn handle(request: HttpRequest, payload: Payload, services: Data<Services>) -> HttpResponse {
    let ask = Ask {
        surface: Surface::Tenant,
        permission: Some(Permission::McpConnect),
        server: None,
        action: "mcp.endpoint",
    };
    let proven = match by_key(&services, &request, ask).await {
        Ok(proven) => proven,
        Err(problem) => {
            // The id of a refused call stands in its body; a refused caller is not read for long.
            let body = extract::read_start(payload).await;
            return refusal::respond(&problem, &request, body.as_deref());
        }
    };
    let scope = proven.scope.clone();
    let (problem, body) = match extract::read(payload, services.settings.body_limit).await {
        Err(problem) => (problem, None),
        Ok(body) => match answer(&services, &request, proven, &body).await {
            Ok(response) => return response,
            Err(problem) => (problem, Some(body)),
        },
    };
    // The decision to connect stands in the log already; that it came to nothing is another event.
    let mut event = AuditEvent::allowed(&scope, "mcp.endpoint", AuditTarget::Organization, SystemClock.now());
    event.request_id = request_id(&request);
    ended(&mut event, &problem);
    let problem = record(&services, event).await.err().unwrap_or(problem);
    refusal::respond(&problem, &request, body.as_deref())
}

async fn answer(
    services: &Arc<Services>,
    request: &HttpRequest,
    proven: Proven,
    body: &bytes::Bytes,
) -> Result<HttpResponse, Problem> {
    let missing = || Problem::new(Code::Internal);
    let grant = proven.scope.grant()?;
    let live = proven.live.ok_or_else(missing)?;
    // Its place among the calls that the key has under way, until the last byte of the answer.
    let place = proven.place.ok_or_else(missing)?;
    if live.has_ended() {
        return Err(key_over(&live));
    }
    let options = Options::read(services, &grant, request.query_string()).await?;
    let Incoming { message, era } = Incoming::read(request, body)?;
    let mut reached = None;
    if let Some(message) = &message {
        let called = called(services, &grant, message).await;
        let none = AllowedFields::default();
        let allowed = called.as_ref().map_or(&none, |server| &server.record().allowed_secret_fields);
        inspect_message(message, allowed, &services.token_keys)?;
        reached = called.zip(message.name.as_deref());
    }
    if services.suspended.covers(grant.tenant()) {
        return Err(TenantRefusal::Suspended.into());
    }
    let caller = Arc::new(Caller {
        asker: Arc::new(Asker { services: Arc::clone(services), grant }),
        id: request.extensions().get::<RequestId>().copied(),
        live: live.clone(),
        options,
    });
    let called = match reached {
        Some((server, name)) if era.is_modern() => upstream::listed(&caller, server, name).await,
        Some(_) | None => None,
    };
    bridge::answer(request, body.clone(), Endpoint { caller, called, listed: Arc::default() }, live, place).await
}

/// The server whose tool a message calls, if there is one: it may be given what looks like a secret.
async fn called(services: &Services, scope: &TenantScope, message: &Envelope<'_>) -> Option<ReachableServer> {
    let name = message.name.as_deref().filter(|_| message.method.as_deref() == Some("tools/call"))?;
    let (slug, _) = upstream::split(name)?;
    // Whether there is such a tool is said later, and in one way.
    services.gate.reach(scope, ServerName::parse(slug).as_ref().into()).await.ok()
}
