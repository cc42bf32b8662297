//! Finished calls on their way to the store. A worker adds to a list and goes on; the audit log's writer takes the list
//! along with its own batch, in the same transaction, so that a call costs no commit of its own.
//!
//! Nothing is dropped. Records that cannot be written wait, and when too many do, new calls wait before they are sent
//! anywhere, and then get [`Saturated`]. A call that was let begin needs no permission to end: the memory for records is
//! bounded by [`ROOM`] and the calls under way.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::audit::Saturated;
use domain::call::CallRecord;
use tokio::sync::Notify;

/// Records that may wait to be written before new calls wait for them.
pub const ROOM: usize = 16_384;
/// How long a call waits for room before it gets [`Saturated`].
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Shared {
    finished: Mutex<Vec<CallRecord>>,
    // Those in the list, and those that are being written.
    waiting: AtomicUsize,
    arrived: Notify,
    written: Notify,
    stopping: AtomicBool,
    closed: AtomicBool,
}

/// The workers' end.
#[derive(Clone)]
pub struct CallQueue(Arc<Open>);

/// Lives as long as somebody may still add a record.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.arrived.notify_one();
    }
}

/// The writer's end.
pub struct FinishedCalls {
    shared: Arc<Shared>,
    taken: Vec<CallRecord>,
    // How many of those are written.
    done: usize,
}

/// A queue and the writer's end of it.
#[must_use]
pub fn queue() -> (CallQueue, FinishedCalls) {
    let shared = Arc::new(Shared::default());
    (CallQueue(Arc::new(Open(Arc::clone(&shared)))), FinishedCalls { shared, taken: Vec::new(), done: 0 })
}

impl CallQueue {
    /// Whether a call may begin at once.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.0.waiting.load(Ordering::Relaxed) < ROOM
    }

    /// Returns when a call may begin.
    ///
    /// # Errors
    /// [`Saturated`] when that takes too long.
    pub async fn room(&self) -> Result<(), Saturated> {
        let room = async {
            loop {
                let mut written = pin!(self.0.0.written.notified());
                written.as_mut().enable();
                if self.has_room() {
                    return;
                }
                written.await;
            }
        };
        tokio::time::timeout(PATIENCE, room).await.map_err(|_| Saturated)
    }

    /// Adds a record. The first one of a batch wakes the writer, which then sleeps until there is more.
    pub fn add(&self, record: CallRecord) {
        let shared = &self.0.0;
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        let first = {
            let mut finished = shared.finished.lock().unwrap_or_else(PoisonError::into_inner);
            finished.push(record);
            finished.len() == 1
        };
        if first {
            shared.arrived.notify_one();
        }
    }

    /// The program begins to stop: what ends from now on without an end of its own was ended by us.
    pub fn stopping(&self) {
        self.0.0.stopping.store(true, Ordering::Release);
    }

    /// Whether the program stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.0.stopping.load(Ordering::Acquire)
    }
}

impl FinishedCalls {
    /// Waits for a record; false when there will be none any more.
    pub(crate) async fn arrived(&self) -> bool {
        loop {
            // Looked at before the list: who closes has added everything before.
            let closed = self.shared.closed.load(Ordering::Acquire);
            let left = self.done < self.taken.len();
            if left || !self.shared.finished.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return true;
            }
            if closed {
                return false;
            }
            self.shared.arrived.notified().await;
        }
    }

    /// The oldest records that are not written yet, at most this many.
    pub(crate) fn take(&mut self, most: usize) -> &[CallRecord] {
        if self.taken.len() - self.done < most {
            let mut finished = self.shared.finished.lock().unwrap_or_else(PoisonError::into_inner);
            if self.taken.is_empty() {
                // The lists change places, so that neither is made anew.
                std::mem::swap(&mut self.taken, &mut *finished);
            } else {
                self.taken.append(&mut finished);
            }
        }
        let rest = &self.taken[self.done..];
        &rest[..rest.len().min(most)]
    }

    /// The first `count` of those that were taken are written.
    pub(crate) fn written(&mut self, count: usize) {
        self.done += count;
        if self.done == self.taken.len() {
            self.taken.clear();
            self.done = 0;
        }
        self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
        self.shared.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use domain::call::{CallKind, Outcome};
    use domain::id::{OrganizationId, ServerId};
    use domain::key::KeyId;
    use domain::time::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn call(number: i64) -> CallRecord {
        CallRecord {
            at: Timestamp::from_micros(number),
            request_id: Uuid::nil(),
            organization: OrganizationId::new(),
            key: KeyId::from_token_part("0123456789abcdef").expect("an id"),
            server: ServerId::new(),
            tenant_org: None,
            tenant_user: None,
            kind: CallKind::Request,
            method: None,
            tool: None,
            version: None,
            session: None,
            outcome: Outcome::Answered,
            status: None,
            fault: None,
            request_bytes: 0,
            response_bytes: 0,
            first_byte: None,
            took: Duration::ZERO,
            telemetry: None,
        }
    }

    fn numbers(calls: &[CallRecord]) -> Vec<i64> {
        calls.iter().map(|call| call.at.as_micros()).collect()
    }

    #[test]
    fn records_come_in_their_order_and_each_until_it_is_written() {
        let (queue, mut finished) = queue();
        (0..3).for_each(|number| queue.add(call(number)));
        assert_eq!(numbers(finished.take(2)), [0, 1]);
        assert_eq!(numbers(finished.take(2)), [0, 1], "they were not written");
        finished.written(2);
        queue.add(call(3));
        assert_eq!(numbers(finished.take(1)), [2]);
        assert_eq!(numbers(finished.take(usize::MAX)), [2, 3]);
        finished.written(2);
        assert_eq!(finished.take(usize::MAX), []);
    }

    #[tokio::test]
    async fn a_call_waits_until_there_is_room() {
        let (queue, mut finished) = queue();
        (0..ROOM).for_each(|_| queue.add(call(0)));
        assert!(!queue.has_room());
        assert_eq!(finished.take(10).len(), 10);
        assert!(!queue.has_room(), "what is being written takes its place");
        let late = tokio::spawn({
            let queue = queue.clone();
            async move { queue.room().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!late.is_finished());
        finished.written(10);
        assert_eq!(late.await.expect("it ends"), Ok(()));
    }

    #[tokio::test]
    async fn the_end_is_seen_after_the_last_record_of_the_last_worker() {
        let (queue, mut finished) = queue();
        let other = queue.clone();
        drop(queue);
        other.add(call(0));
        drop(other);
        assert!(finished.arrived().await);
        assert_eq!(finished.take(usize::MAX).len(), 1);
        assert!(finished.arrived().await, "it is not written yet");
        finished.written(1);
        assert!(!finished.arrived().await);
    }
}
