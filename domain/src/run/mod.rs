//! Runs: the steps of one version of a workflow, called one after the other, with a verdict on each answer.
//!
//! Everything here is decided from what stands in the store, so that any node can go on with any run. Calling the tools is
//! `api`'s, keeping what was begun and how it ended is the store's.

pub mod actor;
pub mod compare;
pub mod evidence;
pub mod fair;
pub mod fold;
pub mod judge;
mod model;
pub mod port;
pub mod reason;
pub mod resolve;
pub mod schedule;
mod seen;
pub mod service;
mod status;
pub mod takeover;
#[cfg(test)]
pub(crate) mod testing;

pub use model::{Run, RunStep};
pub use seen::Seen;
pub use status::{RunStatus, StepStatus, Trigger};
