//! How each server does, as this node's calls find out, and whether it is called.
//!
//! A call of a server that is well costs two loads. Only failures, and calls while something is wrong, take a lock, for
//! moments. Each server of each organization has its own: that one is sick is nothing to another, also when both lead to
//! the same host.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use domain::id::ServerId;
use domain::server::breaker::{Admission, Breaker, Caller, Failure};
use domain::server::health::{Health, HealthState};
use domain::time::Timestamp;
use foldhash::quality::RandomState;
use http::StatusCode;

use super::UpstreamFault;

/// What is known of servers.
#[derive(Debug)]
pub struct HealthBook {
    servers: DashMap<ServerId, Arc<ServerHealth>, RandomState>,
    capacity: usize,
}

impl HealthBook {
    /// An empty book of about this many servers.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { servers: DashMap::with_hasher(RandomState::default()), capacity: capacity.max(1) }
    }

    /// The page of a server, to be kept by whoever calls it.
    #[must_use]
    pub fn of(&self, server: ServerId) -> Arc<ServerHealth> {
        if let Some(known) = self.servers.get(&server) {
            return Arc::clone(&known);
        }
        if self.servers.len() >= self.capacity {
            // Whoever keeps a page goes on with it, and something that is wrong is not forgotten.
            self.servers.retain(|_, health| Arc::strong_count(health) > 1 || !health.calm.load(Ordering::Relaxed));
        }
        Arc::clone(&self.servers.entry(server).or_default())
    }

    /// What is known of a server.
    #[must_use]
    pub fn view(&self, server: ServerId) -> Health {
        self.servers.get(&server).map_or_else(Health::default, |health| health.view())
    }

    /// Begins anew: the server is at another place now.
    pub fn forget(&self, server: ServerId) {
        self.servers.remove(&server);
    }
}

/// What is known of one server.
#[derive(Debug)]
pub struct ServerHealth {
    // Whether nothing is wrong: then nobody asks the breaker.
    calm: AtomicBool,
    // When a call last told something, microseconds since the epoch; 0 for never.
    checked: AtomicI64,
    breaker: Mutex<Breaker>,
}

impl Default for ServerHealth {
    fn default() -> Self {
        Self { calm: AtomicBool::new(true), checked: AtomicI64::new(0), breaker: Mutex::default() }
    }
}

impl ServerHealth {
    /// Begins a call, or says how long to wait and why.
    ///
    /// # Errors
    /// [`LeftAlone`]
    pub fn begin(&self, caller: Caller) -> Result<Attempt<'_>, LeftAlone> {
        let probe = !self.calm.load(Ordering::Acquire) && {
            let mut breaker = self.breaker();
            match breaker.admit(caller, Instant::now()) {
                Admission::Pass => false,
                Admission::Probe => true,
                Admission::Wait(wait) => {
                    let how = breaker.last().map(|failure| failure.to_string()).unwrap_or_default();
                    return Err(LeftAlone { wait, how });
                }
            }
        };
        Ok(Attempt { health: self, caller, probe })
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, now: Timestamp) {
        // Once a second is enough, and spares the others' copies of the line.
        if now.as_micros() - self.checked.load(Ordering::Relaxed) >= 1_000_000 {
            self.checked.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    fn view(&self) -> Health {
        let breaker = self.breaker();
        let checked_at = Some(self.checked.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Timestamp::from_micros);
        let state = match (breaker.is_open(), breaker.is_calm(), checked_at) {
            (true, _, _) => HealthState::Down,
            (false, false, _) => HealthState::Failing,
            (false, true, Some(_)) => HealthState::Up,
            (false, true, None) => HealthState::Unknown,
        };
        Health { state, checked_at, detail: breaker.last().map(|failure| failure.to_string()) }
    }
}

/// A server is left alone for now.
#[derive(Debug, thiserror::Error)]
#[error("the server failed repeatedly and is left alone for a moment; last, {how}")]
pub struct LeftAlone {
    /// When to try again.
    pub wait: Duration,
    how: String,
}

/// A call under way. Dropped without a word, it told nothing of the server.
#[derive(Debug)]
pub struct Attempt<'a> {
    health: &'a ServerHealth,
    caller: Caller,
    probe: bool,
}

