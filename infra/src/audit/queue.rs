//! Where decisions are handed in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::audit::entry::AuditEntry;
use domain::audit::{AuditEvent, AuditLog, Saturated};
use tokio::sync::mpsc::{self, Permit, error::TrySendError};
use tokio::sync::oneshot;

use super::{Anonymous, AuditWriter, Entry, Journal};
use crate::calls::FinishedCalls;
use crate::db::SqlAuditRows;

/// Events that may wait to be written.
const QUEUE: usize = 16_384;
/// How long a caller waits for room, or for its event to be on disk, before it gets [`Saturated`].
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes events for the writer.
#[derive(Clone)]
pub struct AuditQueue {
    sender: mpsc::Sender<Entry>,
    journal: Arc<Journal>,
    anonymous: Arc<Mutex<Anonymous>>,
}

impl AuditQueue {
    /// Starts the writer, of events and of calls.
    #[must_use]
    pub fn start(rows: SqlAuditRows, journal: Journal, calls: FinishedCalls) -> (Self, AuditWriter) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (anonymous, journal) = (Arc::default(), Arc::new(journal));
        let writer = AuditWriter::start(receiver, calls, rows, Arc::clone(&journal), Arc::clone(&anonymous));
        (Self { sender, journal, anonymous }, writer)
    }

    fn count(&self, action: &'static str, code: &'static str, reason: &'static str) {
        let mut counts = self.anonymous.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts.entry((action, code, reason)).or_default() += 1;
    }

    async fn room(&self) -> Result<Permit<'_, Entry>, Saturated> {
        match tokio::time::timeout(PATIENCE, self.sender.reserve()).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) | Err(_) => Err(Saturated),
        }
    }

    fn keep(&self, event: &AuditEvent, room: Permit<'_, Entry>) {
        self.journal.keep(AuditEntry::from(event), |entry, number| room.send(Entry::Kept(entry, number)));
    }
}

#[async_trait]
impl AuditLog for AuditQueue {
    fn try_record(&self, event: AuditEvent) -> Result<(), Box<AuditEvent>> {
        match self.sender.try_reserve() {
            Ok(room) => {
                self.keep(&event, room);
                Ok(())
            }
            Err(TrySendError::Full(()) | TrySendError::Closed(())) => Err(Box::new(event)),
        }
    }

    async fn record(&self, event: AuditEvent) -> Result<(), Saturated> {
        let room = self.room().await?;
        self.keep(&event, room);
        Ok(())
    }

    async fn settle(&self) -> Result<(), Saturated> {
        let (written, on_disk) = oneshot::channel();
        self.room().await?.send(Entry::Waits(written));
        match tokio::time::timeout(PATIENCE, on_disk).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Saturated),
        }
    }

    fn count_anonymous(&self, action: &'static str, reason: &'static str) {
        self.count(action, "unauthenticated", reason);
    }

    fn count_throttled(&self, action: &'static str) {
        self.count(action, "rate_limited", "too many failures");
    }
}
