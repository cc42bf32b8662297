//! When a server is left alone for a while, because it does not work.
//!
//! A connection that cannot be made is the server's fault, whoever calls. A 5xx, or a connection that breaks before the
//! answer begins, may be the fault of what one caller sends, a tenant with a bad credential say: failures of one caller,
//! however many, hold back that caller alone. Any other answer, 4xx and 429 included, is a sign of life.

use std::time::{Duration, Instant};

/// After so many failures in a row nobody calls for a while.
pub const THRESHOLD: u32 = 5;
/// The first while; it doubles with every probe that fails.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest while.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A probe that takes longer than this does not keep the next one back: a call may take minutes.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Whoever calls, as a number: the same for the same key and tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(pub u64);

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Unreachable,
    /// No connection in time.
    ConnectTimeout,
    /// No TLS.
    Tls,
    /// The connection broke before the answer began.
    Broken,
    /// An answer of the server's own with this status, 500 to 599.
    Status(u16),
}

impl Failure {
    /// Whether everybody would fail like this.
    const fn of_everybody(self) -> bool {
        matches!(self, Self::Unreachable | Self::ConnectTimeout | Self::Tls)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable => out.write_str("no connection can be made"),
            Self::ConnectTimeout => out.write_str("connecting takes too long"),
            Self::Tls => out.write_str("TLS fails"),
            Self::Broken => out.write_str("connections break before an answer begins"),
            Self::Status(status) => write!(out, "it answers {status}"),
        }
    }
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Pass,
    /// It may, and what it comes to decides: it is the one that finds out.
    Probe,
    /// Not before this time has passed.
    Wait(Duration),
}

/// What was learned of a server from calls to it.
#[derive(Debug, Default)]
pub struct Breaker {
    // Failures in a row, those of one caller counted once, since one caller proves nothing for the others.
    shared: u32,
    // How often callers failed in a row; of no more callers than make a threshold.
    own: Vec<(Caller, u32)>,
    last: Option<Failure>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    // For whom; none for everybody.
    only: Option<Caller>,
    until: Instant,
    pause: Duration,
    probe: Option<Instant>,
}

impl Open {
    fn concerns(&self, caller: Caller) -> bool {
        self.only.is_none_or(|only| only == caller)
    }
}

impl Breaker {
    /// Whether nothing is wrong: nobody waits, and the last call did not fail.
    #[must_use]
    pub const fn is_calm(&self) -> bool {
        self.last.is_none()
    }

    /// How the last call failed, if it did.
    #[must_use]
    pub const fn last(&self) -> Option<Failure> {
        self.last
    }

