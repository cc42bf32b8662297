//! Keys in use, by digest, and the signal that ends them.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use domain::id::{OrganizationId, UserId};
use domain::key::port::LiveKey;
use domain::key::{Digest, KeyFacts, KeyId};
use tokio::sync::Notify;

use super::guarded::{GuardedCache, Ticket};

/// The end of a key, shared by everything that is under way with it.
#[derive(Debug)]
pub struct KeyEnd {
    ended: AtomicBool,
    bell: Notify,
    // Whose key it is: a key ends with its owner's membership.
    organization: OrganizationId,
    owner: UserId,
}

impl KeyEnd {
    fn of(facts: &KeyFacts) -> Self {
        Self {
            ended: AtomicBool::new(false),
            bell: Notify::new(),
            organization: facts.organization.id,
            owner: facts.owner.id,
        }
    }

    /// Whether the key was revoked.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Returns when the key is revoked; at once when it already is.
    pub async fn wait(&self) {
        let bell = self.bell.notified();
        tokio::pin!(bell);
        // Registered before the flag is read, so that a ring in between is not missed.
        bell.as_mut().enable();
        if !self.has_ended() {
            bell.await;
        }
    }

    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.bell.notify_waiters();
    }
}

/// A key in use: its facts as they were read, and its end.
#[derive(Debug, Clone)]
pub struct LiveKeyHandle {
    facts: Arc<KeyFacts>,
    end: Arc<KeyEnd>,
}

impl LiveKeyHandle {
    /// The signal that the key has ended.
    #[must_use]
    pub const fn end(&self) -> &Arc<KeyEnd> {
        &self.end
    }
}

impl LiveKey for LiveKeyHandle {
    fn facts(&self) -> &Arc<KeyFacts> {
        &self.facts
    }

    fn has_ended(&self) -> bool {
        self.end.has_ended()
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
    ends: DashMap<KeyId, Weak<KeyEnd>>,
}

impl KeyCache {
    /// An empty cache of about this many keys at most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { keys: GuardedCache::with_hasher(capacity, BuildHasherDefault::default()), ends: DashMap::new() }
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
    /// The end is joined before the generation is checked, so a revocation that the check misses finds the end.
    #[must_use]
    pub fn fill(&self, ticket: Ticket, digest: Digest, facts: KeyFacts) -> Option<LiveKeyHandle> {
        let live = LiveKeyHandle { end: self.join_end(&facts), facts: Arc::new(facts) };
        self.keys.fill(ticket, digest, live.clone()).then_some(live)
    }

    /// Something about the key changed: forget what was read. What is under way goes on.
    pub fn changed(&self, digests: &[Digest]) {
        for digest in digests {
            self.keys.invalidate(digest);
        }
    }

    /// The key was revoked, and its digests are gone from the store: forget it, and end all that is under way with it.
    pub fn revoked(&self, key: KeyId, digests: &[Digest]) {
        self.changed(digests);
        if let Some((_, end)) = self.ends.remove(&key)
            && let Some(end) = end.upgrade()
        {
            end.end();
        }
    }

    /// Something that all keys of an organization carry changed, such as its name: forget what was read of them. What is
    /// under way goes on.
    pub fn organization_changed(&self, organization: OrganizationId) {
        self.keys.invalidate_where(|live| live.facts.organization.id == organization);
    }

    /// A person is no active member of an organization any more, and the store says so: forget their keys in it, and end
    /// all that is under way with them, also with keys that the cache has forgotten.
    ///
    /// Like in [`KeyCache::revoked`] the generations come first: a fill that passed its check before has joined its end,
    /// which is found here.
    pub fn member_ended(&self, organization: OrganizationId, owner: UserId) {
        self.keys.invalidate_where(|live| live.facts.organization.id == organization && live.facts.owner.id == owner);
        self.ends.retain(|_, end| {
            let Some(end) = end.upgrade() else { return false };
            let over = end.organization == organization && end.owner == owner;
            if over {
                end.end();
            }
            !over
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

    fn join_end(&self, facts: &KeyFacts) -> Arc<KeyEnd> {
        if self.ends.len() > 2 * self.keys.len() + 1024 {
            self.ends.retain(|_, end| end.strong_count() > 0);
        }
        let mut slot = self.ends.entry(facts.id).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let end = Arc::new(KeyEnd::of(facts));
            *slot = Arc::downgrade(&end);
            end
        })
    }
}
