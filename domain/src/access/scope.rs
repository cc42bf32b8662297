//! A scope: what one request may do, as far as its caller goes. Only the verifier of keys and the reader of sessions
//! make one.

use std::sync::Arc;

use super::decide::Denied;
use super::grant::{Grant, WithinOrganization};
use super::{Holder, PermissionKind, PermissionSet, Role};
use crate::id::OrganizationId;
use crate::key::KeyFacts;
use crate::organization::{OrganizationRef, Session, UserRef};
use crate::tenant::resolve::claim;
use crate::tenant::{Surface, Tenant, TenantParams, TenantRefusal};

/// A person's place in an organization, read for one request.
#[derive(Debug, Clone)]
pub struct MemberFacts {
    /// The organization.
    pub organization: OrganizationRef,
    /// The person.
    pub user: UserRef,
    /// The role, as it is now.
    pub role: Role,
    /// Whether the person looks after every organization of the installation, as it is now.
    pub instance_admin: bool,
}

/// Who acts.
#[derive(Debug, Clone)]
pub enum Actor {
    /// A key, with the facts that its verification read.
    Key(Arc<KeyFacts>),
    /// A person who signed in.
    Member(Arc<MemberFacts>),
}

/// What one request may do: organization, actor, role, permissions and tenant. The fields are private, and the only
/// makers are [`crate::key::verify`] and [`TenantScope::of_member`].
#[derive(Debug, Clone)]
pub struct TenantScope {
    actor: Actor,
    tenant: Tenant,
}

impl TenantScope {
    pub(crate) const fn of_key(facts: Arc<KeyFacts>, tenant: Tenant) -> Self {
        Self { actor: Actor::Key(facts), tenant }
    }

    /// The scope of a person. A [`crate::organization::Session`] comes from a verified access token and a membership
    /// that was read for this request. The tenant parameters pass the same checks as a solo key's.
    ///
    /// # Errors
    /// [`TenantRefusal::NotAllowed`] when they name anybody but the person.
    pub fn of_member(session: Session, surface: Surface, params: TenantParams) -> Result<Self, TenantRefusal> {
        let facts = session.into_facts();
        claim(&facts, surface, params)?;
        Ok(Self { actor: Actor::Member(Arc::new(facts)), tenant: Tenant::Owner })
    }

    /// Who acts.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The key that acts, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<KeyFacts>> {
        match &self.actor {
            Actor::Key(facts) => Some(facts),
            Actor::Member(_) => None,
        }
    }

    /// The organization.
    #[must_use]
    pub fn organization(&self) -> &OrganizationRef {
        match &self.actor {
            Actor::Key(facts) => &facts.organization,
            Actor::Member(facts) => &facts.organization,
        }
    }

    /// The person: who signed in, or the key's owner.
    #[must_use]
    pub fn user(&self) -> &UserRef {
        match &self.actor {
            Actor::Key(facts) => &facts.owner,
            Actor::Member(facts) => &facts.user,
        }
    }

    /// The role that counts for this request.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.actor {
            Actor::Key(facts) => facts.role,
            Actor::Member(facts) => facts.role,
        }
    }

    /// The tenant that the request speaks for.
    #[must_use]
    pub const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn permissions(&self) -> PermissionSet {
        match &self.actor {
            Actor::Key(facts) => facts.permissions,
            Actor::Member(facts) => PermissionSet::of_person(facts.role),
        }
    }

    /// Turns the scope into the proof that it may use permission `P`.
    ///
    /// The role is asked before the permission, so that a key that has neither learns what a new key would need.
    ///
    /// # Errors
    /// [`Denied::Role`], [`Denied::Permission`] or [`Denied::InstanceAdmin`].
    pub fn grant<P: PermissionKind>(self) -> Result<Grant<P>, Denied> {
        let permission = P::PERMISSION;
        match (permission.holder(), &self.actor) {
            (Holder::People | Holder::InstanceAdmins, Actor::Key(_)) => {
                return Err(Denied::Permission { needed: permission });
            }
            (Holder::InstanceAdmins, Actor::Member(facts)) if !facts.instance_admin => {
                return Err(Denied::InstanceAdmin);
            }
            (Holder::InstanceAdmins | Holder::People, Actor::Member(_)) | (Holder::PeopleAndKeys, _) => {}
        }
        if self.role() < permission.role() {
            return Err(Denied::Role { needed: permission.role() });
        }
        if !self.permissions().contains(permission) {
            return Err(Denied::Permission { needed: permission });
        }
        Ok(Grant::proven(self))
    }
}

impl WithinOrganization for TenantScope {
    fn organization_id(&self) -> OrganizationId {
        self.organization().id
    }
}
