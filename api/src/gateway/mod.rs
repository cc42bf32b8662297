//! `ANY /mcp-connect/{server}[/mcp]`: from a proven caller to the upstream server and back.
//!
//! The order of checks is the contract's: key, tenant, permission, server, then the body. Nothing of the caller's own
//! credentials goes upstream, and what comes back is streamed as it comes.

pub mod bridge;
mod events;
mod forward;
mod headers;
mod idle;
pub mod message;
pub mod passport;
mod recorded;
pub mod recorder;
pub mod refusal;
mod session;
mod stream;

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use domain::access::decide::ReachableServer;
use domain::access::permission::McpConnect;
use domain::access::{Grant, Permission};
use domain::audit::{AuditEvent, AuditTarget};
use domain::guard::inspect_message;
use domain::key::port::LiveKey;
use domain::mcp::Era;
use domain::server::port::ServerName;
use domain::tenant::{Surface, TenantRefusal};
use domain::time::{Clock, SystemClock};
use infra::cache::{CallPlace, LiveKeyHandle};
use infra::upstream::{AnswerBody, Upstream};
use percent_encoding::percent_decode_str;

use self::headers::MCP_SESSION_ID;
use self::idle::IdleClock;
use self::message::Incoming;
use self::recorder::CallUnderWay;
use self::session::Session;
use self::stream::Relayed;
use crate::authenticate::{Ask, Proven, by_key, ended, key_over, record, request_id};
use crate::code::Code;
use crate::compose::Services;
use crate::extract;
use crate::problem::Problem;

/// What every path of the gateway begins with.
pub const PREFIX: &str = "/mcp-connect";

/// Whether a path is the gateway's.
#[must_use]
pub fn is_gateway_path(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A worker's way to upstream servers.
pub struct Line {
    upstream: Upstream,
    clock: IdleClock,
}

impl Line {
    /// Opens it on this worker.
    #[must_use]
    pub fn open(services: &Services) -> Self {
        Self { upstream: Upstream::new(&services.egress), clock: IdleClock::start(Arc::clone(&services.stopping)) }
    }
}

/// A caller that may use the server it asked for.
struct Admitted {
    grant: Grant<McpConnect>,
    live: LiveKeyHandle,
    server: ReachableServer,
    // Its place among the calls that the key has under way, until the last byte of the answer.
    place: CallPlace,
}

/// The gateway's one handler. Its refusals are JSON-RPC errors.
pub async fn handle(
    request: HttpRequest,
    payload: Payload,
    services: Data<Services>,
    line: Data<Line>,
) -> HttpResponse {
    let admitted = match admit(&services, &request).await {
        Ok(admitted) => admitted,
        Err(problem) => {
            // The id of a refused call stands in its body; a refused caller is not read for long.
            let body = extract::read_start(payload).await;
            return refusal::respond(&problem, &request, body.as_deref());
        }
    };
    let (scope, server) = ((*admitted.grant).clone(), admitted.server.record().id);
    let call = CallUnderWay::begin(&services, &request, admitted.live.facts(), scope.tenant(), server).await;
    let (problem, body) = match call {
        Err(saturated) => (saturated.into(), extract::read_start(payload).await),
        Ok(mut call) => match extract::read(payload, services.settings.body_limit).await {
            Err(problem) => {
                call.came_to_nothing(&problem);
                (problem, None)
            }
            Ok(body) => {
                call.received(body.len());
                match send(&services, &line, &request, admitted, &body, &mut call).await {
                    Ok(response) => return recorded::recorded(response, call),
                    Err(problem) => {
                        call.came_to_nothing(&problem);
                        (problem, Some(body))
                    }
                }
            }
        },
    };
    // The decision to connect stands in the log already; that it came to nothing is another event.
    let mut event = AuditEvent::allowed(&scope, "mcp.forward", AuditTarget::Server(server), SystemClock.now());
    event.request_id = request_id(&request);
    ended(&mut event, &problem);
    let problem = record(&services, event).await.err().unwrap_or(problem);
    refusal::respond(&problem, &request, body.as_deref())
}

/// What a caller sent, looked at: it may go upstream.
struct Checked {
    body: Bytes,
    era: Era,
    session: Option<Session>,
}

async fn send(
    services: &Services,
    line: &Line,
    request: &HttpRequest,
    admitted: Admitted,
    body: &Bytes,
    call: &mut CallUnderWay,
) -> Result<HttpResponse<Relayed<AnswerBody>>, Problem> {
    let Admitted { grant, live, server, .. } = &admitted;
    // The message may have taken its time to arrive.
    if live.has_ended() {
        return Err(key_over(live));
    }
    if services.suspended.covers(grant.tenant()) {
        return Err(TenantRefusal::Suspended.into());
    }
    let Incoming { message, era } = Incoming::read(request, body)?;
    if let Some(message) = &message {
        call.understood(message, &services.token_keys);
        inspect_message(message, &server.record().allowed_secret_fields, &services.token_keys)?;
    }
    // Modern revisions have no sessions: an id that a client sends all the same means nothing.
    let presented = request.headers().get(MCP_SESSION_ID).filter(|_| !era.is_modern());
    let session = presented.map(|presented| session::open(services, grant, server, presented)).transpose()?;
    if let Some(session) = &session {
        call.belongs_to(services, grant.tenant(), session.upstream.as_bytes());
    }
    let checked = Checked { body: body.clone(), era, session };
    forward::forward(services, line, request, admitted, checked, call).await
}

async fn admit(services: &Services, request: &HttpRequest) -> Result<Admitted, Problem> {
    let name = asked(request);
    let ask = Ask {
        surface: Surface::Tenant,
        permission: Some(Permission::McpConnect),
        server: Some(name.as_ref().into()),
        action: "mcp.connect",
    };
    let Proven { scope, live, server, place } = by_key(services, request, ask).await?;
    let missing = || Problem::new(Code::Internal);
    Ok(Admitted {
        grant: scope.grant::<McpConnect>()?,
        live: live.ok_or_else(missing)?,
        server: server.ok_or_else(missing)?,
        place: place.ok_or_else(missing)?,
    })
}

/// The server that the path names, if it can be a name at all.
fn asked(request: &HttpRequest) -> Option<ServerName> {
    // Cut out by hand: the router would run a regular expression for it, at every request.
    let rest = request.path().strip_prefix(PREFIX)?.strip_prefix('/')?;
    let name = rest.strip_suffix('/').unwrap_or(rest);
    let name = name.strip_suffix("/mcp").unwrap_or(name);
    ServerName::parse(&percent_decode_str(name).decode_utf8().ok()?)
}
