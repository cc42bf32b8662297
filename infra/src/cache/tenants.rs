//! Tenants that requests spoke for: whether they exist, and whether a key's list has them.

use std::sync::Arc;

use domain::id::OrganizationId;
use domain::key::{KeyFacts, KeyId};
use domain::tenant::{Presence, Standing, TenantClaim, TenantText};

use super::guarded::{GuardedCache, Ticket};
use crate::cluster::Lease;

type Place = (OrganizationId, Option<TenantText>, Option<TenantText>);
type Listing = (KeyId, i32, Option<TenantText>, Option<TenantText>);

/// Remembers tenants. Only what exists and what is listed is remembered: strangers cannot fill it.
pub struct TenantCache {
    known: GuardedCache<Place, Standing>,
    listed: GuardedCache<Listing, ()>,
}

impl TenantCache {
    /// An empty cache of about this many tenants at most, which finds nothing while `lease` is not held.
    #[must_use]
    pub fn trusting(capacity: usize, lease: &Arc<Lease>) -> Self {
        Self { known: GuardedCache::trusting(capacity, lease), listed: GuardedCache::trusting(capacity, lease) }
    }

    /// What is remembered of the tenant that this key claims.
    #[must_use]
    pub fn get(&self, key: &KeyFacts, claim: &TenantClaim) -> Option<Standing> {
        let TenantClaim::Below { org, user } = claim else { return None };
        let known = self.known.get(&(key.organization.id, org.clone(), user.clone()))?;
        if key.tenants.needs_list() {
            self.listed.get(&(key.id, key.tenants_version, org.clone(), user.clone()))?;
        }
        Some(Standing { listed: true, ..known })
    }

    /// Take this before reading the store.
    #[must_use]
    pub fn ticket(&self, key: &KeyFacts, claim: &TenantClaim) -> Option<Ticket> {
        let TenantClaim::Below { org, user } = claim else { return None };
        Some(self.known.ticket(&(key.organization.id, org.clone(), user.clone())))
    }

    /// Remembers what was read after the ticket was taken.
    pub fn fill(&self, ticket: Option<Ticket>, key: &KeyFacts, claim: &TenantClaim, standing: Standing) {
        let (TenantClaim::Below { org, user }, Some(ticket)) = (claim, ticket) else { return };
        let unknown =
            matches!(standing.org, Some(Presence::Unknown)) || matches!(standing.user, Some(Presence::Unknown));
        if unknown {
            return;
        }
        let place = (key.organization.id, org.clone(), user.clone());
        // A refused fill only means that the next request asks the store again.
        let _ = self.known.fill(ticket, place, standing);
        if key.tenants.needs_list() && standing.listed {
            // The list's version is part of the name: a change of the list makes a new name.
            let name = (key.id, key.tenants_version, org.clone(), user.clone());
            let _ = self.listed.fill(self.listed.ticket(&name), name, ());
        }
    }

    /// A tenant org was suspended or resumed, and with it all of its users.
    pub fn org_changed(&self, organization: OrganizationId, org: &TenantText) {
        self.known.invalidate_where(|(of, named, _), _| *of == organization && named.as_ref() == Some(org));
    }

    /// The tenant was suspended or resumed.
    pub fn changed(&self, organization: OrganizationId, org: Option<&TenantText>, user: Option<&TenantText>) {
        self.known.invalidate(&(organization, org.cloned(), user.cloned()));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.known.clear();
        self.listed.clear();
    }
}
