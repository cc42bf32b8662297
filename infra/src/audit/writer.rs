//! The task that appends what was handed in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::audit::entry::AuditEntry;
use domain::audit::{AuditActor, AuditEvent};
use domain::call::CallRecord;
use domain::time::{Clock, SystemClock};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Anonymous, BATCH, Entry, Journal};
use crate::calls::FinishedCalls;
use crate::db::SqlAuditRows;

/// How long an event waits for company. A batch costs about as much as sixty of its rows: its commit, and the pages at the
/// end of every index, which it writes again.
const GATHER: Duration = Duration::from_millis(50);
/// How often a failed batch is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How often, when the program ends and the store does not answer, before they are left to the journal and the program's log.
const CLOSING_TRIES: usize = 10;
/// How often refusals of the unknown are written.
const ANONYMOUS_INTERVAL: Duration = Duration::from_secs(10);

/// The writer's task; await it after the last queue is dropped, to know that everything is on disk.
#[derive(Debug)]
pub struct AuditWriter(JoinHandle<()>);

impl AuditWriter {
    pub(super) fn start(
        receiver: mpsc::Receiver<Entry>,
        calls: FinishedCalls,
        rows: SqlAuditRows,
        journal: Arc<Journal>,
        anonymous: Arc<Mutex<Anonymous>>,
    ) -> Self {
        let store = Store { rows, journal, given_up: false };
        Self(tokio::spawn(write(receiver, calls, store, anonymous)))
    }

    /// Returns when everything that was queued is written.
    pub async fn finished(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the audit writer ended badly");
        }
    }
}

async fn write(
    mut receiver: mpsc::Receiver<Entry>,
    mut calls: FinishedCalls,
    mut store: Store,
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
        store.append(|| receiver.is_closed(), &mut batch, &mut calls).await;
    }
    batch.extend(counted(&anonymous));
    store.append(|| true, &mut batch, &mut calls).await;
    store.close().await;
}

/// Fills the batch up with what arrives soon, unless there is enough already or somebody waits for the disk. It sleeps and
/// then takes what is there: a task that waited for each event would be woken by each, and waking costs the sender more
/// than the event.
async fn gather(receiver: &mut mpsc::Receiver<Entry>, batch: &mut Vec<Entry>) {
    let enough = batch.len() + receiver.len() >= BATCH;
    if !enough && !batch.iter().any(|entry| matches!(entry, Entry::Waits(_))) {
        tokio::time::sleep(GATHER).await;
    }
    while batch.len() < BATCH {
        match receiver.try_recv() {
            Ok(entry) => batch.push(entry),
            Err(_) => break,
        }
    }
}

/// Where the writer writes to.
struct Store {
    rows: SqlAuditRows,
    journal: Arc<Journal>,
    // Some decisions were not written: none that follow may be, since the journal's mark is of all up to a number.
    given_up: bool,
}

impl Store {
    /// `closing` says whether the program ends.
    async fn append(&mut self, closing: impl Fn() -> bool, batch: &mut Vec<Entry>, calls: &mut FinishedCalls) {
        let batch = Batch::of(batch);
        // Who waits for those before waits for all of them.
        let finished = calls.take(if batch.waiting.is_empty() { BATCH } else { usize::MAX });
        let count = finished.len();
        let written = self.try_append(closing, &batch, finished).await;
        calls.written(count);
        if !written {
            return;
        }
        if let Some(number) = batch.newest {
            self.journal.written(number);
        }
        for waiting in batch.waiting {
            // Whoever waited may have given up; the row is written all the same.
            let _ = waiting.send(());
        }
    }

    /// Tries until it is written; false when the program ends before.
    async fn try_append(&mut self, closing: impl Fn() -> bool, batch: &Batch, calls: &[CallRecord]) -> bool {
        // Those who only wait bring no row.
        if batch.rows.is_empty() && calls.is_empty() {
            return true;
        }
        let mark = batch.newest.map(|number| self.journal.mark(number));
        let mut tries = 0;
        while !self.given_up
            && let Err(error) = self.rows.append_once(mark, &batch.rows, calls).await
        {
            tries += 1;
            tracing::error!(
                error = &error as &dyn std::error::Error,
                rows = batch.rows.len(),
                calls = calls.len(),
                "audit rows and calls wait to be written"
            );
            self.given_up = closing() && tries >= CLOSING_TRIES;
            if !self.given_up {
                tokio::time::sleep(RETRY).await;
            }
        }
        if self.given_up {
            self.give_up(batch, calls);
        }
        !self.given_up
    }

    fn give_up(&self, batch: &Batch, calls: &[CallRecord]) {
        let counted = &batch.rows[batch.kept..];
        let lost = if self.journal.is_whole() { counted } else { &batch.rows[..] };
        tracing::error!(
            rows = ?lost,
            ?calls,
            in_the_journal = batch.rows.len() - lost.len(),
            "audit rows and calls could not be written before the end; what is in the journal is written at the next start, \
             and this line is all that is left of the others"
        );
    }

    /// After the last append.
    async fn close(self) {
        if self.given_up {
            return;
        }
        self.journal.remove();
        if let Err(error) = self.rows.close_journal(self.journal.id()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a journal without decisions stays noted");
        }
    }
}

/// What is written at once.
struct Batch {
    /// Those of the journal, and then those that are in none.
    rows: Vec<AuditEntry>,
    kept: usize,
    /// The number of the newest one of the journal.
    newest: Option<i64>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn of(entries: &mut Vec<Entry>) -> Self {
        let mut counted = Vec::new();
        let mut batch = Self { rows: Vec::with_capacity(entries.len()), kept: 0, newest: None, waiting: Vec::new() };
        for entry in entries.drain(..) {
            match entry {
                Entry::Kept(row, number) => {
                    batch.rows.push(row);
                    batch.newest = Some(number);
                }
                Entry::Counted(row) => counted.push(row),
                Entry::Waits(written) => batch.waiting.push(written),
            }
        }
        batch.kept = batch.rows.len();
        batch.rows.append(&mut counted);
        batch
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
        .map(|event| Entry::Counted(AuditEntry::from(&event)))
        .collect()
}
