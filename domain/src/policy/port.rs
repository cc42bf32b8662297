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

/// Why a policy was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRefusal {
    /// It names what the organization does not have.
    #[error("the policy names what the organization does not have")]
    Unknown(UnknownParts),
    /// The organization has a policy of that name, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for PolicyRefusal {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// Keeps policies. When a change returns, every request that starts is decided by it; its event is stored with it. What a
/// policy names is looked for in the transaction that stores it, so that nobody who was removed meanwhile is in it.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// Stores a new policy.
    ///
    /// # Errors
    /// [`PolicyRefusal`]
    async fn insert(
        &self,
        grant: &Grant<AccessAdminister>,
        policy: &Policy,
        event: AuditEvent,
    ) -> Result<(), PolicyRefusal>;

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
    /// [`PolicyRefusal`]
    async fn change(
        &self,
        grant: &Grant<AccessAdminister>,
        id: PolicyId,
        change: PolicyChange,
        event: AuditEvent,
    ) -> Result<Option<Policy>, PolicyRefusal>;

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

/// Why a group was not stored.
#[derive(Debug, thiserror::Error)]
pub enum GroupRefusal {
    /// These people are not members of the organization.
    #[error("the group has people in it who are not members")]
    Strangers(Vec<UserId>),
    /// The organization has a group of that name, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for GroupRefusal {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// Keeps groups. When a change returns, every request that starts is decided by it; its event is stored with it. Who is put
/// into a group is looked for in the transaction that stores it, so that nobody who was removed meanwhile is in it.
#[async_trait]
pub trait GroupStore: Send + Sync {
    /// Stores a new group.
    ///
    /// # Errors
    /// [`GroupRefusal`]
    async fn insert(
        &self,
        grant: &Grant<GroupsAdminister>,
        group: NewGroup,
        event: AuditEvent,
    ) -> Result<Group, GroupRefusal>;

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
    /// [`GroupRefusal`]
    async fn change(
        &self,
        grant: &Grant<GroupsAdminister>,
        id: GroupId,
        change: GroupChange,
        event: AuditEvent,
    ) -> Result<Option<Group>, GroupRefusal>;

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
