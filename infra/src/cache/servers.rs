//! Servers that requests reached, by id and by slug; and all that take calls, one entry per organization.

use std::sync::Arc;

use domain::id::{OrganizationId, ServerId};
use domain::server::model::SharedServer;
use domain::server::port::ServerName;
use domain::text::Slug;

use super::guarded::{GuardedCache, Ticket};
use crate::cluster::Lease;

/// Remembers servers. What does not exist is not remembered: strangers cannot fill it.
pub struct ServerCache {
    servers: GuardedCache<(OrganizationId, ServerName), SharedServer>,
    active: GuardedCache<OrganizationId, Arc<[SharedServer]>>,
}

impl ServerCache {
    /// An empty cache of about this many names at most, which finds nothing while `lease` is not held.
    #[must_use]
    pub fn trusting(capacity: usize, lease: &Arc<Lease>) -> Self {
        Self { servers: GuardedCache::trusting(capacity, lease), active: GuardedCache::trusting(capacity, lease) }
    }

    /// What is remembered under this name.
    #[must_use]
    pub fn get(&self, organization: OrganizationId, name: &ServerName) -> Option<SharedServer> {
        self.servers.get(&(organization, name.clone()))
    }

    /// Take this before reading the store.
    #[must_use]
    pub fn ticket(&self, organization: OrganizationId, name: &ServerName) -> Ticket {
        self.servers.ticket(&(organization, name.clone()))
    }

    /// Remembers what was read after the ticket was taken. False when it changed in between.
    #[must_use]
    pub fn fill(&self, ticket: Ticket, name: ServerName, server: SharedServer) -> bool {
        self.servers.fill(ticket, (server.organization, name), server)
    }

    /// All servers of an organization that take calls, if they are remembered.
    #[must_use]
    pub fn active(&self, organization: OrganizationId) -> Option<Arc<[SharedServer]>> {
        self.active.get(&organization)
    }

    /// Take this before reading which servers take calls.
    #[must_use]
    pub fn ticket_of_active(&self, organization: OrganizationId) -> Ticket {
        self.active.ticket(&organization)
    }

    /// Remembers all servers that take calls, as they were read after the ticket was taken. False when one changed in
    /// between.
    #[must_use]
    pub fn fill_active(&self, ticket: Ticket, organization: OrganizationId, servers: Arc<[SharedServer]>) -> bool {
        self.active.fill(ticket, organization, servers)
    }

    /// The organization has a server more.
    pub fn added(&self, organization: OrganizationId) {
        self.active.invalidate(&organization);
    }

    /// The server changed: forget it under both of its names, and the list that it is in.
    pub fn changed(&self, organization: OrganizationId, server: ServerId, slug: &Slug) {
        self.active.invalidate(&organization);
        self.servers.invalidate(&(organization, ServerName::Id(server)));
        self.servers.invalidate(&(organization, ServerName::Slug(slug.clone())));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.active.clear();
        self.servers.clear();
    }
}
