//! What reading the audit log asks of a store.

use async_trait::async_trait;
use uuid::Uuid;

use super::Outcome;
use super::chain::ChainHash;
use super::checkpoint::SignedCheckpoint;
use super::verify::Link;
use crate::access::Grant;
use crate::access::permission::AuditRead;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::tenant::TenantText;
use crate::time::Timestamp;

/// Which events: those that fit everything that is given.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// `key`, `member`, `anonymous` or `system`.
    pub actor_kind: Option<String>,
    /// By this key or person.
    pub actor_id: Option<String>,
    /// This action.
    pub action: Option<String>,
    /// To this kind of thing.
    pub target_kind: Option<String>,
    /// To this thing.
    pub target_id: Option<String>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// That the caller was refused with.
    pub code: Option<String>,
    /// Of this request.
    pub request_id: Option<Uuid>,
    /// On behalf of this tenant org.
    pub tenant_org: Option<TenantText>,
    /// On behalf of this tenant user.
    pub tenant_user: Option<TenantText>,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditOrder {
    /// The newest first.
    #[default]
    Descending,
    /// The oldest first.
    Ascending,
}

/// A piece of a chain, as it stood when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The number of its first row; one more than `last` when there is none.
    pub first: i64,
    /// The link before the first row.
    pub previous: ChainHash,
    /// The number of its last row.
    pub last: i64,
    /// The last row's hash.
    pub hash: ChainHash,
}

/// Reads the caller's organization's log, and no other.
#[async_trait]
pub trait AuditReader: Send + Sync {
    /// A page of events; the position is the number of the last row that was looked at. A page can have fewer events than
    /// asked for, also none, and yet not be the last: one call looks at a bounded number of rows.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn page(
        &self,
        grant: &Grant<AuditRead>,
        filter: &AuditFilter,
        order: AuditOrder,
        page: PageRequest<i64>,
    ) -> Result<Page<Link, i64>, StoreFault>;

    /// The rows from the first to the last that fall into a time range, with all that stand between them.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn extent(
        &self,
        grant: &Grant<AuditRead>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Extent, StoreFault>;

    /// At most `limit` rows after number `after` up to number `last`, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn links(&self, grant: &Grant<AuditRead>, after: i64, last: i64, limit: u64)
    -> Result<Vec<Link>, StoreFault>;

    /// The checkpoints of rows after number `after` up to number `last`, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn checkpoints(
        &self,
        grant: &Grant<AuditRead>,
        after: i64,
        last: i64,
    ) -> Result<Vec<SignedCheckpoint>, StoreFault>;
}
