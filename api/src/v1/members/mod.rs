//! Members: listing, changing and removing them, and handing the organization over.

pub mod change;
pub mod get;
pub mod list;
pub mod remove;
mod shapes;
pub mod transfer;

pub use shapes::GivenRole;
