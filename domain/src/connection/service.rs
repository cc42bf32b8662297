//! Making, showing, ending and using connections.

use std::sync::Arc;

use super::credential::Credential;
use super::holder::Holder;
use super::model::{Connection, ConnectionStatus, SharedConnection};
use super::port::{ConnectionDirectory, ConnectionStore};
use super::renewal::{NotRenewed, Renewals};
use crate::access::decide::{ReachableServer, connects};
use crate::access::permission::{ConnectionsRead, ConnectionsWrite, McpConnect, ServersSync};
use crate::access::{Denied, Grant, SystemScope, TenantScope};
use crate::audit::{AuditEvent, AuditTarget};
use crate::connect::LinkUse;
use crate::field::FieldErrors;
use crate::id::ConnectionId;
use crate::page::{Page, PageRequest};
use crate::policy::port::AccessDirectory;
use crate::server::model::SharedServer;
use crate::server::port::{ServerDirectory, ServerName};
use crate::server::{AuthKind, ServerAuth, ServerRecord};
use crate::store::StoreFault;
use crate::time::Clock;

/// Why a connection could not be made, found or used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// The caller may not connect to the server.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The tenant has no connection to the server.
    #[error("no connection to that server")]
    NotFound,
    /// The request speaks for no one who could have a connection.
    #[error("only a person or a tenant user has connections")]
    NoHolder,
    /// The server needs a connection of the tenant's own, and there is none that can be used.
    #[error("the server {server} needs a connection of your own{}", if *again { ", and the one that there is no longer works: connect again" } else { ": connect first" })]
    Required {
        /// The server's slug.
        server: String,
        /// Whether there is one that no longer works.
        again: bool,
    },
    /// The access token is over, and nobody renews it now.
    #[error("the authorization server of {server} does not renew the access token now")]
    NotRenewed {
        /// The server's slug.
        server: String,
    },
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// A connection and its server, for showing.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The connection.
    pub connection: SharedConnection,
    /// Its server, put away or not.
    pub server: SharedServer,
}

/// The use cases of connections.
pub struct ConnectionService<D, S, C> {
    store: Arc<dyn ConnectionStore>,
    directory: D,
    servers: S,
    access: Arc<dyn AccessDirectory>,
    renewals: Arc<dyn Renewals>,
    clock: C,
}

impl<D: ConnectionDirectory, S: ServerDirectory, C: Clock> ConnectionService<D, S, C> {
    /// Puts the service together.
    pub fn new(
        store: Arc<dyn ConnectionStore>,
        directory: D,
        servers: S,
        access: Arc<dyn AccessDirectory>,
        renewals: Arc<dyn Renewals>,
        clock: C,
    ) -> Self {
        Self { store, directory, servers, access, renewals, clock }
    }

    /// A page of the tenant's own connections, oldest first. Those to servers that were put away or are out of reach now are
    /// among them: whoever gave a credential must be able to see that it is kept, and take it back.
    ///
    /// # Errors
    /// [`ConnectionFault`]
    pub async fn list(
        &self,
        grant: &Grant<ConnectionsRead>,
        page: PageRequest<ConnectionId>,
    ) -> Result<Page<Connected, ConnectionId>, ConnectionFault> {
        let page = self.store.list(grant, holder(grant)?, page).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for connection in page.items {
            let server = self.server(grant, &ServerName::Id(connection.server)).await?;
            // Servers are never deleted.
            let server = server.ok_or_else(|| StoreFault::Corrupt("a connection without a server".to_owned()))?;
            items.push(Connected { connection, server });
        }
        Ok(Page { items, next: page.next })
    }

    /// The tenant's connection to a server.
    ///
    /// # Errors
    /// [`ConnectionFault`]
    pub async fn get(
        &self,
        grant: &Grant<ConnectionsRead>,
        name: Option<&ServerName>,
    ) -> Result<Connected, ConnectionFault> {
        let server = self.known(grant, name).await?;
        match self.store.get(grant, holder(grant)?, server.id).await? {
            Some(connection) => Ok(Connected { connection, server }),
            None => Err(self.missing(grant, &server).await?),
        }
    }

