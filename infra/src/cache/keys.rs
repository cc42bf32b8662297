//! Keys in use, by digest, and the signal that ends their tokens.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use domain::id::{OrganizationId, UserId};
use domain::key::port::LiveKey;
use domain::key::{Digest, KeyFacts, KeyId};
use domain::time::{Clock, SystemClock, Timestamp};
use tokio::sync::Notify;

use super::guarded::{GuardedCache, Ticket};
use crate::cluster::Lease;

/// Says that nothing but its own time ends a token.
const OPEN: i64 = i64::MAX;
/// Says that a token is over.
const OVER: i64 = i64::MIN;
/// Says that nobody knows whether a token is over.
const DOUBTED: i64 = i64::MIN + 1;

/// The end of a token, shared by everything that is under way with it.
#[derive(Debug)]
pub struct KeyEnd {
    // Microseconds since the epoch, OPEN, DOUBTED or OVER.
    until: AtomicI64,
    bell: Notify,
    // How many calls the key has under way, with whichever of its tokens.
    calls: Arc<AtomicU32>,
    // Whose key it is: a key ends with its owner's membership.
    organization: OrganizationId,
    owner: UserId,
}

impl KeyEnd {
    fn of(facts: &KeyFacts, calls: Arc<AtomicU32>) -> Self {
        Self {
            until: AtomicI64::new(OPEN),
            bell: Notify::new(),
            calls,
            organization: facts.organization.id,
            owner: facts.owner.id,
        }
    }

    /// Whether nothing may go on with it: the key was revoked, the token ended at once, or nobody knows.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.until.load(Ordering::SeqCst) <= DOUBTED
    }

    /// Whether nobody knows.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.until.load(Ordering::SeqCst) == DOUBTED
    }

    /// The end that was set since the token was read, if any.
    fn until(&self) -> Option<Timestamp> {
        Some(self.until.load(Ordering::SeqCst)).filter(|until| *until != OPEN).map(Timestamp::from_micros)
    }

    fn set(&self, until: Option<Timestamp>) {
        let until = until.map_or(OPEN, |until| until.as_micros().clamp(DOUBTED + 1, OPEN - 1));
        // What has ended stays so.
        let _ = self.until.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now > DOUBTED).then_some(until));
        self.bell.notify_waiters();
    }

    fn doubt(&self) {
        let _ = self.until.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now != OVER).then_some(DOUBTED));
        self.bell.notify_waiters();
    }

    fn end(&self) {
        self.until.store(OVER, Ordering::SeqCst);
        self.bell.notify_waiters();
    }
}

/// One token of a key, as the cache needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenPlace {
    /// Its digest.
    pub digest: Digest,
    /// Which of its key's tokens it is. Stays when the digest is rewritten.
    pub issue: i32,
    /// From when on it is refused, by its own end or the key's.
    pub until: Option<Timestamp>,
    /// Whether it was rotated away.
    pub earlier: bool,
}

/// A key in use: its facts as they were read, and the end of the token that it is used with.
#[derive(Debug, Clone)]
pub struct LiveKeyHandle {
    facts: Arc<KeyFacts>,
    end: Arc<KeyEnd>,
    until: Option<Timestamp>,
    issue: i32,
    earlier: bool,
}

/// A place among the calls that a key has under way. Dropping it gives it up.
#[derive(Debug)]
pub struct CallPlace(Arc<KeyEnd>);

impl Drop for CallPlace {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

impl LiveKeyHandle {
    /// A place for one more call; none when `limit` of them are under way.
    #[must_use]
    pub fn begin_call(&self, limit: u32) -> Option<CallPlace> {
        // Counted first, so that of two at once not both see the last place free.
        let before = self.end.calls.fetch_add(1, Ordering::AcqRel);
        let place = CallPlace(Arc::clone(&self.end));
        (before < limit).then_some(place)
    }

    /// Which of its key's tokens it is, if it was rotated away.
    #[must_use]
    pub fn earlier_issue(&self) -> Option<i32> {
        self.earlier.then_some(self.issue)
    }

    /// Returns when the token is over: revoked, expired, rotated away, or nobody knows. At once when it already is.
    pub async fn over(&self) {
        loop {
            let bell = self.end.bell.notified();
            tokio::pin!(bell);
            // Registered before the end is read, so that a ring in between is not missed.
            bell.as_mut().enable();
            if self.has_ended() {
                return;
            }
            let Some(end) = self.ends_at() else {
                bell.await;
                continue;
            };
            let left = end.as_micros().saturating_sub(SystemClock.now().as_micros());
            let Ok(left @ 1..) = u64::try_from(left) else { return };
            tokio::select! {
                () = bell => {}
                () = tokio::time::sleep(Duration::from_micros(left)) => {}
            }
        }
    }
}

impl LiveKey for LiveKeyHandle {
    fn facts(&self) -> &Arc<KeyFacts> {
        &self.facts
    }

    fn has_ended(&self) -> bool {
        self.end.has_ended()
    }

    fn is_doubted(&self) -> bool {
        self.end.is_doubted()
    }

