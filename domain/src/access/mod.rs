//! Who may do what: roles, the permission table, scopes, grants, and the decision that every surface and the dry run
//! share.

pub mod decide;
pub mod grant;
pub mod permission;
pub mod rehearse;
pub mod role;
pub mod scope;
pub mod trail;

pub use decide::Denied;
pub use grant::{Grant, SystemScope, WithinOrganization};
pub use permission::{Holder, Permission, PermissionKind, PermissionSet};
pub use role::Role;
pub use scope::{Actor, MemberFacts, TenantScope};
pub use trail::{Check, Trail, WrittenTrail};
