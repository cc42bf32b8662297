//! Servers that requests reached, by id and by slug.

use domain::id::OrganizationId;
use domain::server::ServerRecord;
use domain::server::model::SharedServer;
use domain::server::port::ServerName;

use super::guarded::{GuardedCache, Ticket};

/// Remembers servers. What does not exist is not remembered: strangers cannot fill it.
pub struct ServerCache {
    servers: GuardedCache<(OrganizationId, ServerName), SharedServer>,
}

impl ServerCache {
    /// An empty cache of about this many names at most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { servers: GuardedCache::new(capacity) }
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

    /// The server changed: forget it under both of its names.
    pub fn changed(&self, server: &ServerRecord) {
        self.servers.invalidate(&(server.organization, ServerName::Id(server.id)));
        self.servers.invalidate(&(server.organization, ServerName::Slug(server.slug.clone())));
    }
}
