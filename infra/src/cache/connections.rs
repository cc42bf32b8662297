//! Connections that calls used.

use std::sync::Arc;

use domain::connection::{Connection, Holder, SharedConnection};
use domain::id::{OrganizationId, ServerId, UserId};

use super::guarded::{GuardedCache, Ticket};
use crate::cluster::Lease;

/// Which connection.
pub type ConnectionKey = (OrganizationId, Holder, ServerId);

/// Remembers connections, opened. What does not exist is not remembered: it is made at any moment.
pub struct ConnectionCache(GuardedCache<ConnectionKey, SharedConnection>);

impl ConnectionCache {
    /// An empty cache of about this many connections at most, which finds nothing while `lease` is not held.
    #[must_use]
    pub fn trusting(capacity: usize, lease: &Arc<Lease>) -> Self {
        Self(GuardedCache::trusting(capacity, lease))
    }

    /// What is remembered.
    #[must_use]
    pub fn get(&self, key: &ConnectionKey) -> Option<SharedConnection> {
        self.0.get(key)
    }

    /// Take this before reading the store.
    #[must_use]
    pub fn ticket(&self, key: &ConnectionKey) -> Ticket {
        self.0.ticket(key)
    }

    /// Remembers what was read after the ticket was taken. False when it changed in between.
    #[must_use]
    pub fn fill(&self, ticket: Ticket, connection: SharedConnection) -> bool {
        self.0.fill(ticket, key_of(&connection), connection)
    }

    /// The connection was made anew or ended.
    pub fn changed(&self, key: &ConnectionKey) {
        self.0.invalidate(key);
    }

    /// A person left the organization, and their connections with them.
    pub fn person_left(&self, organization: OrganizationId, person: UserId) {
        self.0.invalidate_where(|key, _| (key.0, key.1) == (organization, Holder::Person(person)));
    }

    /// A server was put away, and the connections to it with it.
    pub fn server_left(&self, organization: OrganizationId, server: ServerId) {
        self.0.invalidate_where(|key, _| (key.0, key.2) == (organization, server));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.clear();
    }
}

/// Which connection it is.
#[must_use]
pub fn key_of(connection: &Connection) -> ConnectionKey {
    (connection.organization, connection.holder, connection.server)
}