    fn ends_at(&self) -> Option<Timestamp> {
        // The earlier one counts: what was read, or what was said since.
        match (self.until, self.end.until()) {
            (Some(read), Some(said)) => Some(read.min(said)),
            (read, said) => read.or(said),
        }
    }
}

/// Digests are uniformly random already, and nobody without the pepper can choose one: their first bytes are the hash.
#[derive(Debug, Default, Clone, Copy)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

/// Remembers keys in use, and can end every use of a key at once.
pub struct KeyCache {
    keys: GuardedCache<Digest, LiveKeyHandle, BuildHasherDefault<DigestHasher>>,
    // Every end that something under way still holds, also of keys that the cache has forgotten.
    ends: DashMap<(KeyId, i32), Weak<KeyEnd>>,
    // How many calls keys have under way; every end of a key has the same number.
    calls: DashMap<KeyId, Weak<AtomicU32>>,
}

impl KeyCache {
    /// An empty cache of about this many keys at most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::trusting(capacity, &Arc::new(Lease::always()))
    }

    /// The same, which finds nothing while `lease` is not held.
    #[must_use]
    pub fn trusting(capacity: usize, lease: &Arc<Lease>) -> Self {
        Self {
            keys: GuardedCache::with_hasher(capacity, BuildHasherDefault::default(), lease),
            ends: DashMap::new(),
            calls: DashMap::new(),
        }
    }

    /// What is remembered of the key with this digest.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<LiveKeyHandle> {
        self.keys.get(digest)
    }

    /// Take this before reading the store.
    #[must_use]
    pub fn ticket(&self, digest: &Digest) -> Ticket {
        self.keys.ticket(digest)
    }

    /// Remembers facts that were read after the ticket was taken. None when something changed in between: read again.
    ///
    /// The end is joined before the generation is checked, so a change that the check misses finds the end.
    #[must_use]
    pub fn fill(&self, ticket: Ticket, token: TokenPlace, facts: KeyFacts) -> Option<LiveKeyHandle> {
        let TokenPlace { digest, issue, until, earlier } = token;
        let live = LiveKeyHandle { end: self.join_end(issue, &facts), facts: Arc::new(facts), until, issue, earlier };
        self.keys.fill(ticket, digest, live.clone()).then_some(live)
    }

    /// Something about the key changed: forget what was read. What is under way goes on until its token's end, as that is
    /// now.
    pub fn changed(&self, key: KeyId, tokens: &[TokenPlace]) {
        for token in tokens {
            self.keys.invalidate(&token.digest);
            if let Some(end) = self.ends.get(&(key, token.issue)).and_then(|end| end.upgrade()) {
                end.set(token.until);
            }
        }
    }

    /// These tokens are gone from the store, with their key or without: forget them, and end all that is under way with
    /// them.
    pub fn revoked(&self, key: KeyId, tokens: &[TokenPlace]) {
        for token in tokens {
            self.keys.invalidate(&token.digest);
            if let Some((_, end)) = self.ends.remove(&(key, token.issue))
                && let Some(end) = end.upgrade()
            {
                end.end();
            }
        }
    }

    /// Something that all keys of an organization carry changed, such as its name: forget what was read of them. What is
    /// under way goes on.
    pub fn organization_changed(&self, organization: OrganizationId) {
        self.keys.invalidate_where(|_, live| live.facts.organization.id == organization);
    }

    /// A person is no active member of an organization any more, and the store says so: forget their keys in it, and end
    /// all that is under way with them, also with keys that the cache has forgotten.
    ///
    /// Like in [`KeyCache::revoked`] the generations come first: a fill that passed its check before has joined its end,
    /// which is found here.
    pub fn member_ended(&self, organization: OrganizationId, owner: UserId) {
        self.keys
            .invalidate_where(|_, live| live.facts.organization.id == organization && live.facts.owner.id == owner);
        self.ends.retain(|_, end| {
            let Some(end) = end.upgrade() else { return false };
            let over = end.organization == organization && end.owner == owner;
            if over {
                end.end();
            }
            !over
        });
    }

    /// Nobody knows which keys have ended: forget all, and end what is under way with any of them. Like in
    /// [`KeyCache::member_ended`] the generations come first.
    pub fn doubt(&self) {
        self.keys.clear();
        self.ends.retain(|_, end| {
            if let Some(end) = end.upgrade() {
                end.doubt();
            }
            false
        });
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn join_end(&self, issue: i32, facts: &KeyFacts) -> Arc<KeyEnd> {
        if self.ends.len() > 2 * self.keys.len() + 1024 {
            self.ends.retain(|_, end| end.strong_count() > 0);
            self.calls.retain(|_, calls| calls.strong_count() > 0);
        }
        let mut slot = self.ends.entry((facts.id, issue)).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let end = Arc::new(KeyEnd::of(facts, self.join_calls(facts.id)));
            *slot = Arc::downgrade(&end);
            end
        })
    }

    fn join_calls(&self, key: KeyId) -> Arc<AtomicU32> {
        let mut slot = self.calls.entry(key).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let calls = Arc::default();
            *slot = Arc::downgrade(&calls);
            calls
        })
    }
}
