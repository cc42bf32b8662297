//! Tenants, as people and keys with `servers:write` manage them: made before their first use, suspended, resumed.

pub mod create_org;
pub mod create_user;
pub mod list_orgs;
pub mod list_users;
mod shapes;
pub mod suspend_org;
pub mod suspend_user;
