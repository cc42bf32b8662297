//! `POST /connections/{server}/link`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::ConnectionsWrite;
use domain::audit::{AuditEvent, AuditTarget};
use domain::connect::ConnectLink;
use domain::field::FieldErrors;
use domain::server::port::ServerName;
use domain::server::{AuthScope, ServerRecord};
use domain::time::{Clock, SystemClock};
use serde::Serialize;
use utoipa::ToSchema;

use crate::authenticate::record;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, OnTenant};
use crate::problem::Problem;
use crate::v1::{Refusals, time};

/// A link for whoever has the credential.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectLinkShape {
    /// What to open in a browser. It works once, until it is over, and while you could make the connection yourself.
    #[schema(example = "https://keyrack.example.com/connect/…")]
    url: String,
    /// When it is over, RFC 3339 UTC.
    expires_at: String,
}

/// A link on which somebody connects this tenant to this server.
///
/// # Errors
/// 400 when the server takes no connections.
pub fn link_to(
    services: &Services,
    grant: &domain::access::Grant<ConnectionsWrite>,
    server: &ServerRecord,
) -> Result<(String, ConnectLink), Problem> {
    if server.auth.scope() == AuthScope::Organization {
        let why = "takes no connections: it has the organization's credential, or none";
        return Err(FieldErrors::one("server", why).into());
    }
    let internal = |error: &dyn std::error::Error| {
        tracing::error!(%error, "no connect link");
        Problem::new(Code::Internal)
    };
    let link = ConnectLink::new(grant, server.id, SystemClock.now()).map_err(|error| internal(&error))?;
    let token = services.sealer.seal_link(&link).map_err(|error| internal(&error))?;
    Ok((format!("{}{}/{token}", services.public_url, crate::connect::PREFIX), link))
}

/// Makes a link on which whoever has the credential connects this tenant to the server: by typing it, or by agreeing at
/// the server's authorization server. It works once and for ten minutes.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_connect_link", tag = "connections",
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses((status = 201, description = "The link.", body = ConnectLinkShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/connections/{server}/link")]
pub async fn create_connect_link(
    allowed: Allowed<ConnectionsWrite, OnTenant>,
    services: Data<Services>,
    server: Path<String>,
) -> Result<HttpResponse, Problem> {
    let found = services.connections.connectable(&allowed, ServerName::parse(&server).as_ref()).await;
    let server = allowed.noted(&services, AuditTarget::Tenant, found).await?;
    let (url, link) = link_to(&services, &allowed, &server)?;
    let event: AuditEvent = allowed.event("connection.link", AuditTarget::Server(server.id));
    record(&services, event).await?;
    Ok(HttpResponse::Created().json(ConnectLinkShape { url, expires_at: time(link.ends) }))
}
