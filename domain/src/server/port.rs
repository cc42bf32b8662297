//! What servers ask of a store.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::change::ServerChange;
use super::model::{ServerRecord, SharedServer};
use crate::access::permission::{ServersRead, ServersWrite};
use crate::access::{Grant, SystemScope};
use crate::audit::AuditEvent;
use crate::field::FieldErrors;
use crate::id::{OrganizationId, ServerId};
use crate::page::{Page, PageRequest};
use crate::store::{StoreFault, WriteFault};
use crate::text::Slug;
use crate::time::Timestamp;

/// How a caller names a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// By id.
    Id(ServerId),
    /// By slug.
    Slug(Slug),
}

impl ServerName {
    /// Reads an id or a slug; none for a text that can be neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(id) => Some(Self::Id(id)),
            Err(_) => text.parse().ok().map(Self::Slug),
        }
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(out),
            Self::Slug(slug) => slug.fmt(out),
        }
    }
}

/// Why a server was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFault {
    /// The change does not fit what is there.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// It is put away.
    #[error("the server is archived; archived servers do not change")]
    Archived,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Keeps servers. Every change takes the event that records it: the store writes both or neither, and no event when
/// nothing changed.
#[async_trait]
pub trait ServerStore: Send + Sync {
    /// Stores a new server.
    ///
    /// # Errors
    /// [`WriteFault::Taken`] for a slug that the organization has.
    async fn insert(
        &self,
        grant: &Grant<ServersWrite>,
        server: &ServerRecord,
        event: AuditEvent,
    ) -> Result<(), WriteFault>;

    /// One server, archived ones too.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<ServersRead>, name: &ServerName) -> Result<Option<SharedServer>, StoreFault>;

    /// A page of servers in the order of registration; only those of `among`, when given.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<ServersRead>,
        among: Option<&HashSet<ServerId>>,
        archived: bool,
        page: PageRequest<ServerId>,
    ) -> Result<Page<SharedServer, ServerId>, StoreFault>;

    /// Changes a server; none when there is no such server. Two changes at once come one after the other. The event gets
    /// the server's id. When it returns, requests that start see the change.
    ///
    /// # Errors
    /// [`ChangeFault`]
    async fn change(
        &self,
        grant: &Grant<ServersWrite>,
        name: &ServerName,
        change: ServerChange,
        event: AuditEvent,
    ) -> Result<Option<SharedServer>, ChangeFault>;

    /// Puts a server away; none when there is no such server. The event gets the server's id. When it returns, no request that starts reaches it.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn archive(
        &self,
        grant: &Grant<ServersWrite>,
        name: &ServerName,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<SharedServer>, StoreFault>;
}

/// Finds servers for the decision, from memory when it can.
#[async_trait]
pub trait ServerDirectory: Send + Sync {
    /// What memory holds, without waiting.
    fn cached(&self, organization: OrganizationId, name: &ServerName) -> Option<SharedServer>;

    /// What the store holds.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn find(&self, scope: &SystemScope, name: &ServerName) -> Result<Option<SharedServer>, StoreFault>;

    /// Every server that takes calls, by slug.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn active(&self, scope: &SystemScope) -> Result<Vec<SharedServer>, StoreFault>;
}

#[async_trait]
impl<D: ServerDirectory + ?Sized> ServerDirectory for Arc<D> {
    fn cached(&self, organization: OrganizationId, name: &ServerName) -> Option<SharedServer> {
        (**self).cached(organization, name)
    }

    async fn find(&self, scope: &SystemScope, name: &ServerName) -> Result<Option<SharedServer>, StoreFault> {
        (**self).find(scope, name).await
    }

    async fn active(&self, scope: &SystemScope) -> Result<Vec<SharedServer>, StoreFault> {
        (**self).active(scope).await
    }
}
