//! A bounded map that cannot be filled with a stale value.
//!
//! The race that resurrects revoked keys is: a request reads the row, a revocation commits and empties the cache, the
//! request stores what it read. Here a reader takes the generation of the entry's stripe before it reads the store, and
//! stores only if the generation is unchanged, checked under the entry's lock; whoever changes something bumps the generation
//! first, which takes no lock, and then removes the entry under that lock. So either the reader sees the bump, or the remover
//! sees the entry.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
// Seeded per process like the standard library's, at a fraction of the cost; only proven callers choose keys here.
use foldhash::quality::RandomState;

use crate::cluster::Lease;

/// Stripes of generations. Two entries that share one only cost each other a read of the store, now and then.
const STRIPES: usize = 1024;

/// A bounded concurrent map whose fills are guarded. Values should be cheap to clone.
pub struct GuardedCache<K, V, S = RandomState> {
    map: DashMap<K, Slot<V>, S>,
    generations: Box<[AtomicU64]>,
    capacity: usize,
    lease: Arc<Lease>,
}

struct Slot<V> {
    value: V,
    // For eviction: set by a hit, cleared by a sweep.
    used: AtomicBool,
}

/// A generation taken before the store was read.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(u64);

impl<K: Eq + Hash, V: Clone> GuardedCache<K, V> {
    /// An empty cache of about this many entries at most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::trusting(capacity, &Arc::new(Lease::always()))
    }

    /// An empty cache that finds nothing while `lease` is not held.
    #[must_use]
    pub fn trusting(capacity: usize, lease: &Arc<Lease>) -> Self {
        Self::with_hasher(capacity, RandomState::default(), lease)
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher + Clone> GuardedCache<K, V, S> {
    /// The same, whose keys are hashed by `hasher`.
    pub fn with_hasher(capacity: usize, hasher: S, lease: &Arc<Lease>) -> Self {
        Self {
            map: DashMap::with_hasher(hasher),
            generations: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            capacity: capacity.max(1),
            lease: Arc::clone(lease),
        }
    }

    /// What is remembered under this key, and may be trusted now.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        // First: a lease that is lost and got again between the look-up and this would vouch for what was read before.
        if !self.lease.holds() {
            return None;
        }
        let slot = self.map.get(key)?;
        // Read first: writing would move the cache line between cores at every hit.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(slot.value.clone())
    }

    /// Take this before reading the store.
    pub fn ticket(&self, key: &K) -> Ticket {
        Ticket(self.generation(key).load(Ordering::SeqCst))
    }

    /// Remembers a value that was read after the ticket was taken. False when something changed in between: the value
    /// may be stale, read the store again.
    #[must_use]
    pub fn fill(&self, ticket: Ticket, key: K, value: V) -> bool {
        if self.map.len() >= self.capacity {
            self.sweep();
        }
        let stripe = self.stripe(&key);
        let entry = self.map.entry(key);
        if self.generations[stripe].load(Ordering::SeqCst) != ticket.0 {
            return false;
        }
        let slot = Slot { value, used: AtomicBool::new(true) };
        match entry {
            Entry::Occupied(mut occupied) => {
                occupied.insert(slot);
            }
            Entry::Vacant(vacant) => {
                vacant.insert(slot);
            }
        }
        true
    }

    /// Forgets an entry. When this returns, no `get` sees what was there, and no fill under way can bring it back.
    pub fn invalidate(&self, key: &K) {
        self.generation(key).fetch_add(1, Ordering::SeqCst);
        self.map.remove(key);
    }

    /// Forgets every entry that `stale` picks, like [`GuardedCache::invalidate`] for each of them, and refuses every fill
    /// under way. Takes time in proportion to the cache's size: for changes that are rare.
    pub fn invalidate_where(&self, stale: impl Fn(&K, &V) -> bool) {
        // All stripes first, since the keys of fills under way are not known.
        for generation in &self.generations {
            generation.fetch_add(1, Ordering::SeqCst);
        }
        self.map.retain(|key, slot| !stale(key, &slot.value));
    }

    /// Forgets everything, and refuses every fill under way.
    pub fn clear(&self) {
        self.invalidate_where(|_, _| true);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Makes room: forgets what was not used since the last sweep, or half of all when everything was.
    fn sweep(&self) {
        self.map.retain(|_, slot| slot.used.swap(false, Ordering::Relaxed));
        if self.map.len() >= self.capacity {
            let mut keep = false;
            self.map.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
    }

    fn stripe(&self, key: &K) -> usize {
        // The low bits; the map itself picks its shards by the high ones.
        usize::try_from(self.map.hasher().hash_one(key) % STRIPES as u64).unwrap_or(0)
    }

    fn generation(&self, key: &K) -> &AtomicU64 {
        &self.generations[self.stripe(key)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_read_before_a_change_is_not_stored_after_it() {
        let cache = GuardedCache::new(8);
        let ticket = cache.ticket(&1);
        // the store is read here, then somebody else changes it:
        cache.invalidate(&1);
        assert!(!cache.fill(ticket, 1, "stale"));
        assert_eq!(cache.get(&1), None);
        assert!(cache.fill(cache.ticket(&1), 1, "fresh"));
        assert_eq!(cache.get(&1), Some("fresh"));
    }

    #[test]
    fn a_change_removes_what_was_stored() {
        let cache = GuardedCache::new(8);
        assert!(cache.fill(cache.ticket(&1), 1, "old"));
        cache.invalidate(&1);
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn a_change_of_many_removes_what_it_picks_and_refuses_every_fill_under_way() {
        let cache = GuardedCache::new(100);
        for key in 0..10 {
            assert!(cache.fill(cache.ticket(&key), key, key % 2));
        }
        let ticket = cache.ticket(&10);
        cache.invalidate_where(|key, value| *value == 1 || *key == 4);
        assert!(!cache.fill(ticket, 10, 1));
        assert_eq!((0..11).filter(|key| cache.get(key).is_some()).collect::<Vec<_>>(), [0, 2, 6, 8]);
    }

    #[test]
    fn nothing_is_found_while_the_lease_is_not_held_and_a_change_meanwhile_counts() {
        let lease = Arc::new(Lease::none());
        let cache = GuardedCache::trusting(8, &lease);
        assert!(cache.fill(cache.ticket(&1), 1, "read without a lease"));
        assert!(cache.fill(cache.ticket(&2), 2, "read without a lease"));
        assert_eq!(cache.get(&1), None);
        cache.invalidate(&2);
        lease.hold_until(crate::cluster::Moment::now().after(std::time::Duration::from_mins(1)));
        assert_eq!((cache.get(&1), cache.get(&2)), (Some("read without a lease"), None));
        let ticket = cache.ticket(&3);
        cache.clear();
        assert!(!cache.fill(ticket, 3, "stale"));
        assert!(cache.is_empty());
    }

    #[test]
    fn the_cache_never_outgrows_its_capacity() {
        let cache = GuardedCache::new(100);
        for key in 0..10_000 {
            let _ = cache.fill(cache.ticket(&key), key, ());
            assert!(cache.len() <= 100);
        }
    }

    #[test]
    fn a_used_entry_survives_a_sweep_that_unused_ones_do_not() {
        let cache = GuardedCache::new(100);
        for key in 0..100 {
            let _ = cache.fill(cache.ticket(&key), key, ());
        }
        cache.sweep(); // everything was fresh: half is gone, all flags are cleared
        let kept: Vec<i32> = (0..100).filter(|key| cache.map.contains_key(key)).collect();
        let favourite = kept[0];
        assert!(cache.get(&favourite).is_some());
        cache.sweep();
        assert_eq!(cache.len(), 1);
        assert!(cache.get(&favourite).is_some());
    }

    #[test]
    fn racing_fills_and_changes_never_leave_a_stale_value() {
        use std::sync::Mutex;
        let store = Mutex::new(0_u64);
        let cache = GuardedCache::new(8);
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    for _ in 0..20_000 {
                        let ticket = cache.ticket(&0);
                        let value = *store.lock().expect("no panic");
                        let _ = cache.fill(ticket, 0, value);
                    }
                });
            }
            threads.spawn(|| {
                for _ in 0..20_000 {
                    let now = {
                        let mut value = store.lock().expect("no panic");
                        *value += 1;
                        *value
                    };
                    cache.invalidate(&0);
                    if let Some(seen) = cache.get(&0) {
                        assert!(seen >= now, "saw {seen} after {now} was committed");
                    }
                }
            });
        });
    }
}
