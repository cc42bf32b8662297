//! Waiting with a limit of minutes, for very many at once.
//!
//! A timer of its own for every call costs a system call each, since a new earliest deadline wakes the worker's driver.
//! Here one timer per worker ticks every second, and whoever waits looks at the clock then; a limit of minutes does not
//! need more.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::time::{Clock, SystemClock, Timestamp};
use tokio::sync::Notify;

use crate::stopping::Stopping;

const TICK: Duration = Duration::from_secs(1);
/// While the server stops there is less time.
const LAST_TICK: Duration = Duration::from_millis(50);

/// The ticking clock of one worker.
#[derive(Clone)]
pub struct IdleClock(Rc<Ticks>);

struct Ticks {
    bell: Notify,
    now: Cell<Timestamp>,
}

impl IdleClock {
    /// Starts a clock on this worker; it ticks as long as the worker lives.
    #[must_use]
    pub fn start(stopping: Arc<Stopping>) -> Self {
        let ticks = Rc::new(Ticks { bell: Notify::new(), now: Cell::new(SystemClock.now()) });
        let ring = Rc::clone(&ticks);
        actix_web::rt::spawn(async move {
            loop {
                if stopping.begun() {
                    tokio::time::sleep(LAST_TICK).await;
                } else {
                    tokio::select! {
                        () = tokio::time::sleep(TICK) => {}
                        () = stopping.begins() => {}
                    }
                }
                ring.now.set(SystemClock.now());
                ring.bell.notify_waiters();
            }
        });
        Self(ticks)
    }

    /// The time of the last tick.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.now.get()
    }

    /// Returns when `limit` has passed since `since` returned last, looked at once a second.
    pub async fn silence(&self, limit: Duration, since: impl Fn() -> Instant) {
        while since().elapsed() < limit {
            self.0.bell.notified().await;
        }
    }

    /// What `work` ends with, or none when it takes longer than `limit`, or is given up; that is looked at once a second.
    pub async fn within<T>(
        &self,
        limit: Duration,
        given_up: impl Fn() -> bool,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let began = Instant::now();
        let over = async {
            while began.elapsed() < limit && !given_up() {
                self.0.bell.notified().await;
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn what_takes_too_long_is_given_up_and_what_does_not_is_kept() {
        let clock = IdleClock::start(Arc::default());
        let limit = Duration::from_millis(10);
        assert_eq!(clock.within(limit, || false, std::future::pending::<()>()).await, None);
        assert_eq!(clock.within(limit, || false, std::future::ready(7)).await, Some(7));
        let long = Duration::from_hours(1);
        assert_eq!(clock.within(long, || true, std::future::pending::<()>()).await, None);
    }
}
