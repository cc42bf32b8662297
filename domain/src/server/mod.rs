//! Registered upstream MCP servers.

pub mod breaker;
pub mod change;
pub mod health;
pub mod model;
pub mod port;
pub mod service;
pub mod timeouts;

pub use model::{AuthKind, AuthScope, ServerRecord, ServerStatus, UpstreamAuth};
