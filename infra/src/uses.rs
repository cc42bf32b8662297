//! When things were last used: noted in memory beside the request's path, and written now and then.

use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};
// Asked at every request; only what was proven gets in here.
use foldhash::quality::RandomState;

/// Uses that were not written yet.
#[derive(Clone)]
pub struct Uses<K>(Arc<DashMap<K, Timestamp, RandomState>>);

impl<K: Eq + Hash> Default for Uses<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + Hash> Uses<K> {
    /// Notes that a thing was used now.
    pub fn note(&self, thing: K) {
        // Most uses find the thing noted already in this interval, which is exact enough.
        if !self.0.contains_key(&thing) {
            self.0.insert(thing, SystemClock.now());
        }
    }

    /// Writes what was noted; when the store cannot, keeps it for the next time and says false.
    pub async fn flush(
        &self,
        what: &'static str,
        write: impl AsyncFnOnce(&[(K, Timestamp)]) -> Result<(), StoreFault>,
    ) -> bool {
        let uses: Vec<_> = self.0.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        if uses.is_empty() {
            return true;
        }
        match write(&uses).await {
            Ok(()) => {
                for (thing, at) in uses {
                    self.0.remove_if(&thing, |_, noted| *noted == at);
                }
                true
            }
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, what, count = uses.len(), "last uses wait to be written");
                false
            }
        }
    }
}
