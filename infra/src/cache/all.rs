//! All caches of decisions, and the one place where a change reaches them.

use std::sync::Arc;

use super::change::Change;
use super::servers::ServerCache;
use super::suspended::SuspendedTenants;
use super::tenants::TenantCache;
use super::{AccessCache, ConnectionCache, KeyCache};
use crate::cluster::Lease;

/// What this process remembers between requests to decide by.
#[derive(Clone)]
pub struct Caches {
    /// Keys.
    pub keys: Arc<KeyCache>,
    /// Tenants.
    pub tenants: Arc<TenantCache>,
    /// Tenants that were suspended while calls of theirs may be under way.
    pub suspended: Arc<SuspendedTenants>,
    /// What members reach.
    pub access: Arc<AccessCache>,
    /// Servers.
    pub servers: Arc<ServerCache>,
    /// Connections.
    pub connections: Arc<ConnectionCache>,
}

impl Caches {
    /// Empty ones, of about this many entries at most each, trusted while `lease` is held.
    #[must_use]
    pub fn new(entries: usize, lease: &Arc<Lease>) -> Self {
        Self {
            keys: Arc::new(KeyCache::trusting(entries, lease)),
            tenants: Arc::new(TenantCache::trusting(entries, lease)),
            suspended: Arc::default(),
            access: Arc::new(AccessCache::trusting(entries, lease)),
            servers: Arc::new(ServerCache::trusting(entries, lease)),
            connections: Arc::new(ConnectionCache::trusting(entries, lease)),
        }
    }

    /// Makes the caches true to a change. When this returns, nothing that was read before the change is found any more,
    /// and no fill under way brings it back.
    pub fn apply(&self, change: &Change) {
        match change {
            Change::KeyEnded { key, tokens } => self.keys.revoked(*key, tokens),
            Change::KeyChanged { key, tokens } => self.keys.changed(*key, tokens),
            Change::OrganizationChanged(organization) => self.keys.organization_changed(*organization),
            Change::MemberEnded { organization, person } => self.keys.member_ended(*organization, *person),
            Change::AccessChanged(organization) => self.access.changed(*organization),
            Change::ServerAdded(organization) => self.servers.added(*organization),
            Change::ServerChanged { organization, server, slug } => {
                self.servers.changed(*organization, *server, slug);
            }
            Change::ConnectionChanged(key) => self.connections.changed(key),
            Change::ConnectionsOf { organization, person } => self.connections.person_left(*organization, *person),
            Change::ConnectionsTo { organization, server } => self.connections.server_left(*organization, *server),
            Change::TenantOrgChanged { organization, id, org, suspended } => {
                self.tenants.org_changed(*organization, org);
                self.suspended.set(id.as_uuid(), *suspended);
            }
            Change::TenantUserChanged { organization, id, org, user, suspended } => {
                self.tenants.changed(*organization, org.as_ref(), Some(user));
                self.suspended.set(id.as_uuid(), *suspended);
            }
        }
    }

    /// Nobody knows what has changed: everything is forgotten, no fill under way is stored, and what is under way with
    /// keys ends, since any of them may be over.
    pub fn forget_everything(&self) {
        self.keys.doubt();
        // After the keys, with which what was under way has ended. One that was resumed meanwhile would be refused for ever.
        self.suspended.clear();
        self.tenants.clear();
        self.access.clear();
        self.servers.clear();
        self.connections.clear();
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{OrganizationId, TenantUserId};
    use domain::tenant::{Tenant, TenantText};

    use super::*;

    #[test]
    fn a_tenant_that_was_suspended_is_refused_no_longer_once_everything_is_forgotten() {
        let caches = Caches::new(8, &Arc::new(Lease::none()));
        let (organization, id) = (OrganizationId::new(), TenantUserId::new());
        let user = TenantText::new("marina").expect("an id");
        let tenant = Tenant::Below { org: None, user: Some((id, user.clone())) };
        let suspend =
            |suspended| Change::TenantUserChanged { organization, id, org: None, user: user.clone(), suspended };
        caches.apply(&suspend(true));
        assert!(caches.suspended.covers(&tenant));
        caches.apply(&suspend(false));
        assert!(!caches.suspended.covers(&tenant));
        caches.apply(&suspend(true));
        // Somebody resumes it, and this node does not hear of it.
        caches.forget_everything();
        assert!(!caches.suspended.covers(&tenant));
    }
}
