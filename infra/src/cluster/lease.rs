//! Whether what this node remembers may be trusted now.
//!
//! A lease is held until a moment of a clock that no clock step moves and that goes on while the machine sleeps. Asking
//! is a load and a look at that clock; a node that has its database to itself asks no clock at all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// For ever: nobody else changes what is remembered.
const ALWAYS: u64 = u64::MAX;

/// The lease of this node.
#[derive(Debug)]
pub struct Lease {
    // Nanoseconds of `now`; 0 when there is none.
    until: AtomicU64,
    // Others serve that this node does not fit to: it must not even ask the database.
    refused: AtomicBool,
}

/// A moment of the clock that leases are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        // On Linux `CLOCK_MONOTONIC` stands still while the machine sleeps, and a lease must not. Elsewhere it does not.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(CLOCK);
        let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
        // Both are never negative on these clocks; were they, no lease would be held.
        Self(seconds.unwrap_or(u64::MAX / 2).saturating_mul(1_000_000_000).saturating_add(nanos.unwrap_or(0)))
    }

    /// How long after `earlier` this is.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).min(ALWAYS - 1))
    }
}

impl Lease {
    /// Of a node that has its database to itself.
    #[must_use]
    pub const fn always() -> Self {
        Self { until: AtomicU64::new(ALWAYS), refused: AtomicBool::new(false) }
    }

    /// Not held yet.
    #[must_use]
    pub const fn none() -> Self {
        Self { until: AtomicU64::new(0), refused: AtomicBool::new(false) }
    }

    /// Whether it is held now. Whoever asks this first and then reads what is remembered sees every change that was
    /// answered before they asked.
    #[must_use]
    #[inline]
    pub fn holds(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        until == ALWAYS || until > Moment::now().0
    }

    /// How long it will be held yet, if nobody renews it; none for ever.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let until = self.until.load(Ordering::SeqCst);
        (until != ALWAYS).then(|| Moment(until).since(Moment::now()))
    }

    /// It is held until then, and no longer.
    pub fn hold_until(&self, end: Moment) {
        self.until.store(end.0, Ordering::SeqCst);
    }

    /// Whether the node may not serve at all, since nodes do that know other root secrets.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::SeqCst)
    }

    /// It may not serve at all.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::SeqCst);
    }

    /// It may serve.
    pub fn accept(&self) {
        self.refused.store(false, Ordering::SeqCst);
    }

    /// It is over.
    pub fn end(&self) {
        self.until.store(0, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_until_its_moment_and_not_after_it() {
        let lease = Lease::none();
        assert!(!lease.holds());
        let now = Moment::now();
        lease.hold_until(now.after(Duration::from_hours(1)));
        assert!(lease.holds());
        assert!(lease.left().is_some_and(|left| left > Duration::from_mins(59)));
        lease.hold_until(now);
        assert!(!lease.holds(), "its last moment is not in it");
        assert_eq!(lease.left(), Some(Duration::ZERO));
        lease.hold_until(now.after(Duration::MAX));
        assert!(lease.left().is_some(), "the longest lease is not for ever");
        lease.end();
        assert!(!lease.holds());
        assert!(Lease::always().holds() && Lease::always().left().is_none());
    }
}
