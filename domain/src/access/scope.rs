//! A scope: what one request may do, as far as its caller goes. Only the gate makes one.

use std::sync::Arc;

use super::decide::{Denied, holds, within_feature, within_role};
use super::grant::{Grant, WithinOrganization};
use super::{Permission, PermissionKind, PermissionSet, Role};
use crate::id::OrganizationId;
use crate::key::KeyFacts;
use crate::organization::{OrganizationRef, UserRef};
use crate::tenant::Tenant;

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

impl Actor {
    /// The organization.
    #[must_use]
    pub fn organization(&self) -> &OrganizationRef {
        match self {
            Self::Key(facts) => &facts.organization,
            Self::Member(facts) => &facts.organization,
        }
    }

    /// The person: who signed in, or the key's owner.
    #[must_use]
    pub fn user(&self) -> &UserRef {
        match self {
            Self::Key(facts) => &facts.owner,
            Self::Member(facts) => &facts.user,
        }
    }

    /// The role that counts.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Key(facts) => facts.role,
            Self::Member(facts) => facts.role,
        }
    }

    /// The permissions that count.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        match self {
            Self::Key(facts) => facts.permissions,
            Self::Member(facts) => PermissionSet::of_person(facts.role),
        }
    }
}

/// What one request may do: organization, actor, role, permissions and tenant. The fields are private, and the only
/// maker is [`super::decide::Gate`], from a proof.
#[derive(Debug, Clone)]
pub struct TenantScope {
    actor: Actor,
    tenant: Tenant,
}

impl TenantScope {
    pub(super) const fn of(actor: Actor, tenant: Tenant) -> Self {
        Self { actor, tenant }
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
        self.actor.organization()
    }

    /// The person: who signed in, or the key's owner.
    #[must_use]
    pub fn user(&self) -> &UserRef {
        self.actor.user()
    }

    /// The role that counts for this request.
    #[must_use]
    pub fn role(&self) -> Role {
        self.actor.role()
    }

    /// The tenant that the request speaks for.
    #[must_use]
    pub const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Whether it may use a permission that is named by a value, by the same three checks as [`TenantScope::grant`].
    ///
    /// # Errors
    /// Like [`TenantScope::grant`].
    pub fn may(&self, permission: Permission) -> Result<(), Denied> {
        within_feature(&self.actor, permission)?;
        within_role(&self.actor, permission)?;
        holds(&self.actor, permission)
    }

    /// Turns the scope into the proof that it may use permission `P`, by the same three checks as
    /// [`super::decide::Gate::decide`].
    ///
    /// # Errors
    /// [`Denied::Feature`], [`Denied::Role`], [`Denied::Permission`] or [`Denied::InstanceAdmin`].
    pub fn grant<P: PermissionKind>(self) -> Result<Grant<P>, Denied> {
        self.may(P::PERMISSION)?;
        Ok(Grant::proven(self))
    }
}

impl WithinOrganization for TenantScope {
    fn organization_id(&self) -> OrganizationId {
        self.organization().id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::permission::{InsightsRead, InsightsWrite, ServersRead};
    use crate::id::UserId;
    use crate::organization::{Feature, FeatureSet};

    fn member(role: Role, features: FeatureSet) -> TenantScope {
        let organization =
            OrganizationRef { id: OrganizationId::new(), slug: "acme".into(), name: "Acme".into(), features };
        let user = UserRef { id: UserId::new(), email: "a@example.com".into(), display_name: "A".into() };
        TenantScope {
            actor: Actor::Member(Arc::new(MemberFacts { organization, user, role, instance_admin: false })),
            tenant: Tenant::Owner,
        }
    }

    #[test]
    fn a_missing_feature_is_told_before_role_and_permission_and_to_every_role() {
        for role in Role::ALL {
            let scope = member(role, FeatureSet::default());
            let denied = Denied::Feature { needed: Feature::McpAnalytics };
            assert_eq!(scope.clone().grant::<InsightsWrite>().err(), Some(denied));
            assert!(scope.grant::<ServersRead>().is_ok(), "what needs no feature is not asked for one");
        }
    }

    #[test]
    fn with_the_feature_the_role_decides() {
        let features = FeatureSet::default().with(Feature::McpAnalytics, true);
        assert!(member(Role::Viewer, features).grant::<InsightsRead>().is_ok());
        let denied = member(Role::Viewer, features).grant::<InsightsWrite>().err();
        assert_eq!(denied, Some(Denied::Role { needed: Role::Editor }));
    }
}
