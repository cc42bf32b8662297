//! Registering, listing and archiving servers.

use std::sync::Arc;

use super::auth::ServerAuth;
use super::change::ServerChange;
use super::model::{ServerRecord, ServerStatus, SharedServer};
use super::port::{ChangeFault, ServerName, ServerStore};
use super::timeouts::Timeouts;
use crate::access::decide::{manages, sees};
use crate::access::permission::{ServersApprove, ServersRead, ServersSync, ServersWrite};
use crate::access::{Denied, Grant};
use crate::audit::{AuditEvent, AuditTarget};
use crate::egress::VettedUrl;
use crate::field::FieldErrors;
use crate::guard::AllowedFields;
use crate::id::ServerId;
use crate::key::RateLimit;
use crate::page::{Page, PageRequest};
use crate::policy::port::AccessDirectory;
use crate::project::Narrowing;
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
    /// How it is authenticated to.
    pub auth: ServerAuth,
    /// Words to group it by.
    pub categories: Vec<String>,
    /// Arguments that it may take although their names are those of secrets.
    pub allowed_secret_fields: AllowedFields,
    /// A limit of all calls to it.
    pub rate_limit: Option<RateLimit>,
    /// How long it may take.
    pub timeouts: Timeouts,
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
    /// It is put away.
    #[error("the server is archived; archived servers do not change")]
    Archived,
    /// The slug is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for ServerFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

impl From<ChangeFault> for ServerFault {
    fn from(fault: ChangeFault) -> Self {
        match fault {
            ChangeFault::Invalid(errors) => Self::Invalid(errors),
            ChangeFault::Archived => Self::Archived,
            ChangeFault::Store(fault) => fault.into(),
        }
    }
}

/// The use cases of servers.
pub struct ServerService<C> {
    store: Arc<dyn ServerStore>,
    access: Arc<dyn AccessDirectory>,
    clock: C,
}

impl<C: Clock> ServerService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn ServerStore>, access: Arc<dyn AccessDirectory>, clock: C) -> Self {
        Self { store, access, clock }
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
            categories: request.categories,
            allowed_secret_fields: request.allowed_secret_fields,
            rate_limit: request.rate_limit,
            timeouts: request.timeouts,
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
        let access = self.access.of(grant.organization().id).await?;
        manages(grant.actor(), &access, &server)?;
        Ok(server)
    }

    /// A page of those servers that the caller may see; only those of a project, when given.
    ///
    /// # Errors
    /// [`ServerFault`]
    pub async fn list(
        &self,
        grant: &Grant<ServersRead>,
        within: Option<&Narrowing>,
        archived: bool,
        page: PageRequest<ServerId>,
    ) -> Result<Page<SharedServer, ServerId>, ServerFault> {
        let access = self.access.of(grant.organization().id).await?;
        let seen = sees(grant.actor(), &access);
        let seen = match within {
            None => seen,
            Some(narrowing) => seen.within(narrowing.servers()),
        };
        Ok(self.store.list(grant, seen.listed(), archived, page).await?)
    }

    /// Changes a server; effective on the next request.
    ///
    /// # Errors
    /// [`ServerFault`]
    pub async fn change(
        &self,
        grant: &Grant<ServersWrite>,
        name: &ServerName,
        change: ServerChange,
        event: AuditEvent,
    ) -> Result<SharedServer, ServerFault> {
        let read = (**grant).clone().grant::<ServersRead>()?;
        self.get(&read, name).await?;
        self.store.change(grant, name, change, event).await?.ok_or(ServerFault::NotFound)
    }

    /// A server that is about to be asked what it offers.
    ///
    /// # Errors
    /// [`ServerFault`]; one that is put away is not asked.
    pub async fn to_sync(&self, grant: &Grant<ServersSync>, name: &ServerName) -> Result<SharedServer, ServerFault> {
        let read = (**grant).clone().grant::<ServersRead>()?;
        let server = self.get(&read, name).await?;
        if server.status == ServerStatus::Archived {
            return Err(ServerFault::Archived);
        }
        Ok(server)
    }

    /// A server whose tools are about to be approved.
    ///
    /// # Errors
    /// [`ServerFault`]
    pub async fn to_approve(
        &self,
        grant: &Grant<ServersApprove>,
        name: &ServerName,
    ) -> Result<SharedServer, ServerFault> {
        let read = (**grant).clone().grant::<ServersRead>()?;
        self.get(&read, name).await
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
