//! What use asks of a store.

use async_trait::async_trait;

use super::{Hour, Slot, Tally, UsageOf};
use crate::access::Grant;
use crate::access::permission::UsageRead;
use crate::id::ServerId;
use crate::key::KeyId;
use crate::page::{Page, PageRequest};
use crate::project::Narrowing;
use crate::store::StoreFault;

/// Most hours that a report covers: 31 days.
pub const HOURS_MAX: i64 = 31 * 24;

/// Which calls a report is about.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Whose.
    pub of: UsageOf,
    /// From this hour on.
    pub from: Hour,
    /// Up to this hour, which is not in it.
    pub to: Hour,
    /// Of this key alone.
    pub key: Option<KeyId>,
    /// Of this server alone.
    pub server: Option<ServerId>,
    /// Of a project's servers alone.
    pub within: Option<Narrowing>,
}

/// One line of a report.
#[derive(Debug, Clone)]
pub struct UsageItem {
    /// The key that called.
    pub key: KeyId,
    /// The server that it called.
    pub server: ServerId,
    /// All of its calls.
    pub tally: Tally,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsagePosition {
    /// The key of the last line on the page before.
    pub key: KeyId,
    /// Its server.
    pub server: ServerId,
}

/// Keeps use.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Adds what was counted, all of it or nothing.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn add(&self, counted: &[(Slot, Tally)]) -> Result<(), StoreFault>;

    /// A page of a report.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn report(
        &self,
        grant: &Grant<UsageRead>,
        query: &UsageQuery,
        page: PageRequest<UsagePosition>,
    ) -> Result<Page<UsageItem, UsagePosition>, StoreFault>;
}
