//! What members reach, one entry per organization.

use std::sync::Arc;

use domain::id::OrganizationId;
use domain::policy::AccessIndex;

use super::guarded::{GuardedCache, Ticket};
use crate::cluster::Lease;

/// Remembers organizations' policies.
pub struct AccessCache {
    organizations: GuardedCache<OrganizationId, Arc<AccessIndex>>,
}

impl AccessCache {
    /// An empty cache of about this many organizations at most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::trusting(capacity, &Arc::new(Lease::always()))
    }

    /// The same, which finds nothing while `lease` is not held.
    #[must_use]
    pub fn trusting(capacity: usize, lease: &Arc<Lease>) -> Self {
        Self { organizations: GuardedCache::trusting(capacity, lease) }
    }

    /// What is remembered of an organization.
    #[must_use]
    pub fn get(&self, organization: OrganizationId) -> Option<Arc<AccessIndex>> {
        self.organizations.get(&organization)
    }

    /// Take this before reading the store.
    #[must_use]
    pub fn ticket(&self, organization: OrganizationId) -> Ticket {
        self.organizations.ticket(&organization)
    }

    /// Remembers what was read after the ticket was taken. False when something changed in between.
    #[must_use]
    pub fn fill(&self, ticket: Ticket, organization: OrganizationId, index: Arc<AccessIndex>) -> bool {
        self.organizations.fill(ticket, organization, index)
    }

    /// A policy or a group of the organization changed.
    pub fn changed(&self, organization: OrganizationId) {
        self.organizations.invalidate(&organization);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.organizations.clear();
    }
}
