//! `ANY /mcp-connect/{server}[/mcp]`: from a proven caller to the upstream server and back.
//!
//! The order of checks is the contract's: key, tenant, permission, server, then the body. Nothing of the caller's own
//! credentials goes upstream, and what comes back is streamed as it comes.

mod forward;
mod headers;
mod idle;
mod message;
mod metered;
pub mod passport;
pub mod refusal;
mod session;
mod stream;

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
use infra::cache::LiveKeyHandle;
use infra::upstream::Upstream;
use percent_encoding::percent_decode_str;

use self::headers::MCP_SESSION_ID;
use self::idle::IdleClock;
use self::message::Incoming;
use self::metered::MeteredCall;
use self::session::Session;
use crate::authenticate::{Ask, Proven, by_key, ended, record, request_id};
use crate::code::Code;
use crate::compose::Services;
use crate::extract;
use crate::problem::Problem;

/// What every path of the gateway begins with.
pub const PREFIX: &str = "/mcp-connect";

/// Whether a path is the gateway's.
#[must_use]
pub fn is_mcp_path(path: &str) -> bool {
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
        let upstream = Upstream::new(&services.egress, services.settings.upstream_connect_timeout);
        Self { upstream, clock: IdleClock::start() }
    }
}

/// A caller that may use the server it asked for.
struct Admitted {
    grant: Grant<McpConnect>,
    live: LiveKeyHandle,
    server: ReachableServer,
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
    let call = MeteredCall::begin(&services.usage, &admitted);
    let (problem, body) = match extract::read(payload, services.settings.body_limit).await {
        Err(problem) => (problem, None),
        Ok(body) => match send(&services, &line, &request, admitted, &body).await {
            Ok(response) => {
                call.answered(response.status());
                return response;
            }
            Err(problem) => (problem, Some(body)),
        },
    };
    call.refused();
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
) -> Result<HttpResponse, Problem> {
    let Admitted { grant, live, server } = &admitted;
    // The message may have taken its time to arrive.
    if live.has_ended() {
        return Err(Problem::new(Code::Unauthenticated));
    }
    if services.suspended.covers(grant.tenant()) {
        return Err(TenantRefusal::Suspended.into());
    }
    let Incoming { message, era } = Incoming::read(request, body)?;
    if let Some(message) = &message {
        inspect_message(message, &server.record().allowed_secret_fields, &services.token_keys)?;
    }
    // Modern revisions have no sessions: an id that a client sends all the same means nothing.
    let presented = request.headers().get(MCP_SESSION_ID).filter(|_| !era.is_modern());
    let session = presented.map(|presented| session::open(services, grant, server, presented)).transpose()?;
    let checked = Checked { body: body.clone(), era, session };
    forward::forward(services, line, request, admitted, checked).await
}

async fn admit(services: &Services, request: &HttpRequest) -> Result<Admitted, Problem> {
    let name = asked(request);
    let ask = Ask {
        surface: Surface::Tenant,
        permission: Some(Permission::McpConnect),
        server: Some(name.as_ref().into()),
        action: "mcp.connect",
    };
    let Proven { scope, live, server } = by_key(services, request, ask).await?;
    let missing = || Problem::new(Code::Internal);
    Ok(Admitted {
        grant: scope.grant::<McpConnect>()?,
        live: live.ok_or_else(missing)?,
        server: server.ok_or_else(missing)?,
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
