//! Whose a connection is.

use crate::access::TenantScope;
use crate::id::{TenantUserId, UserId};
use crate::tenant::Tenant;

/// Whose a connection is: somebody that one request can speak for. Made of a proven scope, so that nobody names
/// another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A person: a member, or the owner of a solo key.
    Person(UserId),
    /// An end user below the organization, below a tenant org or not: the id is of one of them alone.
    TenantUser(TenantUserId),
}

impl Holder {
    /// The holder that a request speaks for; none for an organization or a tenant org as a whole.
    #[must_use]
    pub fn of(scope: &TenantScope) -> Option<Self> {
        match scope.tenant() {
            Tenant::Owner => Some(Self::Person(scope.user().id)),
            Tenant::Below { user: Some((id, _)), .. } => Some(Self::TenantUser(*id)),
            Tenant::Below { user: None, .. } | Tenant::Organization => None,
        }
    }
}
