//! How often somebody may try a password. Kept in memory: a restart forgets it, which costs an attacker a restart.
//!
//! Three budgets, each a number of failures at once and then one per interval: of an e-mail address, of a network address,
//! and of the two together. An address from which the person signed in before does not share the budget of the e-mail
//! address: a stranger who guesses from elsewhere uses that up, and the person still gets in. Without a known address the
//! wait is never longer than one interval.
//!
//! A try is charged before the password is looked at, and given back when it was right, so that a thousand tries at once
//! are a thousand tries.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::text::Email;
use crate::time::Timestamp;

/// So many failures at once, then one per interval.
#[derive(Debug, Clone, Copy)]
struct Budget {
    burst: u32,
    interval: Duration,
}

/// For an e-mail address, from wherever; and for an e-mail address from one address where it signed in before.
const OF_EMAIL: Budget = Budget { burst: 10, interval: Duration::from_secs(30) };
/// For a network address, whomever it tries.
const OF_ADDRESS: Budget = Budget { burst: 50, interval: Duration::from_secs(5) };
/// Budgets in use that are remembered; each takes less than 100 bytes.
const REMEMBERED: usize = 100_000;
/// Addresses that are remembered of a person.
const KNOWN_ADDRESSES: usize = 4;

/// Whom a budget is for: a hash, so that its size does not depend on what a stranger sends.
type Subject = [u8; 16];

/// Too many failures: try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failed sign-ins; try again in {} seconds", .wait.as_secs())]
pub struct Throttled {
    /// How long from now, in whole seconds, at least one.
    pub wait: Duration,
}

/// A try that was charged. [`Throttle::succeeded`] gives it back.
#[derive(Debug)]
#[must_use = "a right password gives the try back"]
pub struct Attempt {
    charged: Vec<(Subject, Budget)>,
    // Whose password it was, and where; none when no person is known by it.
    known: Option<(Subject, Subject)>,
}

#[derive(Default)]
struct State {
    // When each budget is whole again, in microseconds since the epoch.
    whole_at: HashMap<Subject, i64>,
    known: HashMap<Subject, VecDeque<Subject>>,
}

/// Counts failures.
#[derive(Default)]
pub struct Throttle {
    state: Mutex<State>,
}

