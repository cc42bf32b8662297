//! Sending a caller's message upstream and bringing the answer back.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::{HttpRequest, HttpResponse};
use domain::access::Grant;
use domain::access::decide::ReachableServer;
use domain::access::permission::McpConnect;
use domain::connection::SharedConnection;
use domain::key::port::LiveKey;
use domain::mcp::Era;
use domain::server::AuthScope;
use domain::tenant::TenantRefusal;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use infra::upstream::{Answer, AnswerBody, Redirect, UpstreamFault};

use super::bridge;
use super::events::Events;
use super::headers::{self, MCP_METHOD, MCP_SESSION_ID, copy_request, copy_response};
use super::passport::{ASSERTION, Passport};
use super::recorder::CallUnderWay;
use super::session::{self, Session};
use super::stream::{Ending, Relayed, Speaker};
use super::{Admitted, Checked, Line};
use crate::authenticate::{key_over, request_id};
use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;
use crate::v1::connections::link::required;

/// The signed statement of who calls.
const SESSION_UP: HeaderName = HeaderName::from_static("mcp-session-id");
/// Headers beside the caller's: the assertion, a credential, a session, and the client's own `Host`.
const OUR_HEADERS: usize = 4;

/// Forwards one message.
///
/// # Errors
/// [`Problem`] where the upstream gave no answer that may be passed on, or the key was revoked meanwhile.
pub(super) async fn forward(
    services: &Services,
    line: &Line,
    request: &HttpRequest,
    admitted: Admitted,
    Checked { body, era, session }: Checked,
    call: &mut CallUnderWay,
) -> Result<HttpResponse<Relayed<AnswerBody>>, Problem> {
    let Admitted { grant, live, server, place } = admitted;
    let connection = connection(services, &grant, &server).await?;
    let passport = services.passports.issue(&grant, &server, connection)?;
    let session_up = session.as_ref().and_then(|session| bridge::value_up(&session.upstream));
    let timeouts = server.record().timeouts;
    let idle = timeouts.idle_or(services.settings.upstream_idle_timeout);
    let connect = timeouts.connect_or(services.settings.upstream_connect_timeout);
    let method = bridge::method_up(request.method()).ok_or_else(|| Problem::new(Code::InvalidRequest))?;
    let attempt = passport.health.begin(passport.caller)?;
    let answer = async {
        let mut elsewhere = None;
        for _hop in 0..2 {
            let target = elsewhere.as_ref().unwrap_or(&passport.target);
            let headers = outgoing(request, &passport, session_up.as_ref());
            let answer = line.upstream.send(target, method.clone(), headers, body.clone(), connect).await?;
            match Redirect::read(answer.status(), answer.headers(), target) {
                Redirect::No => return Ok(Some(answer)),
                Redirect::Same(next) if elsewhere.is_none() => elsewhere = Some(*next),
                Redirect::Same(_) | Redirect::Elsewhere => break,
            }
        }
        Ok(None)
    };
    // Dropping the future closes the upstream connection, which is how the upstream learns that nobody waits any more.
    let answer = tokio::select! {
        biased;
        () = live.over() => return Err(key_over(&live)),
        answer = line.clock.within(idle, || services.suspended.covers(grant.tenant()), answer) => answer,
    };
    let answer = match answer {
        Some(Ok(answer)) => {
            // A redirect that leads nowhere is an answer, too.
            attempt.answered(answer.as_ref().map_or(StatusCode::TEMPORARY_REDIRECT, Answer::status), line.clock.now());
            answer
        }
        Some(Err(fault)) => {
            attempt.failed(&fault, line.clock.now());
            return Err(unanswered(request, fault));
        }
        None if services.suspended.covers(grant.tenant()) => None,
        None => return Err(Problem::because(Code::UpstreamTimeout, "the server did not answer in time")),
    };
    if services.suspended.covers(grant.tenant()) {
        return Err(TenantRefusal::Suspended.into());
    }
    if live.has_ended() {
        return Err(key_over(&live));
    }
    let answer = answer.ok_or_else(|| {
        Problem::because(Code::UpstreamError, "the server redirects elsewhere; register the URL that it redirects to")
    })?;
    if answer.status() == StatusCode::UNAUTHORIZED
        && let Some(connection) = &passport.connection
    {
        services.connections.doubted(connection, server.record());
    }
    if let Some(session) = &session
        && *request.method() == Method::DELETE
        && answer.status().is_success()
    {
        session.used.end();
    }
    // What came with the request stands in the record already.
    if let (None, Some(upstream)) = (&session, answer.headers().get(SESSION_UP).filter(|_| !era.is_modern())) {
        call.belongs_to(services, grant.tenant(), upstream.as_bytes());
    }
    let response = head(services, &answer, &grant, &server, (era, session.as_ref()))?;
    let speaker = Speaker {
        live,
        tenant: grant.tenant().clone(),
        suspended: Arc::clone(&services.suspended),
        place,
        session: session.map(|session| session.used),
    };
    let length = answer.length();
    // Events that are encoded, or whose number of bytes was told, cannot be ended between two.
    let endless = length.is_none() && !response.headers().contains_key(CONTENT_ENCODING);
    let ending = (endless && headers::is_event_stream(response.headers())).then(|| Ending {
        stopping: Arc::clone(&services.stopping),
        listens: listens(request, era),
        events: Events::BEGIN,
    });
    let body = Relayed::new(answer.into_body(), length, speaker, ending, idle, line.clock.clone());
    Ok(response.set_body(body))
}

