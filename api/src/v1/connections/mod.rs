//! `/connections`: the tenant's own credentials for servers. Never shown, and never another tenant's.

pub mod delete;
pub mod get;
pub mod link;
pub mod list;
pub mod put;
mod shapes;

pub use shapes::ConnectionShape;
