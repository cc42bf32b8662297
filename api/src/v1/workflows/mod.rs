//! `/workflows`: ordered calls of servers' tools with what is expected of each answer, in versions that never change.

pub mod archive;
pub mod change;
pub mod create;
pub mod get;
mod input;
pub mod list;
pub mod proposals;
mod shapes;
pub mod versions;

pub use input::Changes;
pub use shapes::{VersionShape, WorkflowShape, named};
