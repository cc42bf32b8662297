//! The REST surface: one folder per area, one file per operation. `crate::routes` lists them.

pub mod access_policies;
pub mod admin;
pub mod api_keys;
pub mod audit_events;
pub mod auth;
pub mod connections;
pub mod decisions;
pub mod groups;
pub mod identity;
pub mod insights;
pub mod invitations;
pub mod mcp_servers;
pub mod members;
pub mod projects;
mod refusals;
pub mod runs;
mod shapes;
pub mod tenants;
pub mod usage;
pub mod workflows;

pub use refusals::{BodyRefusals, ConflictRefusals, PublicRefusals, Refusals, ThrottleRefusals, UpstreamRefusals};
pub use shapes::{AnyOr, Items, PersonShape, given, time};
