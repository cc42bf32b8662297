//! A link, and who stands behind it.

use std::sync::Arc;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

use super::port::LinkMakers;
use crate::access::decide::{Asked, Question};
use crate::access::permission::ConnectionsWrite;
use crate::access::{Actor, Grant, Permission};
use crate::id::{OrganizationId, ServerId, UserId};
use crate::key::KeyId;
use crate::key::token::NoRandomness;
use crate::key::verify::expired;
use crate::server::port::ServerName;
use crate::store::StoreFault;
use crate::tenant::{Surface, TenantParams};
use crate::time::Timestamp;

/// How long a link works.
pub const LINK_LASTS: Duration = Duration::from_mins(10);

/// Who made a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMaker {
    /// A key.
    Key(KeyId),
    /// A person who was signed in.
    Person(UserId),
}

/// What a link says. It is sealed on its way: whoever has it can open the page and read nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectLink {
    /// The organization.
    pub organization: OrganizationId,
    /// Who made it.
    pub maker: LinkMaker,
    /// The tenant org, in the maker's words.
    pub org: Option<String>,
    /// The tenant user, in the maker's words.
    pub user: Option<String>,
    /// For which server.
    pub server: ServerId,
    /// When it ends.
    pub ends: Timestamp,
    /// What makes it one of its kind.
    pub nonce: [u8; 16],
}

/// That a link was used, as the store keeps it until the link is over anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkUse {
    /// Which link.
    pub nonce: [u8; 16],
    /// When it ends.
    pub ends: Timestamp,
}

/// Why a link opens nothing. Whoever has it is told none of this.
#[derive(Debug, thiserror::Error)]
pub enum Dead {
    /// Its time is over.
    #[error("the link is over")]
    Over,
    /// It was used.
    #[error("the link was used")]
    Used,
    /// The key or person that made it is no longer there, or was disabled.
    #[error("who made the link may do nothing any more")]
    MakerGone,
    /// The server takes no credential of its tenants.
    #[error("the server takes no connections")]
    NoConnections,
    /// The server's url leads elsewhere than when the authorization began.
    #[error("the server is at another origin than when the authorization began")]
    ServerMoved,
    /// Another browser began.
    #[error("another browser came back than the one that began")]
    OtherBrowser,
}

/// Whoever made a link, as they stand now. Made only of a link that opened.
#[derive(Debug)]
pub struct LinkBearer(Actor);

impl LinkBearer {
    /// Who it is.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.0
    }
}

impl ConnectLink {
    /// A link of this caller, for its tenant and this server.
    ///
    /// # Errors
    /// [`NoRandomness`]
    pub fn new(grant: &Grant<ConnectionsWrite>, server: ServerId, now: Timestamp) -> Result<Self, NoRandomness> {
        let mut nonce = [0; 16];
        SysRng.try_fill_bytes(&mut nonce).map_err(|_| NoRandomness)?;
        let tenant = grant.tenant();
        Ok(Self {
            organization: grant.organization().id,
            maker: match grant.actor() {
                Actor::Key(facts) => LinkMaker::Key(facts.id),
                Actor::Member(facts) => LinkMaker::Person(facts.user.id),
            },
            org: tenant.org().map(|text| text.as_str().to_owned()),
            user: tenant.user().map(|text| text.as_str().to_owned()),
            server,
            ends: now.after(LINK_LASTS),
            nonce,
        })
    }

    /// Its use, to be kept.
    #[must_use]
    pub const fn used(&self) -> LinkUse {
        LinkUse { nonce: self.nonce, ends: self.ends }
    }

    /// The server, as the gate is asked for it.
    #[must_use]
    pub const fn server_name(&self) -> ServerName {
        ServerName::Id(self.server)
    }

    /// What its maker would be asked if they made the connection themselves.
    #[must_use]
    pub fn question<'a>(&self, server: &'a ServerName) -> Question<'a> {
        Question {
            surface: Surface::Tenant,
            tenant: TenantParams::of(self.org.as_deref(), self.user.as_deref()),
            permission: Some(Permission::ConnectionsWrite),
            server: Some(Asked::Named(server)),
        }
    }

    /// Whether it still opens anything.
    ///
    /// # Errors
    /// Outside, [`StoreFault`]; inside, [`Dead`].
    pub async fn check(&self, makers: &dyn LinkMakers, now: Timestamp) -> Result<Result<(), Dead>, StoreFault> {
        if self.ends <= now {
            return Ok(Err(Dead::Over));
        }
        let used = makers.is_used(self.organization, &self.nonce).await?;
        Ok(if used { Err(Dead::Used) } else { Ok(()) })
    }

    /// Whoever made it, read now.
    ///
    /// # Errors
    /// Outside, [`StoreFault`]; inside, [`Dead`].
    pub async fn bearer(
        &self,
        makers: &dyn LinkMakers,
        now: Timestamp,
    ) -> Result<Result<LinkBearer, Dead>, StoreFault> {
        let actor = match self.maker {
            LinkMaker::Key(id) => {
                let standing = makers.key(self.organization, id).await?;
                let good = standing.filter(|key| key.ended.is_none() && !expired(&key.facts, now));
                good.map(|key| Actor::Key(key.facts))
            }
            LinkMaker::Person(id) => {
                makers.person(self.organization, id).await?.map(|facts| Actor::Member(Arc::new(facts)))
            }
        };
        Ok(actor.map(LinkBearer).ok_or(Dead::MakerGone))
    }
}