/// The tenant's own connection, for servers that need one. Most do not, and wait for nothing.
async fn connection(
    services: &Services,
    grant: &Grant<McpConnect>,
    server: &ReachableServer,
) -> Result<Option<SharedConnection>, Problem> {
    if server.record().auth.scope() == AuthScope::Organization {
        return Ok(None);
    }
    let connection = if let Some(connection) = services.connections.at_hand(grant, server) {
        connection
    } else {
        let found = Box::pin(services.connections.for_call(grant, server)).await;
        found.map_err(|fault| required(services, grant, server.record(), fault))?
    };
    services.connections.used(&connection);
    Ok(Some(connection))
}

/// Whether a client asks to be told of what happens, and for no answer: with GET in the legacy versions of the protocol,
/// with a method of its own in the modern ones, whose header was compared with the message.
fn listens(request: &HttpRequest, era: Era) -> bool {
    if !era.is_modern() {
        return request.method() == Method::GET;
    }
    request.headers().get(MCP_METHOD).is_some_and(|method| method.as_bytes() == b"subscriptions/listen")
}

fn outgoing(request: &HttpRequest, passport: &Passport, session: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(request.headers().len() + OUR_HEADERS);
    copy_request(request.headers(), &mut headers);
    headers.insert(ASSERTION, passport.assertion.clone());
    if let Some((name, value)) = &passport.credential {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(session) = session {
        headers.insert(SESSION_UP, session.clone());
    }
    headers
}

fn unanswered(request: &HttpRequest, fault: UpstreamFault) -> Problem {
    let request_id = request_id(request).map(tracing::field::display);
    tracing::warn!(request_id, error = &fault as &dyn std::error::Error, "the upstream server gave no answer");
    fault.into()
}

/// The head of the answer that the caller gets.
fn head(
    services: &Services,
    answer: &Answer,
    grant: &Grant<McpConnect>,
    server: &ReachableServer,
    (era, session): (Era, Option<&Session>),
) -> Result<HttpResponse<()>, Problem> {
    if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        // It judges our credential, not the caller's key.
        return Err(Problem::because(
            Code::UpstreamError,
            format!("the server refused Keyrack's credential with {}; check its auth", answer.status().as_u16()),
        ));
    }
    let broken = || Problem::because(Code::UpstreamError, "the server's answer cannot be passed on");
    let status = bridge::status_down(answer.status()).ok_or_else(broken)?;
    let mut response = HttpResponse::build(status).finish().drop_body();
    copy_response(answer.headers(), response.headers_mut());
    // Modern revisions have no sessions; a server that hands one out all the same has not the caller's to give.
    if let Some(upstream) = answer.headers().get(SESSION_UP).filter(|_| !era.is_modern()) {
        let upstream = bridge::value_down(upstream).ok_or_else(broken)?;
        let id = match session {
            Some(session) if session.upstream == upstream => session.presented.clone(),
            _ => session::seal(services, grant, server, &upstream)?,
        };
        response.headers_mut().insert(MCP_SESSION_ID, id);
    }
    Ok(response)
}
