//! What connect links ask of a store.

use async_trait::async_trait;

use crate::access::MemberFacts;
use crate::access::rehearse::KeyStanding;
use crate::id::{OrganizationId, UserId};
use crate::key::KeyId;
use crate::store::StoreFault;

/// Reads how a link's maker stands now. Never answers from memory: a link is opened rarely, and must know of a revocation.
#[async_trait]
pub trait LinkMakers: Send + Sync {
    /// A key of the organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn key(&self, organization: OrganizationId, id: KeyId) -> Result<Option<KeyStanding>, StoreFault>;

    /// An active member of the organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn person(&self, organization: OrganizationId, id: UserId) -> Result<Option<MemberFacts>, StoreFault>;

    /// Whether a link was used.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn is_used(&self, organization: OrganizationId, nonce: &[u8; 16]) -> Result<bool, StoreFault>;
}
