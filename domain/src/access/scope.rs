//! A scope: what one request may do, as far as its caller goes. Only the verifier of keys and the reader of sessions
//! make one.

use std::sync::Arc;

use super::decide::{Denied, require_feature};
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
    /// The feature is asked first. The role is asked before the permission, so that a key that has neither learns what a
    /// new key would need.
    ///
    /// # Errors
    /// [`Denied::Feature`], [`Denied::Role`] or [`Denied::Permission`].
    pub fn grant<P: PermissionKind>(self) -> Result<Grant<P>, Denied> {
        let permission = P::PERMISSION;
        if let Some(feature) = permission.feature() {
            require_feature(self.organization(), feature)?;
        }
        let for_people = permission.holder() == Holder::People;
        if for_people && matches!(self.actor, Actor::Key(_)) {
            return Err(Denied::Permission { needed: permission });
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
        TenantScope { actor: Actor::Member(Arc::new(MemberFacts { organization, user, role })), tenant: Tenant::Owner }
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
