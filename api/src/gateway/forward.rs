//! Sending a caller's message upstream and bringing the answer back.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use domain::access::Grant;
use domain::access::decide::ReachableServer;
use domain::access::permission::McpConnect;
use domain::guard::inspect_message;
use domain::key::port::LiveKey;
use domain::mcp::Envelope;
use domain::tenant::TenantRefusal;
use http::header::{CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use infra::cache::LiveKeyHandle;
use infra::upstream::{Answer, AnswerBody, Target, UpstreamFault};

use super::bridge;
use super::headers::{self, MCP_SESSION_ID, copy_request, copy_response};
use super::passport::Passport;
use super::recorder::CallUnderWay;
use super::stream::{Relayed, Speaker};
use super::{Admitted, Line, session};
use crate::authenticate::request_id;
use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

/// The signed statement of who calls.
const ASSERTION: HeaderName = HeaderName::from_static("x-keyrack-assertion");
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
    body: Bytes,
    call: &mut CallUnderWay,
) -> Result<HttpResponse<Relayed<AnswerBody>>, Problem> {
    let Admitted { grant, live, server } = admitted;
    // The message may have taken its time to arrive.
    if live.has_ended() {
        return Err(Problem::new(Code::Unauthenticated));
    }
    if services.suspended.covers(grant.tenant()) {
        return Err(TenantRefusal::Suspended.into());
    }
    if !body.is_empty() && !headers::says_utf8(request.headers()) {
        let why = "the message must be JSON in UTF-8, without a Content-Encoding";
        return Err(Problem::because(Code::InvalidRequest, why));
    }
    if let Ok(envelope) = Envelope::read(&body) {
        call.understood(&envelope, &services.token_keys);
    }
    inspect_message(&body, &server.record().allowed_secret_fields, &services.token_keys)?;
    let passport = services.passports.issue(&grant, &server)?;
    let session = match request.headers().get(MCP_SESSION_ID) {
        Some(presented) => bridge::value_up(&session::open(&services.sealer, &grant, &server, presented)?),
        None => None,
    };
    if let Some(session) = &session {
        call.belongs_to(services, grant.tenant(), session.as_bytes());
    }
    let idle = services.settings.upstream_idle_timeout;
    let method = bridge::method_up(request.method()).ok_or_else(|| Problem::new(Code::InvalidRequest))?;
    let answer = async {
        let mut elsewhere = None;
        for _hop in 0..2 {
            let target = elsewhere.as_ref().unwrap_or(&passport.target);
            let headers = outgoing(request, &passport, session.as_ref());
            let connect = services.settings.upstream_connect_timeout;
            let sent = line.upstream.send(target, method.clone(), headers, body.clone(), connect);
            let answer = sent.await.map_err(|error| fault(request, error))?;
            match redirect(&answer, target) {
                Redirect::No => return Ok(answer),
                Redirect::Same(next) if elsewhere.is_none() => elsewhere = Some(*next),
                Redirect::Same(_) | Redirect::Elsewhere => break,
            }
        }
        Err(Problem::because(
            Code::UpstreamError,
            "the server redirects elsewhere; register the URL that it redirects to",
        ))
    };
    // Dropping the future closes the upstream connection, which is how the upstream learns that nobody waits any more.
    let answer = tokio::select! {
        biased;
        () = live.over() => return Err(Problem::new(Code::Unauthenticated)),
        answer = line.clock.within(idle, || services.suspended.covers(grant.tenant()), answer) => answer,
    };
    if services.suspended.covers(grant.tenant()) {
        return Err(TenantRefusal::Suspended.into());
    }
    let late = || Problem::because(Code::UpstreamTimeout, "the server did not answer in time");
    let answer = answer.ok_or_else(late)??;
    if live.has_ended() {
        return Err(Problem::new(Code::Unauthenticated));
    }
    if let Some(upstream) = answer.headers().get(SESSION_UP) {
        call.belongs_to(services, grant.tenant(), upstream.as_bytes());
    }
    relay(services, line, request, answer, &grant, &server, live)
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

fn fault(request: &HttpRequest, fault: UpstreamFault) -> Problem {
    let request_id = request_id(request).map(tracing::field::display);
    tracing::warn!(request_id, error = &fault as &dyn std::error::Error, "the upstream server gave no answer");
    fault.into()
}

/// What an answer says about where to go.
enum Redirect {
    /// Nothing: it is the answer.
    No,
    /// Somewhere that we may follow: the same origin, with a status that keeps method and body (307, 308).
    Same(Box<Target>),
    /// Somewhere else.
    Elsewhere,
}

fn redirect(answer: &Answer, from: &Target) -> Redirect {
    if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
        return Redirect::No;
    }
    let same_origin = || {
        let keeps_body = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&answer.status());
        let location = answer.headers().get(LOCATION).filter(|_| keeps_body)?;
        let to = from.url().join(location.to_str().ok()?).ok()?;
        if to.origin() == from.url().origin() { Target::of(&to).ok() } else { None }
    };
    same_origin().map_or(Redirect::Elsewhere, |target| Redirect::Same(Box::new(target)))
}

fn relay(
    services: &Services,
    line: &Line,
    request: &HttpRequest,
    answer: Answer,
    grant: &Grant<McpConnect>,
    server: &ReachableServer,
    live: LiveKeyHandle,
) -> Result<HttpResponse<Relayed<AnswerBody>>, Problem> {
    if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        // It judges our credential, not the caller's key.
        return Err(Problem::because(
            Code::UpstreamError,
            format!("the server refused Keyrack's credential with {}; check its auth", answer.status().as_u16()),
        ));
    }
    let broken = || Problem::because(Code::UpstreamError, "the server's answer cannot be passed on");
    let mut response = HttpResponse::build(bridge::status_down(answer.status()).ok_or_else(broken)?).finish();
    copy_response(answer.headers(), response.headers_mut());
    if let Some(upstream) = answer.headers().get(SESSION_UP) {
        let upstream = bridge::value_down(upstream).ok_or_else(broken)?;
        response.headers_mut().insert(MCP_SESSION_ID, session::seal(&services.sealer, grant, server, &upstream)?);
    }
    let length = match *request.method() {
        // It has no body, and tells the length that another method's would have.
        Method::HEAD => announced(answer.headers()),
        _ => answer.length(),
    };
    let speaker = Speaker { live, tenant: grant.tenant().clone(), suspended: Arc::clone(&services.suspended) };
    let body =
        Relayed::new(answer.into_body(), length, speaker, services.settings.upstream_idle_timeout, line.clock.clone());
    Ok(response.set_body(body))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
