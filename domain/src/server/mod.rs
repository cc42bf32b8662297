//! Registered upstream MCP servers.

pub mod model;
pub mod port;
pub mod service;

pub use model::{AuthKind, AuthScope, ServerRecord, ServerStatus, UpstreamAuth};
