//! Invitations: making, listing and revoking them. Accepting is a way of signing in: `auth/accept.rs`.

pub mod create;
pub mod list;
pub mod revoke;
mod shapes;
