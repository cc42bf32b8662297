//! Workflows: ordered calls of servers' tools, with what is expected of each answer. A version never changes, so that what
//! a run proved stays readable; a change makes the next version.

pub mod change;
pub mod check;
pub mod draft;
mod expectation;
pub mod form;
mod model;
mod pattern;
mod pointer;
pub mod port;
pub mod proposal;
mod reference;
mod schedule;
mod scheduler;
pub mod service;
mod step;
mod stored;
pub mod world;

pub use expectation::{Expectation, Op};
pub use model::{Definition, Workflow, WorkflowVersion};
pub use pattern::{InvalidPattern, PATTERN_MAX, Pattern};
pub use pointer::{InvalidPointer, POINTER_MAX, Pointer};
pub use reference::{InvalidReference, Part, Reference, References};
pub use schedule::{CRON_MAX, InvalidCron, InvalidTimeZone, Schedule, TIME_ZONE_DEFAULT, check_cron, check_time_zone};
pub use scheduler::{NotScheduled, ScheduleOwner, Scheduler};
pub use step::{RETRIES_MAX, STEP_TIMEOUT_DEFAULT, STEP_TIMEOUT_MAX, Step, StepName};
pub use stored::{Unreadable, definition_from_json, definition_to_json};