    /// The server that a connection shall be made to.
    ///
    /// # Errors
    /// [`Denied`] when the tenant's caller may not connect to it.
    pub async fn connectable(
        &self,
        grant: &Grant<ConnectionsWrite>,
        name: Option<&ServerName>,
    ) -> Result<SharedServer, ConnectionFault> {
        let server = self.known(grant, name).await?;
        let access = self.access.of(grant.organization().id).await?;
        connects(grant.actor(), &access, &server)?;
        Ok(server)
    }

    /// Keeps a credential as the tenant's connection to a server, in place of the one there was.
    ///
    /// # Errors
    /// [`ConnectionFault::Invalid`] when the server takes another kind, or none.
    pub async fn put(
        &self,
        grant: &Grant<ConnectionsWrite>,
        server: SharedServer,
        credential: Credential,
        event: AuditEvent,
    ) -> Result<Connected, ConnectionFault> {
        let connection = self.new_connection(grant, &server, credential)?;
        self.store.put(grant, &connection, event.about(AuditTarget::Connection(connection.id))).await?;
        Ok(Connected { connection, server })
    }

    /// The same, by a connect link, which is used up with it; none when the link was used already.
    ///
    /// # Errors
    /// [`ConnectionFault::Invalid`] when the server takes another kind, or none.
    pub async fn put_by_link(
        &self,
        grant: &Grant<ConnectionsWrite>,
        server: SharedServer,
        credential: Credential,
        event: AuditEvent,
        link: LinkUse,
    ) -> Result<Option<Connected>, ConnectionFault> {
        let connection = self.new_connection(grant, &server, credential)?;
        let event = event.about(AuditTarget::Connection(connection.id));
        let kept = self.store.put_by_link(grant, &connection, event, link).await?;
        Ok(kept.then_some(Connected { connection, server }))
    }

    fn new_connection(
        &self,
        grant: &Grant<ConnectionsWrite>,
        server: &SharedServer,
        credential: Credential,
    ) -> Result<SharedConnection, ConnectionFault> {
        let wanted = match &server.auth {
            ServerAuth::Tenant(auth) => auth.kind(),
            ServerAuth::Organization(_) => {
                let why = "this server takes no connections: it has the organization's credential, or none";
                return Err(FieldErrors::one("kind", why).into());
            }
        };
        if credential.kind() != wanted {
            return Err(FieldErrors::one("kind", format!("this server takes {}", wanted.as_str())).into());
        }
        Ok(Arc::new(Connection {
            id: ConnectionId::new(),
            organization: grant.organization().id,
            holder: holder(grant)?,
            server: server.id,
            origin: server.origin(),
            credential,
            refused: false,
            created_at: self.clock.now(),
            last_used_at: None,
        }))
    }

    /// Ends the tenant's connection to a server.
    ///
    /// # Errors
    /// [`ConnectionFault`]
    pub async fn delete(
        &self,
        grant: &Grant<ConnectionsWrite>,
        name: Option<&ServerName>,
        event: AuditEvent,
    ) -> Result<Connected, ConnectionFault> {
        let server = self.known(grant, name).await?;
        match self.store.delete(grant, holder(grant)?, server.id, event).await? {
            Some(connection) => Ok(Connected { connection, server }),
            None => Err(self.missing(grant, &server).await?),
        }
    }

    /// The connection that a call to this server uses, if memory has one that works. Waits for nothing.
    #[must_use]
    pub fn at_hand(&self, grant: &Grant<McpConnect>, server: &ReachableServer) -> Option<SharedConnection> {
        let record = server.record();
        let connection = self.directory.cached(record.organization, Holder::of(grant)?, record.id)?;
        if connection.status(record) != ConnectionStatus::Connected {
            return None;
        }
        if let Some(grant) = connection.credential.grant() {
            let now = self.clock.now();
            if grant.is_over(now) {
                return None;
            }
            if grant.is_due(now) {
                // It is good for a while yet, and this call does not wait.
                self.renewals.begin(&connection, record);
            }
        }
        Some(connection)
    }

