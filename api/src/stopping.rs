//! That the server stops, for what is under way and what asks whether it is ready.
//!
//! Nothing waits on it except one clock per worker: asking is a load, and whoever has to end looks when the clock ticks.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// At most so much of the grace period is kept for ending what does not end by itself.
const RESERVE_MAX: Duration = Duration::from_secs(2);

/// Whether and since when the server stops.
#[derive(Debug, Default)]
pub struct Stopping {
    plan: OnceLock<Plan>,
    bell: Notify,
}

#[derive(Debug)]
struct Plan {
    // From then on nothing waits for the end of an answer that comes as a stream.
    last_call: Instant,
}

impl Stopping {
    /// It stops now; what is under way has `grace`.
    pub fn begin(&self, grace: Duration) {
        let patience = grace.saturating_sub(RESERVE_MAX.min(grace / 2));
        let _ = self.plan.set(Plan { last_call: Instant::now() + patience });
        self.bell.notify_waiters();
    }

    /// Whether it stops.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.plan.get().is_some()
    }

    /// Returns when it begins to stop; maybe never.
    pub async fn begins(&self) {
        let bell = self.bell.notified();
        tokio::pin!(bell);
        // Registered before the plan is looked at, so that a ring in between is not missed.
        bell.as_mut().enable();
        if !self.begun() {
            bell.await;
        }
    }

    /// Whether a stream of events ends now: one that only listens at once, one that brings an answer when the grace
    /// period is nearly over.
    #[must_use]
    pub fn ends(&self, listens: bool) -> bool {
        self.plan.get().is_some_and(|plan| listens || Instant::now() >= plan.last_call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_end_at_once_and_answers_shortly_before_the_cut() {
        let stopping = Stopping::default();
        assert!(!stopping.begun() && !stopping.ends(true) && !stopping.ends(false));
        stopping.begin(Duration::from_hours(1));
        assert!(stopping.begun() && stopping.ends(true) && !stopping.ends(false));
        let short = Stopping::default();
        short.begin(Duration::ZERO);
        assert!(short.ends(false));
    }
}
