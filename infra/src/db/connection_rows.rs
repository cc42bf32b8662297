//! A connection as a row: what is sealed of it, and its opening.

use std::borrow::Cow;
use std::sync::Arc;

use domain::connection::{ClientAuth, Connection, Credential, Holder, OAuthGrant, SharedConnection};
use domain::egress::VettedUrl;
use domain::id::{ConnectionId, OrganizationId, ServerId, TenantUserId, UserId};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::ActiveValue;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::entity::connection;
use crate::seal::{ConnectionPlace, Sealer};

/// A credential as it is sealed. Fields may be added; what stands here keeps its name.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Plain<'a> {
    Bearer {
        #[serde(borrow)]
        secret: Cow<'a, str>,
    },
    Header {
        #[serde(borrow)]
        secret: Cow<'a, str>,
    },
    Basic {
        #[serde(borrow)]
        username: Cow<'a, str>,
        #[serde(borrow)]
        secret: Cow<'a, str>,
    },
    Oauth2 {
        #[serde(borrow)]
        access: Cow<'a, str>,
        expires_at: Option<i64>,
        renew_at: Option<i64>,
        #[serde(borrow)]
        refresh: Option<Cow<'a, str>>,
        #[serde(borrow)]
        token_endpoint: Cow<'a, str>,
        #[serde(borrow)]
        resource: Cow<'a, str>,
        #[serde(borrow)]
        client_id: Cow<'a, str>,
        client_auth: ClientMethod,
        #[serde(borrow)]
        client_secret: Option<Cow<'a, str>>,
    },
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ClientMethod {
    None,
    Basic,
    Post,
}

impl<'a> From<&'a Credential> for Plain<'a> {
    fn from(credential: &'a Credential) -> Self {
        match credential {
            Credential::Bearer(secret) => Self::Bearer { secret: secret.expose_secret().into() },
            Credential::Header(secret) => Self::Header { secret: secret.expose_secret().into() },
            Credential::Basic { username, password } => {
                Self::Basic { username: username.into(), secret: password.expose_secret().into() }
            }
            Credential::OAuth(grant) => {
                let (client_auth, client_secret) = match &grant.client_auth {
                    ClientAuth::None => (ClientMethod::None, None),
                    ClientAuth::Basic(secret) => (ClientMethod::Basic, Some(secret)),
                    ClientAuth::Post(secret) => (ClientMethod::Post, Some(secret)),
                };
                Self::Oauth2 {
                    access: grant.access.expose_secret().into(),
                    expires_at: grant.expires_at.map(Timestamp::as_micros),
                    renew_at: grant.renew_at.map(Timestamp::as_micros),
                    refresh: grant.refresh.as_ref().map(|token| token.expose_secret().into()),
                    token_endpoint: grant.token_endpoint.as_url().as_str().into(),
                    resource: (&grant.resource).into(),
                    client_id: (&grant.client_id).into(),
                    client_auth,
                    client_secret: client_secret.map(|secret| secret.expose_secret().into()),
                }
            }
        }
    }
}

impl Plain<'_> {
    /// None when it holds together no longer.
    fn credential(self) -> Option<Credential> {
        Some(match self {
            Self::Bearer { secret } => Credential::Bearer(secret.into_owned().into()),
            Self::Header { secret } => Credential::Header(secret.into_owned().into()),
            Self::Basic { username, secret } => {
                Credential::Basic { username: username.into_owned(), password: secret.into_owned().into() }
            }
            Self::Oauth2 {
                access,
                expires_at,
                renew_at,
                refresh,
                token_endpoint,
                resource,
                client_id,
                client_auth,
                client_secret,
            } => {
                let secret = client_secret.map(|secret| secret.into_owned().into());
                Credential::OAuth(Box::new(OAuthGrant {
                    access: access.into_owned().into(),
                    expires_at: expires_at.map(Timestamp::from_micros),
                    renew_at: renew_at.map(Timestamp::from_micros),
                    refresh: refresh.map(|token| token.into_owned().into()),
                    token_endpoint: VettedUrl::stored(&token_endpoint).ok()?,
                    resource: resource.into_owned(),
                    client_id: client_id.into_owned(),
                    client_auth: match client_auth {
                        ClientMethod::None => ClientAuth::None,
                        ClientMethod::Basic => ClientAuth::Basic(secret?),
                        ClientMethod::Post => ClientAuth::Post(secret?),
                    },
                }))
            }
        })
    }
}

