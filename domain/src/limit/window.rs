//! A sliding window: how many requests there were in the last so many seconds, exactly for small limits, and never too
//! few for large ones.
//!
//! Times of requests are kept in runs. Up to [`RUNS`] requests each have a run of their own. Under a larger limit the
//! requests of a 64th of the window share one, and leave the window together with the last of them; so a large limit
//! may come back up to a 64th of the window late, and the window takes about 1.5 KiB at most.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Quota, Verdict};
use crate::key::RateLimit;

/// Into how many runs a window is cut. Where several nodes count in one place, it is cut there like here.
pub const RUNS: u32 = 64;

/// The requests of one subject that still count. Times are counted from any fixed point.
#[derive(Debug, Default)]
pub struct SlidingWindow {
    runs: VecDeque<Run>,
    taken: u32,
    idle_from: Duration,
}

#[derive(Debug)]
struct Run {
    first: Duration,
    last: Duration,
    count: u32,
}

impl SlidingWindow {
    /// Counts a request at `now`, if it is within the limit.
    pub fn take(&mut self, limit: RateLimit, now: Duration) -> Verdict {
        let window = Duration::from_secs(limit.per_seconds().into());
        // Two threads may have read the clock in one order and come here in the other.
        let now = self.runs.back().map_or(now, |run| now.max(run.last));
        while let Some(run) = self.runs.front().filter(|run| run.last + window <= now) {
            self.taken -= run.count;
            self.runs.pop_front();
        }
        if self.taken < limit.requests() {
            self.count(limit, window, now);
            return Verdict::Within(self.quota(limit, window, now));
        }
        // As many as must leave before one more fits; more than one after the limit was lowered.
        let mut surplus = self.taken - limit.requests() + 1;
        let frees = self.runs.iter().find(|run| {
            surplus = surplus.saturating_sub(run.count);
            surplus == 0
        });
        let retry_after = frees.map_or(window, |run| (run.last + window).saturating_sub(now));
        Verdict::Over { quota: self.quota(limit, window, now), retry_after }
    }

    /// Whether everything that was counted has left the window.
    #[must_use]
    pub fn is_idle(&self, now: Duration) -> bool {
        self.idle_from <= now
    }

    fn count(&mut self, limit: RateLimit, window: Duration, now: Duration) {
        self.taken += 1;
        self.idle_from = now + window;
        match self.runs.back_mut() {
            Some(run) if limit.requests() > RUNS && now.saturating_sub(run.first) < window / RUNS => {
                run.last = now;
                run.count += 1;
            }
            _ => self.runs.push_back(Run { first: now, last: now, count: 1 }),
        }
    }

    fn quota(&self, limit: RateLimit, window: Duration, now: Duration) -> Quota {
        let reset = self.runs.back().map_or(Duration::ZERO, |run| (run.last + window).saturating_sub(now));
        Quota { limit, remaining: limit.requests().saturating_sub(self.taken), reset }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn limit(requests: u32, per_seconds: u32) -> RateLimit {
        match RateLimit::new(requests, per_seconds) {
            Ok(limit) => limit,
            Err(_) => panic!("not a limit"),
        }
    }

    fn taken(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Within(_))
    }

    #[test]
    fn a_refusal_says_when_one_more_fits_and_when_all_is_there_again() {
        let (mut window, limit) = (SlidingWindow::default(), limit(2, 10));
        let at = Duration::from_secs;
        assert!(taken(window.take(limit, at(0))));
        let Verdict::Within(quota) = window.take(limit, at(4)) else { panic!("two fit") };
        assert_eq!((quota.remaining, quota.reset), (0, at(10)));
        let Verdict::Over { quota, retry_after } = window.take(limit, at(5)) else { panic!("three do not") };
        assert_eq!((quota.remaining, quota.reset, retry_after), (0, at(9), at(5)));
        assert!(!taken(window.take(limit, Duration::from_millis(9_999))));
        assert!(taken(window.take(limit, at(10))), "the first has left");
        assert!(!window.is_idle(at(19)) && window.is_idle(at(20)));
    }

    #[test]
    fn a_lowered_limit_waits_for_as_many_as_are_too_many() {
        let mut window = SlidingWindow::default();
        for second in 0..5 {
            assert!(taken(window.take(limit(5, 60), Duration::from_secs(second))));
        }
        let Verdict::Over { retry_after, .. } = window.take(limit(2, 60), Duration::from_secs(5)) else {
            panic!("five are more than two")
        };
        assert_eq!(retry_after, Duration::from_secs(58), "until the fourth has left");
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_limit(
            requests in 1_u32..300,
            gaps in proptest::collection::vec(0_u64..400, 1..2_000),
        ) {
            let (limit, mut window) = (limit(requests, 2), SlidingWindow::default());
            let (mut now, mut accepted) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap / 20);
                let counted = accepted.iter().filter(|at| **at + Duration::from_secs(2) > now).count();
                let fits = counted < requests as usize;
                let took = taken(window.take(limit, now));
                prop_assert!(!took || fits, "one too many");
                if requests <= RUNS {
                    prop_assert_eq!(took, fits, "a small limit is exact");
                } else if !took {
                    let late = Duration::from_secs(2) + Duration::from_secs(2) / RUNS;
                    let counted = accepted.iter().filter(|at| **at + late > now).count();
                    prop_assert!(counted >= requests as usize, "a large limit is at most a 64th of its window late");
                }
                if took {
                    accepted.push(now);
                }
                prop_assert!(window.runs.len() <= RUNS as usize + 2);
            }
        }
    }
}