    /// Whether calls of everybody wait.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.only.is_none())
    }

    /// Whether a caller may call now. A probe must be followed by [`Breaker::answered`], [`Breaker::failed`] or
    /// [`Breaker::abandoned`].
    pub fn admit(&mut self, caller: Caller, now: Instant) -> Admission {
        let Some(open) = self.open.as_mut().filter(|open| open.concerns(caller)) else { return Admission::Pass };
        let free = open.probe.map_or(open.until, |since| since + PROBE_PATIENCE);
        if let Some(left) = free.checked_duration_since(now).filter(|left| !left.is_zero()) {
            return Admission::Wait(left);
        }
        open.probe = Some(now);
        Admission::Probe
    }

    /// The server answered, and not with a 5xx.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// A call failed. `probe` is whether it was one.
    pub fn failed(&mut self, caller: Caller, failure: Failure, probe: bool, now: Instant) {
        let own = self.count(caller);
        if failure.of_everybody() || own == 1 {
            self.shared = self.shared.saturating_add(1);
        }
        self.last = Some(failure);
        let everybody = self.shared >= THRESHOLD;
        if !everybody && own < THRESHOLD {
            return;
        }
        let only = (!everybody).then_some(caller);
        let pause = match &self.open {
            Some(open) if probe => (open.pause * 2).min(LONGEST_PAUSE),
            // A call that began before: it says nothing new.
            Some(open) if open.only.is_none() || open.only == only => return,
            Some(_) | None => FIRST_PAUSE,
        };
        self.open = Some(Open { only, until: now + pause, pause, probe: None });
    }

    /// Counts a failure of a caller; how many it makes in a row.
    fn count(&mut self, caller: Caller) -> u32 {
        if let Some((_, count)) = self.own.iter_mut().find(|(own, _)| *own == caller) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.own.len() < THRESHOLD as usize {
            self.own.push((caller, 1));
        }
        1
    }

    /// A probe came to nothing that tells of the server: its caller left, say. The next call is the probe.
    pub fn abandoned(&mut self) {
        if let Some(open) = &mut self.open {
            open.probe = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: Caller = Caller(1);
    const BEN: Caller = Caller(2);

    fn failed(breaker: &mut Breaker, caller: Caller, failure: Failure, times: u32, now: Instant) {
        for _ in 0..times {
            assert_ne!(breaker.admit(caller, now), Admission::Probe);
            breaker.failed(caller, failure, false, now);
        }
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_left_alone_by_everybody() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        failed(&mut breaker, ANA, Failure::Unreachable, THRESHOLD - 1, now);
        assert_eq!(breaker.admit(BEN, now), Admission::Pass);
        failed(&mut breaker, ANA, Failure::Unreachable, 1, now);
        assert_eq!(breaker.admit(BEN, now), Admission::Wait(FIRST_PAUSE));
        assert!(breaker.is_open());
    }

    #[test]
    fn what_one_caller_breaks_holds_back_that_caller_alone() {
        for failure in [Failure::Status(500), Failure::Broken] {
            let (mut breaker, now) = (Breaker::default(), Instant::now());
            failed(&mut breaker, ANA, failure, 10 * THRESHOLD, now);
            assert_eq!(breaker.admit(ANA, now), Admission::Wait(FIRST_PAUSE));
            assert_eq!(breaker.admit(BEN, now), Admission::Pass);
            assert!(!breaker.is_open());
        }
    }

    #[test]
    fn what_several_callers_find_broken_holds_back_everybody() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for caller in 0..u64::from(THRESHOLD) {
            breaker.failed(Caller(caller), Failure::Status(503), false, now);
        }
        assert_eq!(breaker.admit(Caller(99), now), Admission::Wait(FIRST_PAUSE));
    }

    #[test]
    fn two_callers_that_take_turns_are_two_and_hold_back_nobody_else() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 * THRESHOLD {
            breaker.failed(ANA, Failure::Status(500), false, now);
            breaker.failed(BEN, Failure::Status(500), false, now);
            assert_eq!(breaker.admit(Caller(99), now), Admission::Pass);
        }
        let mut waits = |caller| matches!(breaker.admit(caller, now), Admission::Wait(_));
        assert!([ANA, BEN].map(&mut waits).contains(&true));
    }

    #[test]
    fn one_answer_makes_the_count_begin_again() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            failed(&mut breaker, ANA, Failure::Unreachable, THRESHOLD - 1, now);
            breaker.answered();
        }
        assert_eq!((breaker.admit(ANA, now), breaker.is_calm()), (Admission::Pass, true));
    }

    #[test]
    fn one_probe_at_a_time_decides_and_pauses_grow_up_to_a_limit() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        failed(&mut breaker, ANA, Failure::Unreachable, THRESHOLD, now);
        let mut pause = FIRST_PAUSE;
        for _ in 0..8 {
            assert_eq!(breaker.admit(BEN, now), Admission::Wait(pause));
            now += pause;
            assert_eq!(breaker.admit(BEN, now), Admission::Probe);
            assert!(matches!(breaker.admit(ANA, now), Admission::Wait(_)), "two probes at once");
            breaker.failed(BEN, Failure::Unreachable, true, now);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        assert_eq!(breaker.admit(BEN, now), Admission::Wait(LONGEST_PAUSE));
        now += LONGEST_PAUSE;
        assert_eq!(breaker.admit(BEN, now), Admission::Probe);
        breaker.answered();
        assert_eq!(breaker.admit(ANA, now), Admission::Pass);
    }

    #[test]
    fn a_probe_that_tells_nothing_or_takes_long_makes_way_for_the_next() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        failed(&mut breaker, ANA, Failure::Tls, THRESHOLD, now);
        let later = now + FIRST_PAUSE;
        assert_eq!(breaker.admit(ANA, later), Admission::Probe);
        breaker.abandoned();
        assert_eq!(breaker.admit(BEN, later), Admission::Probe);
        assert_eq!(breaker.admit(ANA, later), Admission::Wait(PROBE_PATIENCE));
        assert_eq!(breaker.admit(ANA, later + PROBE_PATIENCE), Admission::Probe);
    }

    #[test]
    fn calls_that_began_before_the_pause_do_not_make_it_longer() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        failed(&mut breaker, ANA, Failure::Unreachable, THRESHOLD, now);
        for _ in 0..100 {
            breaker.failed(BEN, Failure::Unreachable, false, now + FIRST_PAUSE / 2);
        }
        assert_eq!(breaker.admit(ANA, now + FIRST_PAUSE), Admission::Probe);
    }
}
