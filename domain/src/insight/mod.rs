//! Insights: what is told from the calls of an organization. Calls are folded into slices, sessions and topics beside the
//! requests, so that a view costs the same however many calls there were.
//!
//! Here are the rules: what counts as a failure, where a session ends, which intents are one topic, what a slice keeps.
//! They know no store and no clock; `docs/insights.md` tells them to people.

mod fold;
mod intake;
mod period;
pub mod port;
mod service;
mod session;
mod slice;
mod subject;
pub mod topic;
mod view;
pub mod week;

use uuid::Uuid;

pub use fold::{Folded, Kind, Scope, SliceKey, fold};
pub use intake::{Intake, IntakeCall, MalformedIntake};
pub use period::{Grain, Period, Span};
pub use service::{InsightFault, InsightService, TopicFilter, TopicPosition};
pub use session::{CallSession, IDLE, LENGTH_MAX, SessionBook};
pub use slice::{Dimension, LINES_MAX, LINES_MAX_OF_MANY, Line, Lines, MalformedSlice, Slice};
pub use subject::{Subject, TenantName, tenant_scope};
pub use view::{Narrowed, Overview, Ranked, Ranking, StoredSlice, Sum, SumQuery, TopicDetail, TopicSummary};

/// An id that is told from what it is of, so that the same calls make the same ids on every node.
fn derived(context: &str, parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(first).into_uuid()
}
