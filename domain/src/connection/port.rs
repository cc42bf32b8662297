//! What connections ask of a store.

use std::sync::Arc;

use async_trait::async_trait;

use super::holder::Holder;
use super::model::{Connection, SharedConnection};
use crate::access::permission::{ConnectionsRead, ConnectionsWrite};
use crate::access::{Grant, SystemScope};
use crate::audit::AuditEvent;
use crate::connect::LinkUse;
use crate::id::{ConnectionId, OrganizationId, ServerId};
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;

/// Keeps connections, sealed for their place: a row that is copied to another organization, holder, server or origin does
/// not open. Every change takes the event that records it: the store writes both or neither.
#[async_trait]
pub trait ConnectionStore: Send + Sync {
    /// A page of the holder's connections, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<ConnectionsRead>,
        holder: Holder,
        page: PageRequest<ConnectionId>,
    ) -> Result<Page<SharedConnection, ConnectionId>, StoreFault>;

    /// The holder's connection to a server.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(
        &self,
        grant: &Grant<ConnectionsRead>,
        holder: Holder,
        server: ServerId,
    ) -> Result<Option<SharedConnection>, StoreFault>;

    /// Keeps a connection in place of the one that its holder has for the server, if any. When it returns, calls that
    /// start use it.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn put(
        &self,
        grant: &Grant<ConnectionsWrite>,
        connection: &SharedConnection,
        event: AuditEvent,
    ) -> Result<(), StoreFault>;

    /// The same, by a connect link, which is used up with it: both or neither. False when the link was used already.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn put_by_link(
        &self,
        grant: &Grant<ConnectionsWrite>,
        connection: &SharedConnection,
        event: AuditEvent,
        link: LinkUse,
    ) -> Result<bool, StoreFault>;

    /// Deletes a connection; none when there is none. When it returns, no call that starts uses it.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn delete(
        &self,
        grant: &Grant<ConnectionsWrite>,
        holder: Holder,
        server: ServerId,
        event: AuditEvent,
    ) -> Result<Option<SharedConnection>, StoreFault>;
}

/// Finds the connection that a call uses, from memory when it can.
#[async_trait]
pub trait ConnectionDirectory: Send + Sync {
    /// What memory holds, without waiting.
    fn cached(&self, organization: OrganizationId, holder: Holder, server: ServerId) -> Option<SharedConnection>;

    /// What the store holds.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn find(
        &self,
        scope: &SystemScope,
        holder: Holder,
        server: ServerId,
    ) -> Result<Option<SharedConnection>, StoreFault>;

    /// Notes that a connection is being used, to be written some time.
    fn used(&self, connection: &Connection);
}

#[async_trait]
impl<D: ConnectionDirectory + ?Sized> ConnectionDirectory for Arc<D> {
    fn cached(&self, organization: OrganizationId, holder: Holder, server: ServerId) -> Option<SharedConnection> {
        (**self).cached(organization, holder, server)
    }

    async fn find(
        &self,
        scope: &SystemScope,
        holder: Holder,
        server: ServerId,
    ) -> Result<Option<SharedConnection>, StoreFault> {
        (**self).find(scope, holder, server).await
    }

    fn used(&self, connection: &Connection) {
        (**self).used(connection);
    }
}
