//! Tenants that were suspended while this process runs, for what was under way when it happened: requests that begin
//! later are refused by what the store says. Asking costs a load as long as nothing was suspended, and nobody waits on it:
//! a bell that every call of every tenant registered with would be one lock for all of them.

use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashSet;
use domain::tenant::Tenant;
use uuid::Uuid;

/// The ids of suspended tenant orgs and tenant users.
#[derive(Debug, Default)]
pub struct SuspendedTenants {
    // Whether there ever was one.
    any: AtomicBool,
    ids: DashSet<Uuid>,
}

impl SuspendedTenants {
    /// Whether this tenant, or the tenant org that it is below, is one of them.
    #[must_use]
    pub fn covers(&self, tenant: &Tenant) -> bool {
        if !self.any.load(Ordering::SeqCst) {
            return false;
        }
        let Tenant::Below { org, user } = tenant else { return false };
        org.as_ref().is_some_and(|(id, _)| self.ids.contains(&id.as_uuid()))
            || user.as_ref().is_some_and(|(id, _)| self.ids.contains(&id.as_uuid()))
    }

    /// A tenant was suspended, or resumed.
    pub fn set(&self, id: Uuid, suspended: bool) {
        if suspended {
            self.ids.insert(id);
            self.any.store(true, Ordering::SeqCst);
        } else {
            self.ids.remove(&id);
        }
    }

    /// Forgets all: what was under way is over, and what begins asks the store.
    pub fn clear(&self) {
        self.ids.clear();
    }
}
