//! When keys and connections were last used: at most one write of each per minute.

use std::time::Duration;

use domain::id::ConnectionId;
use domain::key::KeyId;
use domain::key::port::LiveKey;
use domain::time::{Clock, SystemClock};

use crate::cache::LiveKeyHandle;
use crate::db::SqlLastUsed;
use crate::uses::Uses;

/// How often uses are written, and how exact they are.
pub const INTERVAL: Duration = Duration::from_mins(1);

/// What was used: a key, and which token of it when that was rotated away.
pub type Use = (KeyId, Option<i32>);

/// Notes uses in memory until they are written.
#[derive(Clone, Default)]
pub struct LastUsed {
    // A token that was rotated away is noted beside its key's others.
    keys: Uses<Use>,
    connections: Uses<ConnectionId>,
}

impl LastUsed {
    /// Notes that a key was used now. Only for requests whose key was valid.
    pub fn note(&self, key: &LiveKeyHandle) {
        self.keys.note((key.facts().id, key.earlier_issue()));
    }

    /// Notes that a connection is used now.
    pub fn note_connection(&self, connection: ConnectionId) {
        self.connections.note(connection);
    }

    /// Writes what was noted; when the store cannot, keeps it for the next time and says false.
    pub async fn flush(&self, store: &SqlLastUsed) -> bool {
        let keys = self.keys.flush("keys", async |uses: &[_]| store.write(uses).await).await;
        let connections = self.connections.flush("connections", async |uses: &[_]| store.write_connections(uses).await);
        connections.await && keys
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