impl Throttle {
    /// Charges a try of a password for `email` that comes from `address`; none when that cannot be told.
    ///
    /// # Errors
    /// [`Throttled`] when a budget is used up; then nothing was charged.
    pub fn begin(&self, email: &Email, address: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Throttled> {
        let (person, place) = (of_email(email), address.map_or_else(of_nowhere, of_address));
        let mut state = self.state();
        let known = address.is_some() && state.known.get(&person).is_some_and(|known| known.contains(&place));
        let mut charged = vec![(if known { both(&person, &place) } else { person }, OF_EMAIL)];
        if address.is_some() {
            charged.push((place, OF_ADDRESS));
        }
        state.charge_all(&charged, now)?;
        Ok(Attempt { charged, known: address.map(|_| (person, place)) })
    }

    /// Charges a try of a secret that belongs to no person, such as the bootstrap token, to the address alone: a budget that
    /// everybody shared would let a stranger keep everybody out. Those whose address cannot be told share one.
    ///
    /// # Errors
    /// [`Throttled`] when the budget is used up; then nothing was charged.
    pub fn begin_token(&self, address: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Throttled> {
        let charged = vec![(address.map_or_else(of_nowhere, of_address), OF_ADDRESS)];
        self.state().charge_all(&charged, now)?;
        Ok(Attempt { charged, known: None })
    }

    /// The password was right: the try costs nothing, and its address is known from now on.
    pub fn succeeded(&self, attempt: Attempt) {
        let mut state = self.state();
        for (subject, budget) in attempt.charged {
            if let Some(whole_at) = state.whole_at.get_mut(&subject) {
                *whole_at -= micros(budget.interval);
            }
        }
        let Some((person, place)) = attempt.known else { return };
        if state.known.len() >= REMEMBERED {
            state.known.clear();
        }
        let known = state.known.entry(person).or_default();
        known.retain(|address| *address != place);
        known.push_back(place);
        if known.len() > KNOWN_ADDRESSES {
            known.pop_front();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Charges all of these budgets, or none.
    fn charge_all(&mut self, charged: &[(Subject, Budget)], now: Timestamp) -> Result<(), Throttled> {
        let wait = charged.iter().map(|(subject, budget)| self.wait(subject, *budget, now)).max().unwrap_or(0);
        if wait > 0 {
            let seconds = u64::try_from(wait).unwrap_or(0).div_ceil(1_000_000);
            return Err(Throttled { wait: Duration::from_secs(seconds) });
        }
        self.make_room(now);
        for (subject, budget) in charged {
            self.charge(*subject, *budget, now);
        }
        Ok(())
    }

    /// What is used of a budget, in microseconds until it is whole.
    fn used(&self, subject: &Subject, budget: Budget, now: Timestamp) -> i64 {
        let used = self.whole_at.get(subject).map_or(0, |whole_at| whole_at - now.as_micros());
        // More than there is was never used: the clock was set back, and must keep nobody out for as long as that.
        let all = i64::from(budget.burst) * micros(budget.interval);
        if (0..=all).contains(&used) { used } else { 0 }
    }

    /// Microseconds until the budget has a try; zero when it has one now.
    fn wait(&self, subject: &Subject, budget: Budget, now: Timestamp) -> i64 {
        let most = i64::from(budget.burst - 1) * micros(budget.interval);
        (self.used(subject, budget, now) - most).max(0)
    }

    fn charge(&mut self, subject: Subject, budget: Budget, now: Timestamp) {
        let used = self.used(&subject, budget, now);
        self.whole_at.insert(subject, now.as_micros() + used + micros(budget.interval));
    }

    /// Forgets budgets that are whole; all of them if that is not enough, which takes more addresses than one stranger has.
    fn make_room(&mut self, now: Timestamp) {
        if self.whole_at.len() < REMEMBERED {
            return;
        }
        self.whole_at.retain(|_, whole_at| *whole_at > now.as_micros());
        if self.whole_at.len() >= REMEMBERED {
            self.whole_at.clear();
        }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn subject(kind: &[u8], parts: &[&[u8]]) -> Subject {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind);
    for part in parts {
        hasher.update(part);
    }
    let mut short = Subject::default();
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

fn of_email(email: &Email) -> Subject {
    subject(b"email ", &[email.as_str().as_bytes()])
}

/// An IPv6 address stands for its /64, which is what one customer of a provider has.
fn of_address(address: IpAddr) -> Subject {
    match address.to_canonical() {
        IpAddr::V4(address) => subject(b"v4 ", &[&address.octets()]),
        IpAddr::V6(address) => subject(b"v6 ", &[&address.octets()[..8]]),
    }
}

fn of_nowhere() -> Subject {
    subject(b"nowhere ", &[])
}

fn both(email: &Subject, address: &Subject) -> Subject {
    subject(b"both ", &[email, address])
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn email(name: &str) -> Email {
        format!("{name}@example.com").parse().expect("an address")
    }

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn seconds(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn failures_use_a_budget_up_and_the_wait_is_never_longer_than_an_interval() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            throttle.begin(&email("ann"), Some(from(1)), START).map(drop).expect("within the budget");
        }
        for _ in 0..100 {
            let refused = throttle.begin(&email("ann"), Some(from(1)), START).err();
            assert_eq!(refused, Some(Throttled { wait: Duration::from_secs(30) }), "a refused try costs nothing");
        }
        assert!(throttle.begin(&email("ann"), Some(from(1)), seconds(29)).is_err());
        throttle.begin(&email("ann"), Some(from(1)), seconds(30)).map(drop).expect("one more after an interval");
        assert!(throttle.begin(&email("ann"), Some(from(1)), seconds(30)).is_err());
        throttle.begin(&email("bob"), Some(from(1)), START).map(drop).expect("somebody else's budget is whole");
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out() {
        let throttle = Throttle::default();
        let attempt = throttle.begin(&email("ann"), Some(from(1)), seconds(7200)).expect("within the budget");
        throttle.succeeded(attempt);
        for _ in 0..10 {
            throttle.begin(&email("bob"), Some(from(2)), seconds(7200)).map(drop).expect("within the budget");
        }
        for name in ["ann", "bob"] {
            throttle.begin(&email(name), Some(from(1)), START).map(drop).expect("two hours earlier");
        }
        for _ in 0..9 {
            throttle.begin(&email("bob"), Some(from(2)), START).map(drop).expect("a whole budget");
        }
        assert!(throttle.begin(&email("bob"), Some(from(2)), START).is_err(), "and no more than that");
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let throttle = Throttle::default();
        for _ in 0..1000 {
            let attempt = throttle.begin(&email("ann"), Some(from(1)), START).expect("within the budget");
            throttle.succeeded(attempt);
        }
    }

    #[test]
    fn a_stranger_cannot_lock_out_a_person_whose_address_is_known() {
        let throttle = Throttle::default();
        let attempt = throttle.begin(&email("ann"), Some(from(1)), START).expect("within the budget");
        throttle.succeeded(attempt);
        for stranger in 2..=255 {
            let _ = throttle.begin(&email("ann"), Some(from(stranger)), START);
        }
        assert!(
            throttle.begin(&email("ann"), Some(from(2)), START).is_err(),
            "the e-mail address is used up elsewhere"
        );
        throttle.begin(&email("ann"), Some(from(1)), START).map(drop).expect("and not where the person is known");
        for _ in 0..9 {
            let _ = throttle.begin(&email("ann"), Some(from(1)), START);
        }
        assert!(
            throttle.begin(&email("ann"), Some(from(1)), START).is_err(),
            "a known address has a budget all the same"
        );
    }

    #[test]
    fn one_address_cannot_try_everybody() {
        let throttle = Throttle::default();
        let tries =
            (0..1000).filter(|n| throttle.begin(&email(&format!("p{n}")), Some(from(1)), START).is_ok()).count();
        assert_eq!(tries, 50);
        throttle.begin(&email("p0"), Some(from(2)), START).map(drop).expect("another address may");
    }

    #[test]
    fn a_token_is_tried_as_often_as_an_address_may_fail_and_a_stranger_keeps_nobody_else_out() {
        let throttle = Throttle::default();
        let tries = |address| (0..1000).filter(|_| throttle.begin_token(address, START).is_ok()).count();
        assert_eq!(tries(Some(from(1))), 50);
        assert_eq!(tries(None), 50, "those without an address share one budget");
        let attempt = throttle.begin_token(Some(from(2)), START).expect("another address may");
        throttle.succeeded(attempt);
        assert_eq!(tries(Some(from(2))), 50, "a right token costs nothing");
        assert!(throttle.begin(&email("ann"), Some(from(1)), START).is_err(), "the address has one budget for both");
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let throttle = Throttle::default();
        let of = |host: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]));
        let tries = (0..1000).filter(|n| throttle.begin(&email(&format!("p{n}")), of(*n), START).is_ok()).count();
        assert_eq!(tries, 50);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..REMEMBERED * 2 {
            let network = IpAddr::from(((n as u128) << 64).to_be_bytes());
            let _ = throttle.begin(&email(&n.to_string()), Some(network), START);
        }
        assert!(throttle.state().whole_at.len() <= REMEMBERED + 2);
    }
}
