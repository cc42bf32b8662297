//! `POST /connect/{link}`: takes the credential, or sends its owner away for their consent. Either uses the link up.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use domain::audit::{AuditEvent, AuditTarget, Outcome};
use domain::connect::Browser;
use domain::connect::link::Dead;
use domain::server::{OAuthClient, ServerAuth, TenantAuth};
use domain::time::{Clock, SystemClock};
use infra::oauth::ConsentFault;
use url::form_urlencoded;

use super::cookie;
use super::live::{Closed, Live, event, open, refused};
use super::pages::{self, Again};
use crate::authenticate::{record, request_id};
use crate::code::Code;
use crate::compose::Services;
use crate::extract;
use crate::to_the_end::to_the_end;
use crate::v1::connections::put::credential;

/// Longest form, in bytes: a secret whose every byte is escaped, and the rest.
const FORM_MAX: usize = 32 << 10;

pub(super) async fn give(
    services: Data<Services>,
    request: HttpRequest,
    link: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let Some(mut form) = read(&request, payload).await else { return pages::unreadable() };
    let proof = form.remove("proof").unwrap_or_default();
    let proof = proof.as_str();
    let browser = cookie::browser(&services, &request);
    let Some(browser) = browser.filter(|browser| services.browsers.holds(browser, &link, proof)) else {
        services.audit.count_anonymous("connect.open", "a form that was not of this browser's page");
        return pages::foreign();
    };
    let live = match open(&services, &request, &link).await {
        Ok(live) => live,
        Err(closed) => return closed.page(),
    };
    let answered = match &live.server.auth {
        ServerAuth::Tenant(TenantAuth::OAuth2(client)) => {
            let client = client.clone();
            consent(&services, &request, live, client, &browser, proof).await
        }
        ServerAuth::Tenant(TenantAuth::Bearer | TenantAuth::Header { .. } | TenantAuth::Basic)
        | ServerAuth::Organization(_) => keep(&services, &request, live, form, proof).await,
    };
    answered.unwrap_or_else(Closed::page)
}

/// The fields of a form; none when it is no form, or a field stands there twice.
async fn read(request: &HttpRequest, payload: Payload) -> Option<HashMap<String, String>> {
    let kind = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    if !kind.split(';').next()?.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let body = extract::read(payload, FORM_MAX).await.ok()?;
    let mut fields = HashMap::new();
    for (name, value) in form_urlencoded::parse(&body) {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(fields)
}

async fn keep(
    services: &Data<Services>,
    request: &HttpRequest,
    live: Live,
    mut form: HashMap<String, String>,
    proof: &str,
) -> Result<HttpResponse, Closed> {
    let (username, secret) = (form.remove("username"), form.remove("secret"));
    let typed = username.clone().unwrap_or_default();
    let given = match credential(&live.server, live.server.auth.kind(), secret.map(Into::into), username) {
        Ok(given) => given,
        Err(errors) => {
            return Ok(pages::form(
                StatusCode::BAD_REQUEST,
                &live,
                proof,
                &Again::of(&errors, live.server.auth.kind(), &typed),
            ));
        }
    };
    let id = request_id(request);
    let shared = Data::clone(services);
    let (live, kept) = to_the_end(async move {
        let event = AuditEvent {
            request_id: id,
            ..AuditEvent::allowed(&live.grant, "connection.create", AuditTarget::Tenant, SystemClock.now())
        };
        let (server, used) = (Arc::clone(&live.server), live.link.used());
        let kept = shared.connections.put_by_link(&live.grant, server, given, event, used).await?;
        Ok((live, kept))
    })
    .await?;
    match kept {
        Some(_) => Ok(pages::done(&live)),
        None => Err(refused(services, request, &live.link, "connect.open", &Dead::Used).await),
    }
}

async fn consent(
    services: &Data<Services>,
    request: &HttpRequest,
    live: Live,
    client: OAuthClient,
    browser: &Browser,
    proof: &str,
) -> Result<HttpResponse, Closed> {
    let (shared, browser) = (Data::clone(services), browser.clone());
    let (link, server) = (live.link.clone(), Arc::clone(&live.server));
    let sent = to_the_end(async move {
        let bind = |state: &str| *shared.browsers.binding(&browser, state).as_bytes();
        Ok(shared.consents.begin(link, &server, &client, bind).await)
    })
    .await?;
    match sent {
        Ok(url) => Ok(pages::elsewhere(&url)),
        Err(ConsentFault::Used) => Err(refused(services, request, &live.link, "connect.open", &Dead::Used).await),
        Err(ConsentFault::Store(fault)) => Err(fault.into()),
        Err(ConsentFault::OAuth(fault)) => {
            // What went wrong is for whoever registered the server; the person at the form can only try again.
            let failed = AuditEvent {
                outcome: Outcome::Error,
                code: Some(Code::UpstreamError.as_str()),
                reason: Some(fault.to_string()),
                ..event(request, &live.link, "connect.authorize")
            };
            record(services, failed).await?;
            tracing::info!(error = &fault as &dyn std::error::Error, "nobody could be sent for consent");
            let again = Again::because(
                "The service could not be asked. Try again in a moment; if it stays so, tell whoever sent you the link.",
            );
            Ok(pages::form(StatusCode::BAD_GATEWAY, &live, proof, &again))
        }
    }
}
