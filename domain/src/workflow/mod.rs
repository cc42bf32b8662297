//! Workflows: ordered calls of servers' tools, with what is expected of each answer. A version never changes, so that what
//! a run proved stays readable; a change makes the next version.

mod expectation;
mod model;
mod pointer;
pub mod port;
mod reference;
mod step;

pub use expectation::{Expectation, Op};
pub use model::{Definition, Schedule, Workflow, WorkflowVersion};
pub use pointer::{InvalidPointer, Pointer};
pub use reference::{InvalidReference, Reference, References};
pub use step::{RETRIES_MAX, STEP_TIMEOUT_DEFAULT, STEP_TIMEOUT_MAX, Step, StepName};
