//! When keys were last used: at most one write per key per minute, beside the request's path.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use domain::key::KeyId;
use domain::key::port::LiveKey;
use domain::time::{Clock, SystemClock, Timestamp};
// Asked at every request; only proven keys get in here.
use foldhash::quality::RandomState;

use crate::cache::LiveKeyHandle;
use crate::db::SqlLastUsed;

/// How often uses are written, and how exact they are.
pub const INTERVAL: Duration = Duration::from_mins(1);

/// What was used: a key, and which token of it when that was rotated away.
pub type Use = (KeyId, Option<i32>);

/// Notes uses in memory until they are written.
#[derive(Clone, Default)]
pub struct LastUsed {
    // A token that was rotated away is noted beside its key's others.
    pending: Arc<DashMap<Use, Timestamp, RandomState>>,
}

impl LastUsed {
    /// Notes that a key was used now. Only for requests whose key was valid.
    pub fn note(&self, key: &LiveKeyHandle) {
        let used = (key.facts().id, key.earlier_issue());
        // Most uses find the key noted already in this interval, which is exact enough.
        if !self.pending.contains_key(&used) {
            self.pending.insert(used, SystemClock.now());
        }
    }

    /// Writes what was noted; when the store cannot, keeps it for the next time and says false.
    pub async fn flush(&self, store: &SqlLastUsed) -> bool {
        let uses: Vec<_> = self.pending.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        if uses.is_empty() {
            return true;
        }
        match store.write(&uses).await {
            Ok(()) => {
                for (used, at) in uses {
                    self.pending.remove_if(&used, |_, noted| *noted == at);
                }
                true
            }
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, keys = uses.len(), "last uses of keys wait to be written");
                false
            }
        }
    }

    /// Writes and sweeps once per interval, for ever.
    pub async fn run(self, store: SqlLastUsed) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            self.flush(&store).await;
            if let Err(error) = store.purge_ended(SystemClock.now()).await {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "tokens that were rotated away wait to be swept out");
            }
        }
    }
}
