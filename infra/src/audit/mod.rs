//! The audit log's way to the database: a bounded queue, and one task that appends batches. Records of finished calls go
//! along, in the same transactions.
//!
//! Nothing is dropped. A batch that cannot be written is tried again until it can; meanwhile the queue fills, callers
//! wait, and then get [`Saturated`](domain::audit::Saturated) and answer 503. Decisions that wait are in the process's
//! [`Journal`] too, so that killing the process does not drop them either.

mod journal;
mod look;
mod opening;
mod queue;
mod record;
mod recovery;
mod writer;

use std::collections::HashMap;

use domain::audit::entry::AuditEntry;
use tokio::sync::oneshot;

pub use self::journal::Journal;
pub use self::look::look_at_journals;
pub use self::opening::open_journal;
pub use self::queue::AuditQueue;
pub use self::writer::AuditWriter;

/// Most events, and most calls, of one batch: far more than arrive while one gathers and the one before is written.
const BATCH: usize = 4_096;

/// Refusals of the unknown since they were last written, by action, code and reason.
type Anonymous = HashMap<(&'static str, &'static str, &'static str), u64>;

/// What the writer is given.
enum Entry {
    /// A decision, and its number in the journal.
    Kept(AuditEntry, i64),
    /// What is counted, and in no journal.
    Counted(AuditEntry),
    /// Somebody waits for those before.
    Waits(oneshot::Sender<()>),
}
