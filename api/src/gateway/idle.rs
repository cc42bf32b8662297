//! Waiting with a limit of minutes, for very many at once.
//!
//! A timer of its own for every call costs a system call each, since a new earliest deadline wakes the worker's driver.
//! Here one timer per worker ticks every second, and whoever waits looks at the clock then; a limit of minutes does not
//! need more.

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

const TICK: Duration = Duration::from_secs(1);

/// The ticking clock of one worker.
#[derive(Clone)]
pub struct IdleClock(Rc<Notify>);

impl IdleClock {
    /// Starts a clock on this worker; it ticks as long as the worker lives.
    #[must_use]
    pub fn start() -> Self {
        let bell = Rc::new(Notify::new());
        let ring = Rc::clone(&bell);
        actix_web::rt::spawn(async move {
            let mut interval = tokio::time::interval(TICK);
            loop {
                interval.tick().await;
                ring.notify_waiters();
            }
        });
        Self(bell)
    }

    /// Returns when `limit` has passed since `since` returned last, looked at once a second.
    pub async fn silence(&self, limit: Duration, since: impl Fn() -> Instant) {
        while since().elapsed() < limit {
            self.0.notified().await;
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
                self.0.notified().await;
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
        let clock = IdleClock::start();
        let limit = Duration::from_millis(10);
        assert_eq!(clock.within(limit, || false, std::future::pending::<()>()).await, None);
        assert_eq!(clock.within(limit, || false, std::future::ready(7)).await, Some(7));
        let long = Duration::from_hours(1);
        assert_eq!(clock.within(long, || true, std::future::pending::<()>()).await, None);
    }
}
