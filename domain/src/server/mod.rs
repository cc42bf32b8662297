//! Registered upstream MCP servers.

pub mod auth;
pub mod breaker;
pub mod change;
pub mod health;
pub mod model;
pub mod port;
pub mod service;
pub mod timeouts;

pub use auth::{AuthKind, AuthScope, OAuthClient, ServerAuth, TenantAuth, UpstreamAuth};
pub use model::{ServerRecord, ServerStatus};
