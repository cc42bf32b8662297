//! Grants: the proof, as a value, that a scope may use a permission. What needs a permission takes its grant, so a
//! forgotten check does not compile:
//!
//! ```compile_fail
//! use domain::access::{Grant, TenantScope};
//! use domain::access::permission::ServersWrite;
//! fn archive(grant: &Grant<ServersWrite>) {}
//! fn handler(scope: TenantScope) {
//!     archive(&scope); // a scope is not a grant
//! }
//! ```
//!
//! ```compile_fail
//! use domain::access::{Grant, TenantScope};
//! use domain::access::permission::{ServersRead, ServersWrite};
//! fn archive(grant: &Grant<ServersWrite>) {}
//! fn handler(scope: TenantScope) {
//!     archive(&scope.grant::<ServersRead>().unwrap()); // nor is the grant of another permission
//! }
//! ```
//!
//! ```compile_fail
//! use domain::access::{Actor, TenantScope};
//! use domain::tenant::Tenant;
//! fn forge(actor: Actor) -> TenantScope {
//!     TenantScope { actor, tenant: Tenant::Owner } // and nobody but the verifier makes a scope
//! }
//! ```

use std::marker::PhantomData;
use std::ops::Deref;

use super::{PermissionKind, TenantScope};
use crate::id::OrganizationId;

/// Something that stands for one organization: the only key to tables that belong to organizations.
pub trait WithinOrganization: Send + Sync {
    /// The organization that every query is narrowed to.
    fn organization_id(&self) -> OrganizationId;
}

/// A scope that may use permission `P`.
#[derive(Debug, Clone)]
pub struct Grant<P> {
    scope: TenantScope,
    permission: PhantomData<fn() -> P>,
}

impl<P: PermissionKind> Grant<P> {
    pub(super) const fn proven(scope: TenantScope) -> Self {
        Self { scope, permission: PhantomData }
    }

    /// The scope, without the proof.
    #[must_use]
    pub fn into_scope(self) -> TenantScope {
        self.scope
    }
}

impl<P> Deref for Grant<P> {
    type Target = TenantScope;

    fn deref(&self) -> &TenantScope {
        &self.scope
    }
}

impl<P: Send + Sync> WithinOrganization for Grant<P> {
    fn organization_id(&self) -> OrganizationId {
        self.scope.organization_id()
    }
}

/// Keyrack itself, acting within one organization where no caller is proven yet or none exists. The reason stands in
/// the source, so that every such crossing can be found.
#[derive(Debug, Clone, Copy)]
pub struct SystemScope {
    organization: OrganizationId,
    reason: &'static str,
}

impl SystemScope {
    /// Steps into an organization for a stated reason.
    #[must_use]
    pub const fn new(organization: OrganizationId, reason: &'static str) -> Self {
        Self { organization, reason }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl WithinOrganization for SystemScope {
    fn organization_id(&self) -> OrganizationId {
        self.organization
    }
}
