//! Doing runs: this node takes them from the queue, calls the tools of their steps, and writes down what became of it.
//!
//! What is decided about a run is decided in `domain::run`; what stands in the store is what happened. A node keeps nothing of
//! a run that another could not read there.

pub(crate) mod behalf;
mod run;
mod runner;
mod schedules;
mod step;

pub use runner::{RunBell, Runner};
