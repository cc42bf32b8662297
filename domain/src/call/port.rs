//! What call records ask of a store.

use async_trait::async_trait;
use uuid::Uuid;

use super::CallRecord;
use crate::access::WithinOrganization;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Timestamp;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPosition {
    /// When the last call on the page before began.
    pub at: Timestamp,
    /// Its request.
    pub request_id: Uuid,
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
}
