//! `/access-policies`: who reaches which servers.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
mod shapes;
pub mod update;
