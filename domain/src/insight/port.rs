//! What insights ask of a store.

use async_trait::async_trait;

use super::session::CallSession;
use super::topic::Topic;
use super::topic::change::TopicChange;
use super::view::{Narrowed, Sum, SumQuery};
use crate::access::Grant;
use crate::access::permission::{InsightsRead, InsightsWrite};
use crate::audit::AuditEvent;
use crate::call::CallRecord;
use crate::call::port::CallPosition;
use crate::id::{CallSessionId, TopicId};
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Timestamp;

/// Reads insights, and changes topics.
#[async_trait]
pub trait InsightStore: Send + Sync {
    /// The sum of some slices.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn sum(&self, grant: &Grant<InsightsRead>, query: SumQuery) -> Result<Sum, StoreFault>;

    /// All topics.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn topics(&self, grant: &Grant<InsightsRead>) -> Result<Vec<Topic>, StoreFault>;

    /// One topic.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn topic(&self, grant: &Grant<InsightsRead>, id: TopicId) -> Result<Option<Topic>, StoreFault>;

    /// Changes a topic and writes what [`TopicChange::apply`] says of it, in one transaction; none when there is no such.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn change_topic(
        &self,
        grant: &Grant<InsightsWrite>,
        id: TopicId,
        change: TopicChange,
        event: AuditEvent,
    ) -> Result<Option<Topic>, StoreFault>;

    /// A page of the sessions that began since a time, the newest first. It looks at a bounded number of sessions, so that
    /// a page of a project's can be short and yet not be the last.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn sessions(
        &self,
        grant: &Grant<InsightsRead>,
        since: Timestamp,
        narrowed: &Narrowed,
        page: PageRequest<CallSessionId>,
    ) -> Result<Page<CallSession, CallSessionId>, StoreFault>;

    /// One session.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn session(&self, grant: &Grant<InsightsRead>, id: CallSessionId) -> Result<Option<CallSession>, StoreFault>;

    /// A page of a session's calls with what was said of them, the oldest first. It looks at a bounded number of calls, so
    /// that a page can be short and yet not be the last.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn session_calls(
        &self,
        grant: &Grant<InsightsRead>,
        session: &CallSession,
        narrowed: &Narrowed,
        page: PageRequest<CallPosition>,
    ) -> Result<Page<CallRecord, CallPosition>, StoreFault>;
}
