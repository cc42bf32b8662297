//! What call records ask of a store.

use async_trait::async_trait;
use uuid::Uuid;

use super::CallRecord;
use crate::access::WithinOrganization;
use crate::id::ServerId;
use crate::key::KeyId;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::tenant::TenantText;
use crate::time::Timestamp;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPosition {
    /// When the last call on the page before began.
    pub at: Timestamp,
    /// Its request.
    pub request_id: Uuid,
}

/// Whose calls are summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Those of a tenant, whichever key they came with.
    Tenant {
        /// The tenant org.
        org: Option<TenantText>,
        /// The tenant user.
        user: Option<TenantText>,
    },
    /// Those of a key that speaks for its owner.
    Key(KeyId),
}

/// The calls of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerCalls {
    /// The server.
    pub server: ServerId,
    /// How many.
    pub calls: u64,
    /// How many of them came to nothing, or told of a failure.
    pub errors: u64,
}

/// Reads call records.
#[async_trait]
pub trait CallRecords: Send + Sync {
    /// A page of an organization's calls, those first that began last. A call stands in it from its end on, so that one
    /// that took long comes to stand behind others.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn page(
        &self,
        scope: &dyn WithinOrganization,
        page: PageRequest<CallPosition>,
    ) -> Result<Page<CallRecord, CallPosition>, StoreFault>;

    /// A caller's calls since a time, by server, most calls first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn sums(
        &self,
        scope: &dyn WithinOrganization,
        caller: &Caller,
        since: Timestamp,
    ) -> Result<Vec<ServerCalls>, StoreFault>;
}
