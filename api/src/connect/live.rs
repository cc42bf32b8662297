//! From a link to what it may do now. The reason why one does nothing is for the audit log alone.

use actix_web::{HttpRequest, HttpResponse};
use domain::access::decide::{DecisionFault, Refusal};
use domain::access::permission::ConnectionsWrite;
use domain::access::{Actor, Grant};
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::connect::link::{ConnectLink, Dead, LinkBearer, LinkMaker};
use domain::connect::port::LinkMakers;
use domain::server::model::SharedServer;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};

use super::pages;
use crate::authenticate::{record, request_id};
use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

/// A link that opened, and what its maker may do now.
pub(super) struct Live {
    pub(super) link: ConnectLink,
    pub(super) grant: Grant<ConnectionsWrite>,
    pub(super) server: SharedServer,
}

/// Nothing opens.
#[derive(Debug)]
pub(super) enum Closed {
    /// The link does not work.
    Dead,
    /// Keyrack cannot tell.
    Unavailable(Problem),
}

impl From<Problem> for Closed {
    fn from(problem: Problem) -> Self {
        Self::Unavailable(problem)
    }
}

impl From<StoreFault> for Closed {
    fn from(fault: StoreFault) -> Self {
        Self::Unavailable(fault.into())
    }
}

impl Closed {
    /// The page that says so.
    pub(super) fn page(self) -> HttpResponse {
        match self {
            Self::Dead => pages::dead(),
            Self::Unavailable(problem) => {
                tracing::warn!(error = &problem as &dyn std::error::Error, "a connect page could not be answered");
                pages::unavailable()
            }
        }
    }
}

/// Opens a link as it stands in an address.
pub(super) async fn open(services: &Services, request: &HttpRequest, token: &str) -> Result<Live, Closed> {
    let Ok(link) = services.sealer.open_link(token) else {
        services.audit.count_anonymous("connect.open", "not a link of ours");
        return Err(Closed::Dead);
    };
    match link.check(&services.consent_store, SystemClock.now()).await? {
        Ok(()) => standing(services, request, link, "connect.open").await,
        Err(dead) => Err(refused(services, request, &link, "connect.open", &dead).await),
    }
}

/// What a link's maker may do now, whether the link was used or not.
pub(super) async fn standing(
    services: &Services,
    request: &HttpRequest,
    link: ConnectLink,
    action: &'static str,
) -> Result<Live, Closed> {
    let bearer = match link.bearer(&services.consent_store as &dyn LinkMakers, SystemClock.now()).await? {
        Ok(bearer) => bearer,
        Err(dead) => return Err(refused(services, request, &link, action, &dead).await),
    };
    let (grant, server) = match admitted(services, request, &link, &bearer).await {
        Ok(admitted) => admitted,
        Err(DecisionFault::Refused(why)) => return Err(refused(services, request, &link, action, &why).await),
        Err(DecisionFault::Store(fault)) => return Err(fault.into()),
    };
    if !pages::takes_connections(&server) {
        return Err(refused(services, request, &link, action, &Dead::NoConnections).await);
    }
    let event = AuditEvent {
        request_id: request_id(request),
        ..AuditEvent::allowed(&grant, action, AuditTarget::Server(server.id), SystemClock.now())
    };
    record(services, event).await?;
    Ok(Live { link, grant, server })
}

async fn admitted(
    services: &Services,
    request: &HttpRequest,
    link: &ConnectLink,
    bearer: &LinkBearer,
) -> Result<(Grant<ConnectionsWrite>, SharedServer), DecisionFault> {
    let name = link.server_name();
    let first_use = |actor: Actor| AuditEvent {
        organization: Some(actor.organization().id),
        target: AuditTarget::Tenant,
        request_id: request_id(request),
        ..AuditEvent::unproven(AuditActor::Proven(actor), "tenant.create", SystemClock.now())
    };
    let admitted = services.gate.admit_bearer(bearer, link.question(&name), first_use).await?;
    let grant = admitted.scope.grant::<ConnectionsWrite>()?;
    let server = admitted.server.ok_or(Refusal::Denied(domain::access::Denied::ServerNotFound))?;
    Ok((grant, std::sync::Arc::clone(server.record())))
}

/// Records why a link does nothing.
pub(super) async fn refused(
    services: &Services,
    request: &HttpRequest,
    link: &ConnectLink,
    action: &'static str,
    why: &dyn std::error::Error,
) -> Closed {
    let event = AuditEvent { reason: Some(why.to_string()), ..event(request, link, action) };
    match record(services, event.refused(Code::NotFound.as_str())).await {
        Ok(()) => Closed::Dead,
        Err(problem) => problem.into(),
    }
}

/// An event of whoever made a link.
pub(super) fn event(request: &HttpRequest, link: &ConnectLink, action: &'static str) -> AuditEvent {
    let actor = match link.maker {
        LinkMaker::Key(id) => AuditActor::Key(id),
        LinkMaker::Person(id) => AuditActor::User(id),
    };
    AuditEvent {
        organization: Some(link.organization),
        target: AuditTarget::Server(link.server),
        request_id: request_id(request),
        ..AuditEvent::unproven(actor, action, SystemClock.now())
    }
}
