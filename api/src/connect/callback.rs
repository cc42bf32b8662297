//! `GET /connect/callback`: somebody comes back from an authorization server. Nothing that they bring counts unless it is
//! the answer to a question of ours, in the browser that we asked it in, from whom we asked.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use domain::audit::{AuditEvent, AuditTarget, Outcome};
use domain::connect::link::Dead;
use domain::connection::Credential;
use domain::time::{Clock, SystemClock};
use infra::oauth::{Callback, ConsentFault, Pending};
use secrecy::{ExposeSecret, SecretString};

use super::live::{Closed, event, refused, standing};
use super::{cookie, pages};
use crate::authenticate::{record, request_id};
use crate::code::Code;
use crate::compose::Services;
use crate::to_the_end::to_the_end;

const ACTION: &str = "connect.authorize";

pub(super) async fn callback(services: Data<Services>, request: HttpRequest) -> HttpResponse {
    came_back(&services, &request).await.unwrap_or_else(Closed::page)
}

async fn came_back(services: &Data<Services>, request: &HttpRequest) -> Result<HttpResponse, Closed> {
    let Ok(callback) = Callback::parse(request.query_string()) else {
        services.audit.count_anonymous(ACTION, "not an answer of an authorization server");
        return Err(Closed::Dead);
    };
    let Some(pending) = services.consents.find(&callback).await? else {
        services.audit.count_anonymous(ACTION, "an answer that nobody waits for");
        return Err(Closed::Dead);
    };
    let browser = cookie::browser(services, request);
    let began = |browser| services.browsers.binding(browser, callback.state.expose_secret()) == pending.browser;
    if !browser.as_ref().is_some_and(began) {
        refused(services, request, &pending.link, ACTION, &Dead::OtherBrowser).await;
        return Ok(pages::foreign());
    }
    if let Err(fault) = callback.from(&pending.issuer, pending.names_itself) {
        return Err(refused(services, request, &pending.link, ACTION, &fault).await);
    }
    // Of two that bring the same answer, one goes on.
    if !services.consents.take(&callback).await? {
        return Err(refused(services, request, &pending.link, ACTION, &Dead::Used).await);
    }
    match callback.outcome {
        Ok(code) => connect(services, request, pending, code).await,
        Err(error) => {
            let said = AuditEvent { reason: Some(error), ..event(request, &pending.link, ACTION) };
            record(services, said.refused(Code::UpstreamError.as_str())).await?;
            Ok(pages::not_agreed())
        }
    }
}

async fn connect(
    services: &Data<Services>,
    request: &HttpRequest,
    pending: Pending,
    code: SecretString,
) -> Result<HttpResponse, Closed> {
    let live = standing(services, request, pending.link.clone(), ACTION).await?;
    if live.server.origin() != pending.origin {
        return Err(refused(services, request, &live.link, ACTION, &Dead::ServerMoved).await);
    }
    let (shared, id) = (Data::clone(services), request_id(request));
    let kept = to_the_end(async move {
        let grant = match shared.consents.grant(&pending, &code).await {
            Ok(grant) => grant,
            Err(ConsentFault::Store(fault)) => return Err(fault.into()),
            Err(fault @ (ConsentFault::OAuth(_) | ConsentFault::Used)) => return Ok(Err((pending, fault))),
        };
        let event = AuditEvent {
            request_id: id,
            ..AuditEvent::allowed(&live.grant, "connection.create", AuditTarget::Tenant, SystemClock.now())
        };
        let credential = Credential::OAuth(Box::new(grant));
        shared.connections.put(&live.grant, Arc::clone(&live.server), credential, event).await?;
        Ok(Ok(live))
    })
    .await?;
    match kept {
        Ok(live) => Ok(pages::done(&live)),
        Err((pending, fault)) => {
            let failed = AuditEvent {
                outcome: Outcome::Error,
                code: Some(Code::UpstreamError.as_str()),
                reason: Some(fault.to_string()),
                ..event(request, &pending.link, ACTION)
            };
            record(services, failed).await?;
            Ok(pages::not_granted())
        }
    }
}
