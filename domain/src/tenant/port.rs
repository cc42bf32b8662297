//! What tenancy asks of a store.

use async_trait::async_trait;

use super::resolve::{Standing, TenantClaim};
use crate::audit::AuditEvent;
use crate::key::KeyFacts;
use crate::store::StoreFault;

/// Knows tenants and keys' lists of them.
#[async_trait]
pub trait TenantDirectory: Send + Sync {
    /// What is known already, without waiting. None when the store has to be asked.
    fn cached(&self, key: &KeyFacts, claim: &TenantClaim) -> Option<Standing>;

    /// What the store knows.
    ///
    /// # Errors
    /// [`StoreFault`] when it cannot answer; never read as "not allowed".
    async fn standing(&self, key: &KeyFacts, claim: &TenantClaim) -> Result<Standing, StoreFault>;

    /// Creates the claimed tenant, and stores the event with it; or finds that somebody just did, and stores neither.
    /// The event gets the tenant.
    ///
    /// # Errors
    /// [`StoreFault`] when it cannot.
    async fn create(&self, key: &KeyFacts, claim: &TenantClaim, event: AuditEvent) -> Result<Standing, StoreFault>;
}
