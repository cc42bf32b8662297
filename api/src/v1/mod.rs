//! The REST surface: one folder per area, one file per operation. `crate::routes` lists them.

pub mod api_keys;
pub mod auth;
pub mod identity;
pub mod invitations;
pub mod mcp_servers;
pub mod members;
mod refusals;
mod shapes;

pub use refusals::{BodyRefusals, ConflictRefusals, PublicRefusals, Refusals, ThrottleRefusals};
pub use shapes::{AnyOr, Items, PersonShape, time};
