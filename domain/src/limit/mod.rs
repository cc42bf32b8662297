//! Limits: how many requests a key, or a server, takes in a time. Off unless somebody sets one, and then exact: never
//! more than `requests` in any `per_seconds`.

pub mod window;

use std::time::Duration;

use async_trait::async_trait;

use crate::id::ServerId;
use crate::key::{KeyId, RateLimit};
use crate::store::StoreFault;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limited {
    /// All requests of one key, to every surface.
    Key(KeyId),
    /// All calls to one server, whichever of the organization's keys make them.
    Server(ServerId),
}

/// How much of a limit is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The limit.
    pub limit: RateLimit,
    /// How many more requests it takes now.
    pub remaining: u32,
    /// When all of it is there again, if nothing more is asked.
    pub reset: Duration,
}

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the limit, and was counted.
    Within(Quota),
    /// It is over the limit, and was not counted.
    Over {
        /// What is left: nothing.
        quota: Quota,
        /// After this time one more request fits, unless another comes first.
        retry_after: Duration,
    },
}

/// Counts requests. One node counts in memory; several would count in a place that they share.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts a request if it is within the limit. Only asked where there is a limit.
    ///
    /// # Errors
    /// [`StoreFault`] when a shared place does not answer.
    async fn take(&self, limited: Limited, limit: RateLimit) -> Result<Verdict, StoreFault>;
}
