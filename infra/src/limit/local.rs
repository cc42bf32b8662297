//! Counting requests in this node's memory.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use dashmap::DashMap;
use domain::key::RateLimit;
use domain::limit::window::SlidingWindow;
use domain::limit::{Limited, RateLimiter, Verdict};
use domain::store::StoreFault;
use foldhash::quality::RandomState;

/// A limiter of one node.
pub struct LocalLimiter {
    windows: DashMap<Limited, SlidingWindow, RandomState>,
    began: Instant,
    capacity: usize,
}

impl LocalLimiter {
    /// A limiter that counts for about this many keys and servers at most. Beyond that some start afresh: with more
    /// limited keys in use at once than this, a key can get more than its limit.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { windows: DashMap::with_hasher(RandomState::default()), began: Instant::now(), capacity: capacity.max(1) }
    }

    fn count(&self, limited: Limited, limit: RateLimit) -> Verdict {
        if let Some(mut window) = self.windows.get_mut(&limited) {
            return window.take(limit, self.began.elapsed());
        }
        if self.windows.len() >= self.capacity {
            self.sweep(self.began.elapsed());
        }
        self.windows.entry(limited).or_default().take(limit, self.began.elapsed())
    }

    /// Makes room: forgets what counts nothing any more, or half of all when that is not enough.
    fn sweep(&self, now: Duration) {
        self.windows.retain(|_, window| !window.is_idle(now));
        if self.windows.len() >= self.capacity {
            tracing::warn!(limits = self.windows.len(), "more limits are in use than memory is given to count for");
            let mut keep = false;
            self.windows.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
    }
}

#[async_trait]
impl RateLimiter for LocalLimiter {
    async fn take(&self, limited: Limited, limit: RateLimit) -> Result<Verdict, StoreFault> {
        Ok(self.count(limited, limit))
    }
}

#[cfg(test)]
mod tests {
    use domain::id::ServerId;

    use super::*;

    #[test]
    fn threads_together_get_what_the_limit_allows_and_no_more() {
        let (limiter, server) = (LocalLimiter::new(8), Limited::Server(ServerId::new()));
        let limit = RateLimit::new(1_000, 3_600).expect("a limit");
        let taken = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..500 {
                        if matches!(limiter.count(server, limit), Verdict::Within(_)) {
                            taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 1_000);
    }

    #[test]
    fn memory_is_bounded_and_what_counts_nothing_goes_first() {
        let limiter = LocalLimiter::new(100);
        let limit = RateLimit::new(1, 3_600).expect("a limit");
        for _ in 0..1_000 {
            limiter.count(Limited::Server(ServerId::new()), limit);
            assert!(limiter.windows.len() <= 100);
        }
        let idle = Duration::from_hours(2);
        limiter.sweep(idle);
        assert!(limiter.windows.is_empty());
    }
}