impl Attempt<'_> {
    /// An answer with this status begins.
    pub fn answered(mut self, status: StatusCode, now: Timestamp) {
        if status.is_server_error() {
            self.fail(Failure::Status(status.as_u16()), now);
            return;
        }
        if !self.health.calm.load(Ordering::Acquire) {
            let mut breaker = self.health.breaker();
            breaker.answered();
            self.health.calm.store(true, Ordering::Release);
        }
        self.probe = false;
        self.health.note(now);
    }

    /// There was no answer.
    pub fn failed(mut self, fault: &UpstreamFault, now: Timestamp) {
        let failure = match fault {
            // The policy's doing, and not the server's.
            UpstreamFault::Egress(_) => return,
            UpstreamFault::Unreachable(_) => Failure::Unreachable,
            UpstreamFault::ConnectTimeout => Failure::ConnectTimeout,
            UpstreamFault::Tls(_) => Failure::Tls,
            UpstreamFault::Broken(_) | UpstreamFault::Switched | UpstreamFault::Ended => Failure::Broken,
        };
        self.fail(failure, now);
    }

    fn fail(&mut self, failure: Failure, now: Timestamp) {
        let mut breaker = self.health.breaker();
        breaker.failed(self.caller, failure, self.probe, Instant::now());
        self.health.calm.store(false, Ordering::Release);
        self.probe = false;
        drop(breaker);
        self.health.note(now);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.health.breaker().abandoned();
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::server::breaker::{FIRST_PAUSE, THRESHOLD};

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn attempt(health: &ServerHealth, caller: u64) -> Result<Attempt<'_>, LeftAlone> {
        health.begin(Caller(caller))
    }

    #[test]
    fn what_is_known_is_shown_and_a_sick_server_is_left_alone() {
        let book = HealthBook::new(8);
        let (sick, well) = (ServerId::new(), ServerId::new());
        assert_eq!(book.view(sick), Health::default());
        let (health, other) = (book.of(sick), book.of(well));
        attempt(&health, 1).expect("it is not known to be sick").answered(StatusCode::OK, NOW);
        assert_eq!(book.view(sick), Health { state: HealthState::Up, checked_at: Some(NOW), detail: None });
        for _ in 0..THRESHOLD {
            attempt(&health, 1).expect("not yet").failed(&UpstreamFault::ConnectTimeout, NOW);
        }
        let Err(left) = attempt(&health, 2) else { panic!("left alone") };
        assert!(left.wait <= Duration::from_secs(1), "{left:?}");
        let view = book.view(sick);
        assert_eq!((view.state, view.detail.as_deref()), (HealthState::Down, Some("connecting takes too long")));
        attempt(&other, 2).expect("another server").answered(StatusCode::OK, NOW);
    }

    #[test]
    fn refusals_by_the_server_are_signs_of_life_and_failures_of_ours_tell_nothing() {
        let health = ServerHealth::default();
        for status in [400, 401, 403, 404, 429] {
            for _ in 0..=THRESHOLD {
                attempt(&health, 1).expect("well").answered(StatusCode::from_u16(status).expect("a status"), NOW);
            }
        }
        for _ in 0..=THRESHOLD {
            drop(attempt(&health, 1).expect("nobody was told otherwise"));
            let refused = UpstreamFault::Egress(domain::egress::EgressRefusal::NoAddress);
            attempt(&health, 1).expect("well").failed(&refused, NOW);
        }
        assert_eq!(health.view().state, HealthState::Up);
        attempt(&health, 1).expect("well").answered(StatusCode::INTERNAL_SERVER_ERROR, NOW);
        assert_eq!(health.view().state, HealthState::Failing);
    }

    #[test]
    fn a_probe_whose_caller_leaves_makes_way_for_the_next() {
        let health = ServerHealth::default();
        for _ in 0..THRESHOLD {
            attempt(&health, 1).expect("not yet").failed(&UpstreamFault::ConnectTimeout, NOW);
        }
        std::thread::sleep(FIRST_PAUSE);
        let probe = attempt(&health, 1).expect("it finds out");
        attempt(&health, 2).expect_err("one at a time");
        drop(probe);
        attempt(&health, 2).expect("the next one finds out").answered(StatusCode::OK, NOW);
        assert_eq!(health.view().state, HealthState::Up);
    }

    #[test]
    fn the_book_is_bounded_and_keeps_what_is_wrong() {
        let book = HealthBook::new(10);
        let sick = ServerId::new();
        attempt(&book.of(sick), 1).expect("new").failed(&UpstreamFault::ConnectTimeout, NOW);
        for _ in 0..1_000 {
            let _ = book.of(ServerId::new());
            assert!(book.servers.len() <= 11);
        }
        assert_eq!(book.view(sick).state, HealthState::Failing);
        book.forget(sick);
        assert_eq!(book.view(sick).state, HealthState::Unknown);
    }
}