    /// The connection that a call to this server uses.
    ///
    /// # Errors
    /// [`ConnectionFault::Required`] when there is none that works.
    pub async fn for_call(
        &self,
        grant: &Grant<McpConnect>,
        server: &ReachableServer,
    ) -> Result<SharedConnection, ConnectionFault> {
        if let Some(connection) = self.at_hand(grant, server) {
            return Ok(connection);
        }
        self.own(grant, server.record()).await
    }

    /// The connection that a server is asked with on behalf of whoever syncs it: their own.
    ///
    /// # Errors
    /// [`ConnectionFault::Required`] when there is none that works.
    pub async fn for_sync(
        &self,
        grant: &Grant<ServersSync>,
        server: &SharedServer,
    ) -> Result<SharedConnection, ConnectionFault> {
        self.own(grant, server).await
    }

    async fn own(&self, scope: &TenantScope, server: &SharedServer) -> Result<SharedConnection, ConnectionFault> {
        let holder = holder(scope)?;
        let finding = SystemScope::new(server.organization, "a call looks for the connection of its own tenant");
        let found = self.directory.find(&finding, holder, server.id).await?;
        let required = |again| ConnectionFault::Required { server: server.slug.to_string(), again };
        let connection = found.ok_or_else(|| required(false))?;
        if connection.status(server) != ConnectionStatus::Connected {
            return Err(required(true));
        }
        if connection.credential.grant().is_none_or(|grant| !grant.is_over(self.clock.now())) {
            return Ok(connection);
        }
        self.renewals.renewed(&connection, server).await.map_err(|fault| match fault {
            NotRenewed::Over => required(true),
            NotRenewed::Unavailable => ConnectionFault::NotRenewed { server: server.slug.to_string() },
        })
    }

    /// The server did not take a connection's credential. One that was granted may be renewed, or is found to be over.
    pub fn doubted(&self, connection: &SharedConnection, server: &ServerRecord) {
        if connection.credential.grant().is_some() {
            self.renewals.doubted(connection, server);
        }
    }

    /// Notes that a call uses a connection.
    pub fn used(&self, connection: &Connection) {
        self.directory.used(connection);
    }

    async fn known(&self, scope: &TenantScope, name: Option<&ServerName>) -> Result<SharedServer, ConnectionFault> {
        let name = name.ok_or(Denied::ServerNotFound)?;
        Ok(self.server(scope, name).await?.ok_or(Denied::ServerNotFound)?)
    }

    async fn server(&self, scope: &TenantScope, name: &ServerName) -> Result<Option<SharedServer>, StoreFault> {
        let organization = scope.organization().id;
        if let Some(server) = self.servers.cached(organization, name) {
            return Ok(Some(server));
        }
        self.servers.find(&SystemScope::new(organization, "a connection is shown with its server"), name).await
    }

    /// What is said of a connection that is not there: nothing of a server that its caller does not reach.
    async fn missing(&self, scope: &TenantScope, server: &SharedServer) -> Result<ConnectionFault, StoreFault> {
        let access = self.access.of(scope.organization().id).await?;
        Ok(match connects(scope.actor(), &access, server) {
            Ok(()) => ConnectionFault::NotFound,
            Err(denied) => denied.into(),
        })
    }
}

fn holder(scope: &TenantScope) -> Result<Holder, ConnectionFault> {
    Holder::of(scope).ok_or(ConnectionFault::NoHolder)
}

/// Whether a connection of this kind is made by giving a secret, and not by consent elsewhere.
#[must_use]
pub const fn takes_secret(kind: AuthKind) -> bool {
    matches!(kind, AuthKind::Bearer | AuthKind::Header | AuthKind::Basic)
}
