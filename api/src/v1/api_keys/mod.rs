//! API keys, as people manage them. Keys can never manage keys.

pub mod change;
pub mod change_tenants;
pub mod create;
pub mod get;
pub mod list;
pub mod replace_tenants;
pub mod revoke;
pub mod revoke_many;
pub mod rotate;
pub mod shapes;
mod tenants;

pub use shapes::RateLimitShape;
