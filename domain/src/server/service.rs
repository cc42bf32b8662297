//! Registering, listing and archiving servers.

use std::sync::Arc;

use super::model::{AuthScope, ServerRecord, ServerStatus, SharedServer, UpstreamAuth};
use super::port::{ServerName, ServerStore};
use crate::access::permission::{ServersRead, ServersWrite};
use crate::access::{Denied, Grant, TenantScope};
use crate::audit::{AuditEvent, AuditTarget};
use crate::egress::VettedUrl;
use crate::field::FieldErrors;
use crate::id::ServerId;
use crate::page::{Page, PageRequest};
use crate::store::{StoreFault, WriteFault};
use crate::text::{Description, Name, Slug};
use crate::time::Clock;

/// What the registrar of a server sends, parsed and vetted.
#[derive(Debug, Clone)]
pub struct ServerRequest {
    /// The name.
    pub name: Name,
    /// The slug; made from the name when not given.
    pub slug: Option<Slug>,
    /// A longer explanation.
    pub description: Option<Description>,
    /// Where its MCP endpoint is.
    pub url: VettedUrl,
    /// The organization's credential for it.
    pub auth: UpstreamAuth,
    /// Words to group it by.
    pub categories: Vec<String>,
}

/// Why a server could not be registered, found or archived.
#[derive(Debug, thiserror::Error)]
pub enum ServerFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// No such server.
    #[error("no such server")]
    NotFound,
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The slug is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for ServerFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// The use cases of servers.
pub struct ServerService<C> {
    store: Arc<dyn ServerStore>,
    clock: C,
}

impl<C: Clock> ServerService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn ServerStore>, clock: C) -> Self {
        Self { store, clock }
    }

    /// Registers a server. The event gets the server's id.
    ///
    /// # Errors
    /// [`ServerFault`]
    pub async fn register(
        &self,
        grant: &Grant<ServersWrite>,
        request: ServerRequest,
        event: AuditEvent,
    ) -> Result<SharedServer, ServerFault> {
        let slug = match request.slug {
            Some(slug) => slug,
            None => Slug::suggested_by(&request.name).ok_or_else(|| {
                FieldErrors::one("slug", "is required: the name has no letter or digit to make one of")
            })?,
        };
        let server = ServerRecord {
            id: ServerId::new(),
            organization: grant.organization().id,
            slug,
            name: request.name,
            description: request.description,
            url: request.url,
            auth: request.auth,
            scope: AuthScope::Organization,
            categories: request.categories,
            status: ServerStatus::Active,
            created_at: self.clock.now(),
        };
        self.store.insert(grant, &server, event.about(AuditTarget::Server(server.id))).await?;
        Ok(Arc::new(server))
    }

    /// One server.
    ///
    /// # Errors
    /// [`ServerFault`]
    pub async fn get(&self, grant: &Grant<ServersRead>, name: &ServerName) -> Result<SharedServer, ServerFault> {
        let server = self.store.get(grant, name).await?.ok_or(ServerFault::NotFound)?;
        within_key(grant, &server)?;
        Ok(server)
    }

    /// A page of servers.
    ///
    /// # Errors
    /// [`ServerFault`]
    pub async fn list(
        &self,
        grant: &Grant<ServersRead>,
        archived: bool,
        page: PageRequest<ServerId>,
    ) -> Result<Page<SharedServer, ServerId>, ServerFault> {
        Ok(self.store.list(grant, archived, page).await?)
    }

    /// Puts a server away. Archiving it again changes nothing and succeeds.
    ///
    /// # Errors
    /// [`ServerFault`]
    pub async fn archive(
        &self,
        grant: &Grant<ServersWrite>,
        name: &ServerName,
        event: AuditEvent,
    ) -> Result<SharedServer, ServerFault> {
        let read = (**grant).clone().grant::<ServersRead>()?;
        self.get(&read, name).await?;
        self.store.archive(grant, name, self.clock.now(), event).await?.ok_or(ServerFault::NotFound)
    }
}

/// A key that lists servers manages no others.
fn within_key(scope: &TenantScope, server: &ServerRecord) -> Result<(), Denied> {
    match scope.key() {
        Some(key) if !key.servers.permit(server.id) => Err(Denied::ServerNotAllowed),
        _ => Ok(()),
    }
}
