//! Registered upstream servers.

pub mod archive;
pub mod auth;
pub mod change;
pub mod create;
pub mod get;
pub mod list;
mod shapes;

pub use shapes::ServerShape;
