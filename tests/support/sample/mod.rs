//! Sample MCP servers that want a credential, as a tenant's own: one that takes any bearer token, and one behind OAuth
//! 2.1 with an authorization server of its own. Both have the tool `whoami`, which says whom they took the caller for.

mod bearer;
mod grants;
mod oauth;
mod pages;
mod whoami;

pub use bearer::BearerServer;
pub use grants::{Counts, Mood};
pub use oauth::{OAuthServer, OAuthSettings};
