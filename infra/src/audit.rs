//! The audit log's writer: a bounded queue, and one task that appends batches.
//!
//! Nothing is dropped. A batch that cannot be written is tried again until it can; meanwhile the queue fills, callers
//! wait, and then get [`Saturated`] and answer 503.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::access::Actor;
use domain::audit::{AuditActor, AuditEvent, AuditLog, AuditTarget, Saturated};
use domain::id::OrganizationId;
use domain::tenant::TenantText;
use domain::time::{Clock, SystemClock};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::db::{AuditRow, SqlAuditRows};

/// Events that may wait to be written.
const QUEUE: usize = 16_384;
/// Most events of one batch.
const BATCH: usize = 1_000;
/// How long an event waits for company.
const GATHER: Duration = Duration::from_millis(20);
/// How long a caller waits for room, or for its event to be on disk, before it gets [`Saturated`].
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a failed batch is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How often, when the program ends and the store does not answer, before the rows go to the log instead.
const CLOSING_TRIES: usize = 10;
/// How often refusals of the unknown are written.
const ANONYMOUS_INTERVAL: Duration = Duration::from_secs(10);

/// Refusals of the unknown since they were last written, by action and reason.
type Anonymous = HashMap<(&'static str, &'static str), u64>;

struct Entry {
    event: AuditEvent,
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
    /// Starts the writer.
    #[must_use]
    pub fn start(rows: SqlAuditRows) -> (Self, AuditWriter) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let anonymous = Arc::default();
        let task = tokio::spawn(write(receiver, rows, Arc::clone(&anonymous)));
        (Self { sender, anonymous }, AuditWriter(task))
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
        self.sender.try_send(Entry { event, written: None }).map_err(|error| match error {
            TrySendError::Full(entry) | TrySendError::Closed(entry) => Box::new(entry.event),
        })
    }

    async fn record(&self, event: AuditEvent) -> Result<(), Saturated> {
        self.send(Entry { event, written: None }).await
    }

    async fn record_durably(&self, event: AuditEvent) -> Result<(), Saturated> {
        let (written, on_disk) = oneshot::channel();
        self.send(Entry { event, written: Some(written) }).await?;
        match tokio::time::timeout(PATIENCE, on_disk).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Saturated),
        }
    }

    fn count_anonymous(&self, action: &'static str, reason: &'static str) {
        let mut counts = self.anonymous.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts.entry((action, reason)).or_default() += 1;
    }
}

async fn write(mut receiver: mpsc::Receiver<Entry>, rows: SqlAuditRows, anonymous: Arc<Mutex<Anonymous>>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut interval = tokio::time::interval(ANONYMOUS_INTERVAL);
    loop {
        tokio::select! {
            taken = receiver.recv_many(&mut batch, BATCH) => {
                if taken == 0 {
                    break;
                }
                gather(&mut receiver, &mut batch).await;
            }
            _ = interval.tick() => batch.extend(counted(&anonymous)),
        }
        append(&rows, receiver.is_closed(), &mut batch).await;
    }
    batch.extend(counted(&anonymous));
    append(&rows, true, &mut batch).await;
}

/// Fills the batch up with what arrives soon, unless somebody waits for the disk. It sleeps and then takes what is there:
/// a task that waited for each event would be woken by each, and waking costs the sender more than the event.
async fn gather(receiver: &mut mpsc::Receiver<Entry>, batch: &mut Vec<Entry>) {
    if batch.iter().all(|entry| entry.written.is_none()) {
        tokio::time::sleep(GATHER).await;
    }
    while batch.len() < BATCH {
        match receiver.try_recv() {
            Ok(entry) => batch.push(entry),
            Err(_) => break,
        }
    }
}

async fn append(audit: &SqlAuditRows, closing: bool, batch: &mut Vec<Entry>) {
    if batch.is_empty() {
        return;
    }
    let rows: Vec<AuditRow> = batch.iter().map(|entry| row(&entry.event)).collect();
    let mut tries = 0;
    while let Err(error) = audit.append(&rows).await {
        tries += 1;
        tracing::error!(error = &error as &dyn std::error::Error, rows = rows.len(), "audit rows wait to be written");
        if closing && tries >= CLOSING_TRIES {
            tracing::error!(
                ?rows,
                "audit rows could not be written before the end; this line is all that is left of them"
            );
            break;
        }
        tokio::time::sleep(RETRY).await;
    }
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
        .map(|((action, reason), count)| AuditEvent {
            reason: Some(format!("{reason} ({count} times)")),
            ..AuditEvent::unproven(AuditActor::Anonymous, action, at).refused("unauthenticated")
        })
        .map(|event| Entry { event, written: None })
        .collect()
}

fn row(event: &AuditEvent) -> AuditRow {
    let (actor_kind, actor_id, actor_name) = match &event.actor {
        AuditActor::Proven(Actor::Key(key)) => ("key", Some(key.id.to_string()), Some(key.name.to_string())),
        AuditActor::Proven(Actor::Member(member)) => {
            ("member", Some(member.user.id.to_string()), Some(member.user.email.to_string()))
        }
        AuditActor::Key(id) => ("key", Some(id.to_string()), None),
        AuditActor::User(id) => ("member", Some(id.to_string()), None),
        AuditActor::Anonymous => ("anonymous", None, None),
        AuditActor::System => ("system", None, None),
    };
    let organization = event.organization.unwrap_or_else(|| OrganizationId::from_uuid(Uuid::nil()));
    let (target_kind, target_id) = match event.target {
        AuditTarget::Organization => ("organization", event.organization.map(|id| id.to_string())),
        AuditTarget::Key(id) => ("key", Some(id.to_string())),
        AuditTarget::Server(id) => ("server", Some(id.to_string())),
        AuditTarget::User(id) => ("user", Some(id.to_string())),
        AuditTarget::Tenant => ("tenant", None),
        AuditTarget::Invitation(id) => ("invitation", Some(id.to_string())),
    };
    AuditRow {
        organization,
        id: event.id.as_uuid(),
        at: event.at.as_micros(),
        actor_kind,
        actor_id,
        actor_name,
        action: event.action,
        target_kind,
        target_id,
        tenant_org: event.tenant.org().map(|id| TenantText::as_str(id).to_owned()),
        tenant_user: event.tenant.user().map(|id| TenantText::as_str(id).to_owned()),
        outcome: event.outcome.as_str(),
        code: event.code,
        reason: event.reason.clone(),
        request_id: event.request_id,
    }
}
