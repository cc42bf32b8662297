//! Counting use in memory, and writing it once a minute: a request adds to one entry of a map and waits for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use domain::store::StoreFault;
use domain::usage::port::UsageStore;
use domain::usage::{Slot, Tally};
use foldhash::quality::RandomState;
use tokio::sync::Mutex;

use crate::db::SqlUsage;

/// How often what was counted is written.
pub const INTERVAL: Duration = Duration::from_mins(1);
/// Most entries of one transaction, so that other writers get their turn.
const BATCH: usize = 100;

/// Counts calls until they are written.
#[derive(Clone)]
pub struct UsageMeter {
    pending: Arc<DashMap<Slot, Tally, RandomState>>,
    // Whoever reads must wait for what is on its way from memory to the store, and sees it twice or not at all else.
    writing: Arc<Mutex<()>>,
    left_out: Arc<AtomicU64>,
    capacity: usize,
}

impl UsageMeter {
    /// A meter for about this many pairs of a key and a server at most between two writes. Calls of more pairs than
    /// that are left out, with a line in the log.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            pending: Arc::new(DashMap::with_hasher(RandomState::default())),
            writing: Arc::default(),
            left_out: Arc::default(),
            capacity,
        }
    }

    /// Counts a call.
    pub fn count(&self, slot: Slot, took: Duration, failed: bool) {
        if let Some(mut tally) = self.pending.get_mut(&slot) {
            tally.count(took, failed);
            return;
        }
        if self.pending.len() >= self.capacity {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.pending.entry(slot).or_default().count(took, failed);
    }

    /// Writes what was counted before it was called. What cannot be written is kept for the next time. It goes on to its
    /// end when whoever asked stops waiting.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn flush(&self, store: &SqlUsage) -> Result<(), StoreFault> {
        let (meter, store) = (self.clone(), store.clone());
        let task = tokio::spawn(async move { meter.write(&store).await });
        task.await.unwrap_or_else(|error| Err(StoreFault::Broken(Box::new(error))))
    }

    async fn write(&self, store: &dyn UsageStore) -> Result<(), StoreFault> {
        let _turn = self.writing.lock().await;
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(calls = left_out, "more keys and servers are in use than memory is given to count for");
        }
        let mut slots: Vec<Slot> = self.pending.iter().map(|entry| *entry.key()).collect();
        // In one order everywhere, so that two nodes that lock the same rows do not wait for each other.
        slots.sort_unstable_by_key(|slot| (slot.organization, slot.hour, slot.key.to_string(), slot.server));
        for batch in slots.chunks(BATCH) {
            let counted: Vec<(Slot, Tally)> = batch.iter().filter_map(|slot| self.pending.remove(slot)).collect();
            if let Err(fault) = store.add(&counted).await {
                for (slot, tally) in counted {
                    self.pending.entry(slot).or_default().merge(&tally);
                }
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Writes once per interval, for ever.
    pub async fn run(self, store: SqlUsage) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            if let Err(fault) = self.flush(&store).await {
                let cause = &fault as &dyn std::error::Error;
                tracing::warn!(error = cause, pairs = self.pending.len(), "use of keys waits to be written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use async_trait::async_trait;
    use domain::access::Grant;
    use domain::access::permission::UsageRead;
    use domain::id::{OrganizationId, ServerId};
    use domain::key::KeyId;
    use domain::page::{Page, PageRequest};
    use domain::time::Timestamp;
    use domain::usage::Hour;
    use domain::usage::port::{UsageItem, UsagePosition, UsageQuery};

    use super::*;

    #[derive(Default)]
    struct Store {
        down: AtomicBool,
        sum: std::sync::Mutex<Tally>,
    }

    #[async_trait]
    impl UsageStore for Store {
        async fn add(&self, counted: &[(Slot, Tally)]) -> Result<(), StoreFault> {
            if self.down.load(Ordering::SeqCst) {
                return Err(StoreFault::Unavailable("down".into()));
            }
            let mut sum = self.sum.lock().expect("whole");
            for (_, tally) in counted {
                sum.merge(tally);
            }
            Ok(())
        }

        async fn report(
            &self,
            _: &Grant<UsageRead>,
            _: &UsageQuery,
            _: PageRequest<UsagePosition>,
        ) -> Result<Page<UsageItem, UsagePosition>, StoreFault> {
            Err(StoreFault::Unavailable("not asked here".into()))
        }
    }

    fn slot() -> Slot {
        Slot {
            organization: OrganizationId::new(),
            key: KeyId::from_token_part("0123456789abcdef").expect("an id"),
            server: ServerId::new(),
            hour: Hour::of(Timestamp::from_micros(0)),
        }
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later_and_once() {
        let (meter, store, slot) = (UsageMeter::new(10), Store::default(), slot());
        store.down.store(true, Ordering::SeqCst);
        meter.count(slot, Duration::from_millis(2), false);
        assert!(meter.write(&store).await.is_err());
        meter.count(slot, Duration::from_millis(2), true);
        store.down.store(false, Ordering::SeqCst);
        meter.write(&store).await.expect("it is up again");
        meter.write(&store).await.expect("nothing is left");
        let sum = store.sum.lock().expect("whole");
        assert_eq!((sum.calls, sum.errors), (2, 1));
        assert!(meter.pending.is_empty());
    }

    #[tokio::test]
    async fn memory_is_bounded_while_the_store_is_down() {
        let meter = UsageMeter::new(10);
        for _ in 0..50 {
            meter.count(slot(), Duration::ZERO, false);
        }
        assert_eq!((meter.pending.len(), meter.left_out.load(Ordering::Relaxed)), (10, 40));
    }
}
