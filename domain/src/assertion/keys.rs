//! Which key signs assertions at what time.
//!
//! Keys are numbered and derived from the root secret, so that the database holds when each begins to sign and nothing
//! secret. A key is published before it signs and after, for longer than anybody keeps a copy of the set: a verifier that
//! follows the set's `Cache-Control` never meets a key that it could not know. Nodes change over by the clock, not by a
//! message, so that several on one database need no word with each other.

use std::time::Duration;

use async_trait::async_trait;

use super::ASSERTION_LIFETIME;
use crate::audit::AuditEvent;
use crate::store::StoreFault;
use crate::time::Timestamp;

/// How long whoever fetched the published keys may keep them.
pub const KEY_SET_MAX_AGE: Duration = Duration::from_mins(5);
/// How long before it signs a key is published: thrice what a copy may be old, for nodes that learn of it late and clocks
/// that differ.
pub const PUBLISHED_AHEAD: Duration = Duration::from_mins(15);
/// How long a key stays published when another signs. Its last assertion is over after a minute or two; the rest is for
/// nodes that have not heard, and for clocks.
pub const PUBLISHED_AFTER: Duration = Duration::from_hours(1);

const _: () = assert!(PUBLISHED_AHEAD.as_secs() >= 3 * KEY_SET_MAX_AGE.as_secs());
const _: () = assert!(PUBLISHED_AFTER.as_secs() >= KEY_SET_MAX_AGE.as_secs() + 2 * ASSERTION_LIFETIME.as_secs());

/// A key of the series, and when it begins to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedKey {
    /// Its number; the installation's first is 0.
    pub number: u32,
    /// From when on it signs, until the next one does.
    pub signs_from: Timestamp,
}

/// Why no key was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a new key is published already, and signs from {} on", .0.signs_from)]
pub struct OneIsComing(pub NumberedKey);

/// The keys of the series, and so who signs when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchedule {
    // By number; never empty. A higher number signs later.
    keys: Vec<NumberedKey>,
}

impl KeySchedule {
    /// The schedule of these keys. Of none, that of a new installation: the first key, from the beginning of time.
    #[must_use]
    pub fn new(mut keys: Vec<NumberedKey>) -> Self {
        keys.sort_by_key(|key| key.number);
        if keys.is_empty() {
            keys.push(NumberedKey { number: 0, signs_from: Timestamp::from_micros(0) });
        }
        Self { keys }
    }

    fn newest(&self) -> NumberedKey {
        self.keys[self.keys.len() - 1]
    }

    /// The key that signs at this time: the newest whose time has come. A clock that is behind the first one's has that.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> NumberedKey {
        *self.keys.iter().rfind(|key| key.signs_from <= now).unwrap_or(&self.keys[0])
    }

    /// The keys that are published at this time: the signing one first, then those to come, then those before it that
    /// may still be met.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = NumberedKey> {
        let signing = self.signing(now);
        let coming = self.keys.iter().filter(move |key| key.number > signing.number);
        let pairs = self.keys.iter().zip(self.keys.iter().skip(1));
        let past = pairs
            .rev()
            .filter(move |(key, next)| key.number < signing.number && next.signs_from.after(PUBLISHED_AFTER) > now)
            .map(|(key, _)| key);
        std::iter::once(signing).chain(coming.chain(past).copied())
    }

    /// The key to add, when one is due: keys sign for `lifetime`, and the next is published ahead.
    #[must_use]
    pub fn due(&self, now: Timestamp, lifetime: Duration) -> Option<NumberedKey> {
        let end = self.newest().signs_from.after(lifetime);
        let ahead = now.after(PUBLISHED_AHEAD);
        // Late, when no node ran at its time; it is published ahead all the same.
        (end <= ahead && self.newest().signs_from <= now).then(|| self.next(ahead))
    }

    /// The key to add when somebody asks for a new one.
    ///
    /// # Errors
    /// [`OneIsComing`]
    pub fn rotated(&self, now: Timestamp) -> Result<NumberedKey, OneIsComing> {
        let newest = self.newest();
        if newest.signs_from > now { Err(OneIsComing(newest)) } else { Ok(self.next(now.after(PUBLISHED_AHEAD))) }
    }

    fn next(&self, signs_from: Timestamp) -> NumberedKey {
        NumberedKey { number: self.newest().number + 1, signs_from }
    }
}

/// Keeps the series.
#[async_trait]
pub trait AssertionKeyStore: Send + Sync {
    /// The schedule.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn schedule(&self) -> Result<KeySchedule, StoreFault>;

    /// Adds a key with its event, unless another node has added one of that number. Whether it did.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn add(&self, key: NumberedKey, event: AuditEvent) -> Result<bool, StoreFault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn key(number: u32, seconds: i64) -> NumberedKey {
        NumberedKey { number, signs_from: at(seconds) }
    }

    fn published(schedule: &KeySchedule, seconds: i64) -> Vec<u32> {
        schedule.published(at(seconds)).map(|key| key.number).collect()
    }

    fn seconds(duration: Duration) -> i64 {
        i64::try_from(duration.as_secs()).expect("a small number")
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after() {
        let change = 1_000_000;
        let schedule = KeySchedule::new(vec![key(1, change), key(0, 0)]);
        let after = seconds(PUBLISHED_AFTER);
        for (now, signing, all) in [
            (-5, 0, vec![0, 1]),
            (change - 1, 0, vec![0, 1]),
            (change, 1, vec![1, 0]),
            (change + after - 1, 1, vec![1, 0]),
            (change + after, 1, vec![1]),
        ] {
            assert_eq!((schedule.signing(at(now)).number, published(&schedule, now)), (signing, all), "{now}");
        }
    }

    #[test]
    fn keys_that_follow_quickly_are_all_published() {
        let schedule = KeySchedule::new(vec![key(0, 0), key(1, 10_000), key(2, 11_000), key(3, 12_000)]);
        assert_eq!(published(&schedule, 11_500), [2, 3, 1, 0]);
        assert_eq!(published(&schedule, 10_000 + seconds(PUBLISHED_AFTER)), [3, 2, 1]);
    }

    #[test]
    fn a_key_is_due_once_and_as_long_ahead_as_it_is_published() {
        let (lifetime, ahead) = (seconds(DAY), seconds(PUBLISHED_AHEAD));
        let first = KeySchedule::new(vec![key(0, 0)]);
        assert_eq!(first.due(at(lifetime - ahead - 1), DAY), None);
        assert_eq!(first.due(at(lifetime - ahead), DAY), Some(key(1, lifetime)));
        let late = 10 * lifetime;
        assert_eq!(first.due(at(late), DAY), Some(key(1, late + ahead)), "nobody was there to add it");
        let second = KeySchedule::new(vec![key(0, 0), key(1, lifetime)]);
        assert_eq!(second.due(at(lifetime - 1), DAY), None, "it is there already");
        assert_eq!(second.due(at(lifetime - 1), Duration::from_secs(1)), None, "however short keys live");
        assert_eq!(second.due(at(2 * lifetime), DAY), Some(key(2, 2 * lifetime + ahead)));
    }

    #[test]
    fn a_new_key_can_be_asked_for_while_none_is_coming() {
        let first = KeySchedule::new(vec![]);
        let asked = first.rotated(at(500)).expect("none is coming");
        assert_eq!(asked, key(1, 500 + seconds(PUBLISHED_AHEAD)));
        let second = KeySchedule::new(vec![key(0, 0), asked]);
        assert_eq!(second.rotated(at(501)), Err(OneIsComing(asked)));
        assert!(second.rotated(asked.signs_from).is_ok());
    }
}
