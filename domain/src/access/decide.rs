//! The decision: whether a caller may do a thing, and which rule says no.
//!
//! The order is fixed (401 key, 429 rate, 400 tenant syntax, 403 tenant, 403 feature, 403 role or permission, 404
//! resource, 403 server, 400 body) and follows from the types: a scope exists only after key and tenant were checked, a
//! grant only from a scope, and a [`ReachableServer`] only from a grant.

use std::sync::Arc;

use super::permission::McpConnect;
use super::{Grant, Permission, Role};
use crate::organization::{Feature, OrganizationRef};
use crate::server::{ServerRecord, ServerStatus};

/// Why a proven caller may not do a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The organization does not have the feature.
    #[error("the organization does not have the feature {}; an admin can switch it on", needed.as_str())]
    Feature {
        /// The missing feature.
        needed: Feature,
    },
    /// The frozen role is too low.
    #[error("this needs the role {} or a higher one", needed.as_str())]
    Role {
        /// The weakest role that would do.
        needed: Role,
    },
    /// The role would do, but the permission is missing.
    #[error("this needs the permission {}", needed.as_str())]
    Permission {
        /// The missing permission.
        needed: Permission,
    },
    /// No such server, or none that the key's owner reaches.
    #[error("no such server")]
    ServerNotFound,
    /// The owner reaches the server, the key does not.
    #[error("this key does not include the server")]
    ServerNotAllowed,
}

/// A server that this caller may connect to: made only by [`reach`].
#[derive(Debug, Clone)]
pub struct ReachableServer(Arc<ServerRecord>);

impl ReachableServer {
    /// The server.
    #[must_use]
    pub const fn record(&self) -> &Arc<ServerRecord> {
        &self.0
    }
}

/// Decides whether the organization has a feature. It comes before role and permission: whoever is told that a role is
/// too low must not find out with the higher one that there is nothing to see.
///
/// # Errors
/// [`Denied::Feature`], for every role.
pub const fn require_feature(organization: &OrganizationRef, needed: Feature) -> Result<(), Denied> {
    if organization.features.contains(needed) { Ok(()) } else { Err(Denied::Feature { needed }) }
}

/// Decides whether the caller may connect to the server that was found under the name it gave.
///
/// # Errors
/// [`Denied::ServerNotFound`] when nothing was found or it is archived; [`Denied::ServerNotAllowed`] when the key leaves
/// it out.
pub fn reach(grant: &Grant<McpConnect>, found: Option<Arc<ServerRecord>>) -> Result<ReachableServer, Denied> {
    let server = found.filter(|server| server.status == ServerStatus::Active).ok_or(Denied::ServerNotFound)?;
    match grant.key() {
        Some(key) if !key.servers.permit(server.id) => Err(Denied::ServerNotAllowed),
        _ => Ok(ReachableServer(server)),
    }
}
