//! Insights in the database.
//!
//! The writer of call records leaves the calls of each batch in one packed row per organization, in its own transaction
//! (`intake`). Whoever folds takes such rows away and adds what they say to slices, sessions and topics, again in one
//! transaction (`fold`), so that each call counts once, whatever crashes and however many nodes fold. Days that are over
//! are added up to weeks (`weeks`). Views read what was folded (`read`).

mod fold;
pub mod intake;
mod read;
mod sessions;
mod slices;
mod topics;
mod weeks;

pub use fold::{Batch, SqlInsightFold};
pub use read::SqlInsights;
pub use topics::untouched;

/// Scopes of one statement.
const SCOPES: usize = 100;
