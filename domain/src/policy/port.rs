//! What policies and groups ask of a store.

use std::sync::Arc;

use async_trait::async_trait;

use super::index::AccessIndex;
use super::model::{Group, Policy, PolicyResource, PolicySubject};
use crate::access::Grant;
use crate::access::permission::{AccessAdminister, GroupsAdminister};
use crate::audit::AuditEvent;
use crate::id::{GroupId, OrganizationId, PolicyId, UserId};
use crate::page::{Page, PageRequest};
use crate::store::{StoreFault, WriteFault};
use crate::text::{Description, Name};

/// Knows what members reach, from memory when it can.
#[async_trait]
pub trait AccessDirectory: Send + Sync {
    /// What memory holds, without waiting.
    fn cached(&self, organization: OrganizationId) -> Option<Arc<AccessIndex>>;

    /// What the store holds.
    ///
    /// # Errors
    /// [`StoreFault`] when it cannot answer; never read as "reaches nothing".
    async fn load(&self, organization: OrganizationId) -> Result<Arc<AccessIndex>, StoreFault>;

    /// From memory, else from the store.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn of(&self, organization: OrganizationId) -> Result<Arc<AccessIndex>, StoreFault> {
        match self.cached(organization) {
            Some(access) => Ok(access),
            None => self.load(organization).await,
        }
    }
}

/// Subjects and resources that an organization does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownParts {
    /// Groups and members.
    pub subjects: Vec<PolicySubject>,
    /// Servers.
    pub resources: Vec<PolicyResource>,
}

/// What changes in a policy; none leaves a part as it is.
#[derive(Debug, Clone, Default)]
pub struct PolicyChange {
    /// A new name.
    pub name: Option<Name>,
    /// Other subjects instead.
    pub subjects: Option<Vec<PolicySubject>>,
    /// Other resources instead.
    pub resources: Option<Vec<PolicyResource>>,
}

/// Keeps policies. When a change returns, every request that starts is decided by it; its event is stored with it.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// Which of these the organization does not have.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn unknown(
        &self,
        grant: &Grant<AccessAdminister>,
        subjects: &[PolicySubject],
        resources: &[PolicyResource],
    ) -> Result<UnknownParts, StoreFault>;

    /// Stores a new policy.
    ///
    /// # Errors
    /// [`WriteFault::Taken`] for a name that the organization has.
    async fn insert(
        &self,
        grant: &Grant<AccessAdminister>,
        policy: &Policy,
        event: AuditEvent,
    ) -> Result<(), WriteFault>;

    /// One policy.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<AccessAdminister>, id: PolicyId) -> Result<Option<Policy>, StoreFault>;

    /// A page of policies, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<AccessAdminister>,
        page: PageRequest<PolicyId>,
    ) -> Result<Page<Policy, PolicyId>, StoreFault>;

    /// Changes a policy; none when there is no such policy.
    ///
    /// # Errors
    /// [`WriteFault::Taken`] for a name that the organization has.
    async fn change(
        &self,
        grant: &Grant<AccessAdminister>,
        id: PolicyId,
        change: PolicyChange,
        event: AuditEvent,
    ) -> Result<Option<Policy>, WriteFault>;

    /// Deletes a policy; none when there is no such policy.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn delete(
        &self,
        grant: &Grant<AccessAdminister>,
        id: PolicyId,
        event: AuditEvent,
    ) -> Result<Option<Policy>, StoreFault>;
}

/// A group about to be stored.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// The id.
    pub id: GroupId,
    /// The name.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// Who is in it.
    pub members: Vec<UserId>,
    /// When.
    pub at: crate::time::Timestamp,
}

/// What changes in a group; none leaves a part as it is.
#[derive(Debug, Clone, Default)]
pub struct GroupChange {
    /// A new name.
    pub name: Option<Name>,
    /// A new explanation, or `Some(None)` for none.
    pub description: Option<Option<Description>>,
    /// Who joins.
    pub add: Vec<UserId>,
    /// Who leaves.
    pub remove: Vec<UserId>,
}

/// Keeps groups. When a change returns, every request that starts is decided by it; its event is stored with it.
#[async_trait]
pub trait GroupStore: Send + Sync {
    /// Those of these people who are not members of the organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn strangers(&self, grant: &Grant<GroupsAdminister>, people: &[UserId]) -> Result<Vec<UserId>, StoreFault>;

    /// Stores a new group.
    ///
    /// # Errors
    /// [`WriteFault::Taken`] for a name that the organization has.
    async fn insert(
        &self,
        grant: &Grant<GroupsAdminister>,
        group: NewGroup,
        event: AuditEvent,
    ) -> Result<Group, WriteFault>;

    /// One group.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<GroupsAdminister>, id: GroupId) -> Result<Option<Group>, StoreFault>;

    /// A page of groups, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<GroupsAdminister>,
        page: PageRequest<GroupId>,
    ) -> Result<Page<Group, GroupId>, StoreFault>;

    /// Changes a group; none when there is no such group.
    ///
    /// # Errors
    /// [`WriteFault::Taken`] for a name that the organization has.
    async fn change(
        &self,
        grant: &Grant<GroupsAdminister>,
        id: GroupId,
        change: GroupChange,
        event: AuditEvent,
    ) -> Result<Option<Group>, WriteFault>;

    /// Deletes a group, and with it its place in policies; none when there is no such group.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn delete(
        &self,
        grant: &Grant<GroupsAdminister>,
        id: GroupId,
        event: AuditEvent,
    ) -> Result<Option<Group>, StoreFault>;
}
