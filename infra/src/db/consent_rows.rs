//! What is sealed of consents and links: how it stands in text before it is sealed.

use std::borrow::Cow;

use domain::connect::{ConnectLink, LinkMaker};
use domain::egress::VettedUrl;
use domain::id::{OrganizationId, ServerId, UserId};
use domain::key::KeyId;
use domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::oauth::{AuthMethod, ClientIdentity, KnownClient, Pending, Registered, TokenSource};

/// A link.
#[derive(Serialize, Deserialize)]
pub struct PlainLink {
    organization: Uuid,
    key: Option<String>,
    person: Option<Uuid>,
    org: Option<String>,
    user: Option<String>,
    server: Uuid,
    ends: i64,
    nonce: [u8; 16],
}

impl From<&ConnectLink> for PlainLink {
    fn from(link: &ConnectLink) -> Self {
        let (key, person) = match link.maker {
            LinkMaker::Key(id) => (Some(id.to_string()), None),
            LinkMaker::Person(id) => (None, Some(id.as_uuid())),
        };
        Self {
            organization: link.organization.as_uuid(),
            key,
            person,
            org: link.org.clone(),
            user: link.user.clone(),
            server: link.server.as_uuid(),
            ends: link.ends.as_micros(),
            nonce: link.nonce,
        }
    }
}

impl PlainLink {
    /// None when it holds together no longer.
    #[must_use]
    pub fn link(self) -> Option<ConnectLink> {
        Some(ConnectLink {
            organization: OrganizationId::from_uuid(self.organization),
            maker: match (self.key, self.person) {
                (Some(key), None) => LinkMaker::Key(key.parse::<KeyId>().ok()?),
                (None, Some(person)) => LinkMaker::Person(UserId::from_uuid(person)),
                (Some(_), Some(_)) | (None, None) => return None,
            },
            org: self.org,
            user: self.user,
            server: ServerId::from_uuid(self.server),
            ends: Timestamp::from_micros(self.ends),
            nonce: self.nonce,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct PlainIdentity<'a> {
    id: Cow<'a, str>,
    secret: Option<Cow<'a, str>>,
    method: Cow<'a, str>,
}

impl<'a> From<&'a ClientIdentity> for PlainIdentity<'a> {
    fn from(client: &'a ClientIdentity) -> Self {
        Self {
            id: client.id.as_str().into(),
            secret: client.secret.as_ref().map(|secret| secret.expose_secret().into()),
            method: client.method.as_str().into(),
        }
    }
}

impl PlainIdentity<'_> {
    fn identity(self) -> Option<ClientIdentity> {
        Some(ClientIdentity {
            id: self.id.into_owned(),
            secret: self.secret.map(|secret| secret.into_owned().into()),
            method: AuthMethod::named(&self.method)?,
        })
    }
}

/// An authorization that is under way.
#[derive(Serialize, Deserialize)]
pub struct PlainPending<'a> {
    link: PlainLink,
    browser: [u8; 32],
    origin: Cow<'a, str>,
    issuer: Cow<'a, str>,
    names_itself: bool,
    endpoint: Cow<'a, str>,
    resource: Cow<'a, str>,
    client: PlainIdentity<'a>,
    verifier: Cow<'a, str>,
}

impl<'a> From<&'a Pending> for PlainPending<'a> {
    fn from(pending: &'a Pending) -> Self {
        Self {
            link: (&pending.link).into(),
            browser: pending.browser,
            origin: pending.origin.as_str().into(),
            issuer: pending.issuer.as_str().into(),
            names_itself: pending.names_itself,
            endpoint: pending.source.endpoint.as_url().as_str().into(),
            resource: pending.source.resource.as_str().into(),
            client: (&pending.source.client).into(),
            verifier: pending.verifier.expose_secret().into(),
        }
    }
}

impl PlainPending<'_> {
    /// None when it holds together no longer.
    pub fn pending(self) -> Option<Pending> {
        Some(Pending {
            link: self.link.link()?,
            browser: self.browser,
            origin: self.origin.into_owned(),
            issuer: self.issuer.into_owned(),
            names_itself: self.names_itself,
            source: TokenSource {
                endpoint: VettedUrl::stored(&self.endpoint).ok()?,
                resource: self.resource.into_owned(),
                client: self.client.identity()?,
            },
            verifier: self.verifier.into_owned().into(),
        })
    }
}

/// A client that Keyrack registered itself.
#[derive(Serialize, Deserialize)]
pub struct PlainClient<'a> {
    own: bool,
    issuer: Cow<'a, str>,
    redirect_uri: Cow<'a, str>,
    client: PlainIdentity<'a>,
    secret_ends: Option<i64>,
}

impl<'a> From<&'a KnownClient> for PlainClient<'a> {
    fn from(known: &'a KnownClient) -> Self {
        Self {
            own: known.own,
            issuer: known.issuer.as_str().into(),
            redirect_uri: known.redirect_uri.as_str().into(),
            client: (&known.registered.client).into(),
            secret_ends: known.registered.secret_ends.map(Timestamp::as_micros),
        }
    }
}

impl PlainClient<'_> {
    /// None when it holds together no longer.
    pub fn known(self) -> Option<KnownClient> {
        Some(KnownClient {
            own: self.own,
            issuer: self.issuer.into_owned(),
            redirect_uri: self.redirect_uri.into_owned(),
            registered: Registered {
                client: self.client.identity()?,
                secret_ends: self.secret_ends.map(Timestamp::from_micros),
            },
        })
    }
}
