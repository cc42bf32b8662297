//! Folds calls into what insights read, and adds up the weeks that are over, beside everything else.

use std::time::Duration;

use domain::insight::week::Week;

use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};

use crate::db::SqlInsightFold;

/// How often it is looked whether calls wait. Views tell of a call some seconds after its end.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// How long hours are kept; views of more than a day are made of days.
pub const HOURS_KEPT: Duration = Duration::from_hours(3 * 24);
/// How long after its end a week is added up: calls that end late have been folded by then, also by nodes of a version that
/// throws no week away.
const SETTLED: Duration = Duration::from_hours(1);

/// Folds until the task is dropped. A fault is logged, and what it left is folded the next time.
pub async fn run(fold: SqlInsightFold) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut weeks = WeeksDue::default();
    loop {
        interval.tick().await;
        let now = SystemClock.now();
        if let Err(fault) = once(&fold, now).await {
            let cause = &fault as &dyn std::error::Error;
            tracing::warn!(error = cause, "calls wait to be folded into insights; trying again");
        }
        let settled = now.before(SETTLED);
        let seen = (Week::last_over(settled), fold.late());
        if weeks.are_due(seen) {
            match fold.add_up_weeks(settled).await {
                Ok((_, true)) => weeks.done = Some(seen),
                Ok((_, false)) => {}
                Err(fault) => {
                    let cause = &fault as &dyn std::error::Error;
                    tracing::warn!(error = cause, "weeks wait to be added up; views read their days");
                }
            }
        }
    }
}

/// When it is looked for weeks to add up: at the start, when another one is over, and when late calls have thrown some
/// away; and not while such calls still come, since each would throw away again what was added up.
#[derive(Default)]
struct WeeksDue {
    before: Option<(Week, u64)>,
    done: Option<(Week, u64)>,
}

impl WeeksDue {
    fn are_due(&mut self, seen: (Week, u64)) -> bool {
        let calm = self.before.replace(seen) == Some(seen);
        calm && self.done != Some(seen)
    }
}

/// Folds what was left until `now`; how many calls.
///
/// # Errors
/// [`StoreFault`]
pub async fn once(fold: &SqlInsightFold, now: Timestamp) -> Result<usize, StoreFault> {
    fold.fold(now.before(HOURS_KEPT)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_added_up_once_and_again_when_late_calls_are_over() {
        let week = Week::of(SystemClock.now());
        let next = Week::of(SystemClock.now().after(Duration::from_hours(7 * 24)));
        let mut due = WeeksDue::default();
        assert!(!due.are_due((week, 0)), "calls that waited for the start may be folded just now");
        assert!(due.are_due((week, 0)) && due.are_due((week, 0)), "until it is done");
        due.done = Some((week, 0));
        assert!(!due.are_due((week, 0)));
        assert!(!due.are_due((week, 2)) && !due.are_due((week, 3)), "late calls still come");
        assert!(due.are_due((week, 3)));
        due.done = Some((week, 3));
        assert!(!due.are_due((next, 3)) && due.are_due((next, 3)));
    }
}
