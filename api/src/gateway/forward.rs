//! Sending a caller's message upstream and bringing the answer back.

use std::sync::Arc;

use actix_web::http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use actix_web::http::{Method, StatusCode, Uri, Version};
use actix_web::{HttpRequest, HttpResponse};
use awc::ClientResponse;
use awc::error::SendRequestError;
use domain::key::port::LiveKey;
use domain::mcp::Era;
use domain::tenant::TenantRefusal;
use infra::upstream::UpstreamFault;
use url::Url;

use super::headers::{ASSERTION, MCP_SESSION_ID, copy_request, copy_response};
use super::passport::Passport;
use super::session::{self, Session};
use super::stream::{Relayed, Speaker};
use super::{Admitted, Checked, Line};
use crate::authenticate::request_id;
use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

type Answer = ClientResponse<actix_http::BoxedPayloadStream>;

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
) -> Result<HttpResponse, Problem> {
    let Admitted { grant, live, server } = admitted;
    let passport = services.passports.issue(&grant, &server)?;
    let idle = services.settings.upstream_idle_timeout;
    let answer = async {
        let mut target = passport.target.clone();
        for hop in 0..2 {
            let mut outgoing = line.upstream.request(request.method().clone(), target.clone());
            copy_request(request.headers(), outgoing.headers_mut());
            dress(outgoing.headers_mut(), &passport, session.as_ref().map(|session| &session.upstream));
            let answer = outgoing.send_body(body.clone()).await.map_err(|error| fault(request, error))?;
            match redirect(&answer, &target) {
                Redirect::No => return Ok(answer),
                Redirect::Same(next) if hop == 0 => target = next,
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
    if let Some(session) = &session
        && *request.method() == Method::DELETE
        && answer.status().is_success()
    {
        session.used.end();
    }
    relay(services, line, answer, &grant, &server, live, (era, session))
}

fn dress(
    headers: &mut actix_web::http::header::HeaderMap,
    passport: &Passport,
    session: Option<&actix_web::http::header::HeaderValue>,
) {
    headers.insert(ASSERTION, passport.assertion.clone());
    if let Some((name, value)) = &passport.credential {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(session) = session {
        headers.insert(MCP_SESSION_ID, session.clone());
    }
}

fn fault(request: &HttpRequest, error: SendRequestError) -> Problem {
    let fault = UpstreamFault::from(error);
    let request_id = request_id(request).map(tracing::field::display);
    tracing::warn!(request_id, error = &fault as &dyn std::error::Error, "the upstream server gave no answer");
    fault.into()
}

/// What an answer says about where to go.
enum Redirect {
    /// Nothing: it is the answer.
    No,
    /// Somewhere that we may follow: the same origin, with a status that keeps method and body (307, 308).
    Same(Uri),
    /// Somewhere else.
    Elsewhere,
}

fn redirect(answer: &Answer, from: &Uri) -> Redirect {
    if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
        return Redirect::No;
    }
    let same_origin = || {
        let keeps_body = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&answer.status());
        let from = Url::parse(&from.to_string()).ok().filter(|_| keeps_body)?;
        let to = from.join(answer.headers().get(LOCATION)?.to_str().ok()?).ok()?;
        if to.origin() == from.origin() { to.as_str().parse().ok() } else { None }
    };
    same_origin().map_or(Redirect::Elsewhere, Redirect::Same)
}

fn relay(
    services: &Services,
    line: &Line,
    answer: Answer,
    grant: &domain::access::Grant<domain::access::permission::McpConnect>,
    server: &domain::access::decide::ReachableServer,
    live: infra::cache::LiveKeyHandle,
    (era, session): (Era, Option<Session>),
) -> Result<HttpResponse, Problem> {
    if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        // It judges our credential, not the caller's key.
        return Err(Problem::because(
            Code::UpstreamError,
            format!("the server refused Keyrack's credential with {}; check its auth", answer.status().as_u16()),
        ));
    }
    if !is_framed(&answer) {
        return Err(Problem::because(
            Code::UpstreamError,
            "the server's answer has neither Content-Length nor chunks, so its end cannot be told from a failure",
        ));
    }
    let mut response = HttpResponse::build(answer.status()).finish();
    copy_response(answer.headers(), response.headers_mut());
    // Modern revisions have no sessions; a server that hands one out all the same has not the caller's to give.
    if let Some(upstream) = answer.headers().get(MCP_SESSION_ID).filter(|_| !era.is_modern()) {
        let id = match &session {
            Some(session) if session.upstream == *upstream => session.presented.clone(),
            _ => session::seal(services, grant, server, upstream)?,
        };
        response.headers_mut().insert(MCP_SESSION_ID, id);
    }
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let speaker = Speaker {
        live,
        tenant: grant.tenant().clone(),
        suspended: Arc::clone(&services.suspended),
        session: session.map(|session| session.used),
    };
    let body = Relayed::new(answer, length, speaker, services.settings.upstream_idle_timeout, line.clock.clone());
    Ok(response.set_body(body).map_into_boxed_body())
}

/// Whether the end of the body can be told. One that ends with its connection cannot be told from half of one, and the
/// HTTP/1.1 client takes it for an empty one; passing that on would lose the answer without a word.
fn is_framed(answer: &Answer) -> bool {
    let bodiless = matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::ACCEPTED | StatusCode::NOT_MODIFIED);
    let headers = answer.headers();
    bodiless
        || answer.version() == Version::HTTP_2
        || headers.contains_key(CONTENT_LENGTH)
        || headers.contains_key(TRANSFER_ENCODING)
}
