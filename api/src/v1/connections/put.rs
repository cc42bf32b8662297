//! `PUT /connections/{server}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, put};
use domain::access::permission::ConnectionsWrite;
use domain::audit::AuditTarget;
use domain::connection::Credential;
use domain::connection::service::takes_secret;
use domain::field::FieldErrors;
use domain::server::model::SharedServer;
use domain::server::port::ServerName;
use domain::server::{AuthKind, UpstreamAuth};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::ConnectionShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body, OnTenant};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::mcp_servers::auth::{AuthKindName, Given, own_credential};
use crate::v1::{BodyRefusals, Refusals};

/// A tenant's credential for a server.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewConnection {
    /// What the server takes: `bearer`, `header` or `basic`.
    kind: AuthKindName,
    /// The token, the header's value or the password. Sealed at once and never shown again.
    #[schema(value_type = Option<String>, format = Password, max_length = 8192)]
    secret: Option<SecretString>,
    /// The user name, for kind `basic`.
    #[schema(max_length = 256)]
    username: Option<String>,
}

impl NewConnection {
    fn parse(self, server: &SharedServer) -> Result<Credential, FieldErrors> {
        let kind = AuthKind::from(self.kind);
        if !takes_secret(kind) {
            let why = "must be bearer, header or basic: what somebody consents to elsewhere cannot be given here";
            return Err(FieldErrors::one("kind", why));
        }
        credential(server, kind, self.secret, self.username)
    }
}

/// Checks a credential that somebody gives for a server.
///
/// # Errors
/// [`FieldErrors`]
pub fn credential(
    server: &SharedServer,
    kind: AuthKind,
    secret: Option<SecretString>,
    username: Option<String>,
) -> Result<Credential, FieldErrors> {
    let mut errors = FieldErrors::default();
    if username.is_some() && kind != AuthKind::Basic {
        errors.add("username", format!("does not go with kind {}", kind.as_str()));
    }
    // A kind that the server does not take has no header; that it is the wrong one is said later.
    let header = server.auth.header().unwrap_or("x-none").to_owned();
    let given = Given { secret, username, header: Some(header) };
    let auth = own_credential(kind, given, "", &mut errors);
    errors.check()?;
    match auth {
        Some(UpstreamAuth::Bearer(secret)) => Ok(Credential::Bearer(secret)),
        Some(UpstreamAuth::Header { value, .. }) => Ok(Credential::Header(value)),
        Some(UpstreamAuth::Basic { username, password }) => Ok(Credential::Basic { username, password }),
        Some(UpstreamAuth::None) | None => Err(FieldErrors::one("secret", "is required")),
    }
}

/// Connects the tenant to a server, in place of the connection that there is.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "put_connection", tag = "connections", request_body = NewConnection,
    params(("server" = String, Path, description = "Id or slug.", example = "notes"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The connection.", body = ConnectionShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[put("/connections/{server}")]
pub async fn put_connection(
    allowed: Allowed<ConnectionsWrite, OnTenant>,
    services: Data<Services>,
    server: Path<String>,
    body: Body<NewConnection>,
) -> Result<HttpResponse, Problem> {
    let found = services.connections.connectable(&allowed, ServerName::parse(&server).as_ref()).await;
    let server = allowed.noted(&services, AuditTarget::Tenant, found).await?;
    let credential = body.read().await?.parse(&server)?;
    let view = to_the_end(async move {
        let event = allowed.event("connection.create", AuditTarget::Tenant);
        let connected = services.connections.put(&allowed, server, credential, event).await?;
        Ok(ConnectionShape::new(&connected, &allowed))
    })
    .await?;
    Ok(HttpResponse::Ok().json(view))
}
