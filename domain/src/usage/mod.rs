//! Use: how many calls each key made to each server, how many of them failed, and how long they took.

mod latencies;
pub mod port;

use crate::access::permission::{ApiKeysAdminister, UsageRead};
use crate::access::{Actor, Grant};
use crate::id::{OrganizationId, ServerId, UserId};
use crate::key::KeyId;
use crate::time::Timestamp;

pub use latencies::{Latencies, Malformed};

/// Microseconds in an hour, the unit that use is kept in.
const HOUR: i64 = 3_600_000_000;

/// What calls are counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The organization.
    pub organization: OrganizationId,
    /// The key that called.
    pub key: KeyId,
    /// The server that it called.
    pub server: ServerId,
    /// The hour of the call.
    pub hour: Hour,
}

/// The beginning of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The hour that this point in time is in.
    #[must_use]
    pub const fn of(at: Timestamp) -> Self {
        Self(at.as_micros() - at.as_micros().rem_euclid(HOUR))
    }

    /// The first hour that begins at or after this point in time.
    #[must_use]
    pub const fn from(at: Timestamp) -> Self {
        Self::of(Timestamp::from_micros(at.as_micros().saturating_add(HOUR - 1)))
    }

    /// When it begins.
    #[must_use]
    pub const fn begins(self) -> Timestamp {
        Timestamp::from_micros(self.0)
    }
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls.
    pub calls: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// How long they took.
    pub latencies: Latencies,
}

impl Tally {
    /// Counts a call that took this long.
    pub fn count(&mut self, took: std::time::Duration, failed: bool) {
        self.calls += 1;
        self.errors += u64::from(failed);
        self.latencies.count(took);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.latencies.merge(&other.latencies);
    }
}

/// Whose use a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageOf {
    /// Of this key alone.
    Key(KeyId),
    /// Of this person's keys.
    Owner(UserId),
    /// Of all keys of the organization.
    Everybody,
}

impl UsageOf {
    /// What this caller sees: a key its own use, a person that of their own keys, and those who administer everybody's
    /// keys that of everybody's. It is the same rule as for the list of keys.
    #[must_use]
    pub fn visible_to(grant: &Grant<UsageRead>) -> Self {
        match grant.actor() {
            Actor::Key(facts) => Self::Key(facts.id),
            Actor::Member(_) if (**grant).clone().grant::<ApiKeysAdminister>().is_ok() => Self::Everybody,
            Actor::Member(facts) => Self::Owner(facts.user.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_whole() {
        let at = Timestamp::parse("2026-11-21T12:34:56.000001Z").expect("a time");
        assert_eq!(Hour::of(at).begins().to_string(), "2026-11-21T12:00:00.000Z");
        assert_eq!(Hour::from(at).begins().to_string(), "2026-11-21T13:00:00.000Z");
        assert_eq!(Hour::from(Hour::of(at).begins()), Hour::of(at));
        assert_eq!(Hour::of(Timestamp::from_micros(-1)).begins().as_micros(), -HOUR);
    }
}
