//! The audit log's writer: a bounded queue, and one task that appends batches. Records of finished calls go along, in the
//! same transactions.
//!
//! Nothing is dropped. A batch that cannot be written is tried again until it can; meanwhile the queue fills, callers
//! wait, and then get [`Saturated`] and answer 503.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::audit::entry::AuditEntry;
use domain::audit::{AuditActor, AuditEvent, AuditLog, Saturated};
use domain::time::{Clock, SystemClock};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::calls::FinishedCalls;
use crate::db::SqlAuditRows;

/// Events that may wait to be written.
const QUEUE: usize = 16_384;
/// Most events, and most calls, of one batch: far more than arrive while one gathers and the one before is written.
const BATCH: usize = 4_096;
/// How long an event waits for company. A batch costs about as much as sixty of its rows: its commit, and the pages at the
/// end of every index, which it writes again.
const GATHER: Duration = Duration::from_millis(50);
/// How long a caller waits for room, or for its event to be on disk, before it gets [`Saturated`].
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a failed batch is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How often, when the program ends and the store does not answer, before the rows go to the log instead.
const CLOSING_TRIES: usize = 10;
/// How often refusals of the unknown are written.
const ANONYMOUS_INTERVAL: Duration = Duration::from_secs(10);

/// Refusals of the unknown since they were last written, by action, code and reason.
type Anonymous = HashMap<(&'static str, &'static str, &'static str), u64>;

/// An event, or none from somebody who only waits for those before it.
struct Entry {
    event: Option<AuditEvent>,
    written: Option<oneshot::Sender<()>>,
}

/// Takes events for the writer.
#[derive(Clone)]
pub struct AuditQueue {
    sender: mpsc::Sender<Entry>,
    anonymous: Arc<Mutex<Anonymous>>,
}

/// The writer's task; await it after the last queue is dropped, to know that everything is on disk.
#[derive(Debug)]
pub struct AuditWriter(JoinHandle<()>);

impl AuditQueue {
    /// Starts the writer, of events and of calls.
    #[must_use]
    pub fn start(rows: SqlAuditRows, calls: FinishedCalls) -> (Self, AuditWriter) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let anonymous = Arc::default();
        let task = tokio::spawn(write(receiver, calls, rows, Arc::clone(&anonymous)));
        (Self { sender, anonymous }, AuditWriter(task))
    }

    fn count(&self, action: &'static str, code: &'static str, reason: &'static str) {
        let mut counts = self.anonymous.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts.entry((action, code, reason)).or_default() += 1;
    }

    async fn send(&self, entry: Entry) -> Result<(), Saturated> {
        match tokio::time::timeout(PATIENCE, self.sender.send(entry)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Saturated),
        }
    }
}

impl AuditWriter {
    /// Returns when everything that was queued is written.
    pub async fn finished(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the audit writer ended badly");
        }
    }
}

#[async_trait]
impl AuditLog for AuditQueue {
    fn try_record(&self, event: AuditEvent) -> Result<(), Box<AuditEvent>> {
        match self.sender.try_reserve() {
            Ok(place) => {
                place.send(Entry { event: Some(event), written: None });
                Ok(())
            }
            Err(TrySendError::Full(()) | TrySendError::Closed(())) => Err(Box::new(event)),
        }
    }

    async fn record(&self, event: AuditEvent) -> Result<(), Saturated> {
        self.send(Entry { event: Some(event), written: None }).await
    }

    async fn settle(&self) -> Result<(), Saturated> {
        let (written, on_disk) = oneshot::channel();
        self.send(Entry { event: None, written: Some(written) }).await?;
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

async fn write(
    mut receiver: mpsc::Receiver<Entry>,
    mut calls: FinishedCalls,
    rows: SqlAuditRows,
    anonymous: Arc<Mutex<Anonymous>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut interval = tokio::time::interval(ANONYMOUS_INTERVAL);
    let (mut no_more_events, mut no_more_calls) = (false, false);
    while !(no_more_events && no_more_calls) {
        tokio::select! {
            taken = receiver.recv_many(&mut batch, BATCH), if !no_more_events => {
                no_more_events = taken == 0;
                gather(&mut receiver, &mut batch).await;
            }
            more = calls.arrived(), if !no_more_calls => {
                no_more_calls = !more;
                gather(&mut receiver, &mut batch).await;
            }
            _ = interval.tick() => batch.extend(counted(&anonymous)),
        }
        append(&rows, receiver.is_closed(), &mut batch, &mut calls).await;
    }
    batch.extend(counted(&anonymous));
    append(&rows, true, &mut batch, &mut calls).await;
}

/// Fills the batch up with what arrives soon, unless there is enough already or somebody waits for the disk. It sleeps and
/// then takes what is there: a task that waited for each event would be woken by each, and waking costs the sender more
/// than the event.
async fn gather(receiver: &mut mpsc::Receiver<Entry>, batch: &mut Vec<Entry>) {
    let enough = batch.len() + receiver.len() >= BATCH;
    if !enough && batch.iter().all(|entry| entry.written.is_none()) {
        tokio::time::sleep(GATHER).await;
    }
    while batch.len() < BATCH {
        match receiver.try_recv() {
            Ok(entry) => batch.push(entry),
            Err(_) => break,
        }
    }
}

async fn append(audit: &SqlAuditRows, closing: bool, batch: &mut Vec<Entry>, calls: &mut FinishedCalls) {
    let rows: Vec<AuditEntry> = batch.iter().filter_map(|entry| entry.event.as_ref()).map(AuditEntry::from).collect();
    // Who waits for those before waits for all of them.
    let waited_for = batch.iter().any(|entry| entry.written.is_some());
    let finished = calls.take(if waited_for { usize::MAX } else { BATCH });
    let count = finished.len();
    let mut tries = 0;
    // Those who only wait bring no row.
    while !(rows.is_empty() && finished.is_empty())
        && let Err(error) = audit.append(&rows, finished).await
    {
        tries += 1;
        tracing::error!(
            error = &error as &dyn std::error::Error,
            rows = rows.len(),
            calls = count,
            "audit rows and calls wait to be written"
        );
        if closing && tries >= CLOSING_TRIES {
            tracing::error!(
                ?rows,
                calls = ?finished,
                "audit rows and calls could not be written before the end; this line is all that is left of them"
            );
            break;
        }
        tokio::time::sleep(RETRY).await;
    }
    calls.written(count);
    for entry in batch.drain(..) {
        if let Some(written) = entry.written {
            // Whoever waited may have given up; the row is written all the same.
            let _ = written.send(());
        }
    }
}

fn counted(anonymous: &Mutex<Anonymous>) -> Vec<Entry> {
    let counts = std::mem::take(&mut *anonymous.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let at = SystemClock.now();
    counts
        .into_iter()
        .map(|((action, code, reason), count)| AuditEvent {
            reason: Some(format!("{reason} ({count} times)")),
            ..AuditEvent::unproven(AuditActor::Anonymous, action, at).refused(code)
        })
        .map(|event| Entry { event: Some(event), written: None })
        .collect()
}