/// A holder as the two columns have it.
pub fn holder_columns(holder: Holder) -> (i16, Uuid) {
    match holder {
        Holder::Person(id) => (0, id.as_uuid()),
        Holder::TenantUser(id) => (1, id.as_uuid()),
    }
}

fn holder(kind: i16, id: Uuid) -> Result<Holder, StoreFault> {
    match kind {
        0 => Ok(Holder::Person(UserId::from_uuid(id))),
        1 => Ok(Holder::TenantUser(TenantUserId::from_uuid(id))),
        _ => Err(StoreFault::Corrupt("holder of a connection".to_owned())),
    }
}

fn place(connection: &Connection) -> ConnectionPlace<'_> {
    ConnectionPlace {
        organization: connection.organization,
        holder: connection.holder,
        server: connection.server,
        origin: &connection.origin,
    }
}

/// Where a row's credential belongs.
///
/// # Errors
/// [`StoreFault::Corrupt`]
pub fn place_of(row: &connection::Model) -> Result<ConnectionPlace<'_>, StoreFault> {
    Ok(ConnectionPlace {
        organization: OrganizationId::from_uuid(row.organization_id),
        holder: holder(row.holder_kind, row.holder_id)?,
        server: ServerId::from_uuid(row.server_id),
        origin: &row.origin,
    })
}

/// The row of a connection.
///
/// # Errors
/// [`StoreFault::Broken`] when the random source fails.
pub fn row(sealer: &Sealer, connection: &Connection) -> Result<connection::ActiveModel, StoreFault> {
    let (holder_kind, holder_id) = holder_columns(connection.holder);
    let plain = serde_json::to_vec(&Plain::from(&connection.credential));
    let plain = Zeroizing::new(plain.map_err(|error| StoreFault::Broken(Box::new(error)))?);
    let sealed = sealer.seal_connection(place(connection), &plain);
    Ok(connection::ActiveModel {
        id: ActiveValue::Set(connection.id.as_uuid()),
        organization_id: ActiveValue::NotSet,
        holder_kind: ActiveValue::Set(holder_kind),
        holder_id: ActiveValue::Set(holder_id),
        server_id: ActiveValue::Set(connection.server.as_uuid()),
        origin: ActiveValue::Set(connection.origin.clone()),
        kind: ActiveValue::Set(connection.kind().as_str().to_owned()),
        sealed: ActiveValue::Set(sealed.map_err(|fault| StoreFault::Broken(Box::new(fault)))?),
        refused: ActiveValue::Set(connection.refused),
        created_at: ActiveValue::Set(connection.created_at.as_micros()),
        last_used_at: ActiveValue::Set(connection.last_used_at.map(Timestamp::as_micros)),
    })
}

/// The connection of a row.
///
/// # Errors
/// [`StoreFault::Corrupt`] for a row that does not open where it stands, as one that was copied from elsewhere.
pub fn opened(sealer: &Sealer, row: connection::Model) -> Result<SharedConnection, StoreFault> {
    let id = ConnectionId::from_uuid(row.id);
    let corrupt = || StoreFault::Corrupt(format!("connection {id}: credential"));
    let place = place_of(&row)?;
    let ConnectionPlace { organization, holder, server, .. } = place;
    let plain = sealer.open_connection(place, &row.sealed).map_err(|_| corrupt())?;
    let plain: Plain<'_> = serde_json::from_slice(&plain).map_err(|_| corrupt())?;
    Ok(Arc::new(Connection {
        id,
        organization,
        holder,
        server,
        credential: plain.credential().ok_or_else(corrupt)?,
        origin: row.origin,
        refused: row.refused,
        created_at: Timestamp::from_micros(row.created_at),
        last_used_at: row.last_used_at.map(Timestamp::from_micros),
    }))
}
