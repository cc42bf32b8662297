//! Runs of workflows.

pub mod baseline;
pub mod cancel;
pub mod compare;
pub mod dispatch;
pub mod events;
pub mod get;
pub mod list;
pub mod shapes;
pub mod steps;
