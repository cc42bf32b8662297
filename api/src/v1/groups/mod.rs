//! `/groups`: members under a name, for access policies.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
mod shapes;
pub mod update;
