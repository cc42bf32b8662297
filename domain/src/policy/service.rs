//! The use cases of policies and groups.

use std::sync::Arc;

use super::model::{Group, Policy, PolicyResource, PolicySubject};
use super::port::{
    GroupChange, GroupRefusal, GroupStore, NewGroup, PolicyChange, PolicyRefusal, PolicyStore, UnknownParts,
};
use crate::access::Grant;
use crate::access::permission::{AccessAdminister, GroupsAdminister};
use crate::audit::{AuditEvent, AuditTarget};
use crate::field::FieldErrors;
use crate::id::{GroupId, PolicyId, UserId};
use crate::page::{Page, PageRequest};
use crate::store::{StoreFault, WriteFault};
use crate::text::{Description, Name};
use crate::time::Clock;

/// Most subjects, and most resources, of one policy; most members that one change of a group names.
pub const PARTS_MAX: usize = 1000;

/// Why a policy or group could not be made, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// No such policy or group.
    #[error("no such policy or group")]
    NotFound,
    /// The name is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for PolicyFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// The use cases of policies.
pub struct PolicyService<C> {
    policies: Arc<dyn PolicyStore>,
    groups: Arc<dyn GroupStore>,
    clock: C,
}

/// What an admin sends to make a policy, parsed.
#[derive(Debug, Clone)]
pub struct PolicyRequest {
    /// The name.
    pub name: Name,
    /// Who.
    pub subjects: Vec<PolicySubject>,
    /// What.
    pub resources: Vec<PolicyResource>,
}

/// What an admin sends to make a group, parsed.
#[derive(Debug, Clone)]
pub struct GroupRequest {
    /// The name.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// Who is in it.
    pub members: Vec<UserId>,
}

impl<C: Clock> PolicyService<C> {
    /// Puts the service together.
    pub fn new(policies: Arc<dyn PolicyStore>, groups: Arc<dyn GroupStore>, clock: C) -> Self {
        Self { policies, groups, clock }
    }

    /// Makes a policy. The event gets its id.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn create(
        &self,
        grant: &Grant<AccessAdminister>,
        request: PolicyRequest,
        event: AuditEvent,
    ) -> Result<Policy, PolicyFault> {
        let PolicyRequest { name, subjects, resources } = request;
        let (subjects, resources) = (each_once(subjects), each_once(resources));
        check_counts(Some(&subjects), Some(&resources))?;
        let policy = Policy { id: PolicyId::new(), name, subjects, resources, created_at: self.clock.now() };
        self.policies.insert(grant, &policy, event.about(AuditTarget::Policy(policy.id))).await?;
        Ok(policy)
    }

    /// One policy.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn get(&self, grant: &Grant<AccessAdminister>, id: PolicyId) -> Result<Policy, PolicyFault> {
        self.policies.get(grant, id).await?.ok_or(PolicyFault::NotFound)
    }

    /// A page of policies, oldest first.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn list(
        &self,
        grant: &Grant<AccessAdminister>,
        page: PageRequest<PolicyId>,
    ) -> Result<Page<Policy, PolicyId>, PolicyFault> {
        Ok(self.policies.list(grant, page).await?)
    }

    /// Changes a policy; effective on the next request.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn change(
        &self,
        grant: &Grant<AccessAdminister>,
        id: PolicyId,
        change: PolicyChange,
        event: AuditEvent,
    ) -> Result<Policy, PolicyFault> {
        let change = PolicyChange {
            subjects: change.subjects.map(each_once),
            resources: change.resources.map(each_once),
            ..change
        };
        // An unknown policy before wrong fields: the resource stands before the body in the order of checks.
        self.get(grant, id).await?;
        check_counts(change.subjects.as_deref(), change.resources.as_deref())?;
        self.policies.change(grant, id, change, event).await?.ok_or(PolicyFault::NotFound)
    }

    /// Deletes a policy; effective on the next request.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn delete(
        &self,
        grant: &Grant<AccessAdminister>,
        id: PolicyId,
        event: AuditEvent,
    ) -> Result<Policy, PolicyFault> {
        self.policies.delete(grant, id, event).await?.ok_or(PolicyFault::NotFound)
    }

    /// Makes a group. The event gets its id.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn create_group(
        &self,
        grant: &Grant<GroupsAdminister>,
        request: GroupRequest,
        event: AuditEvent,
    ) -> Result<Group, PolicyFault> {
        let members = each_once(request.members);
        check_people("members", &members)?;
        let GroupRequest { name, description, .. } = request;
        let group = NewGroup { id: GroupId::new(), name, description, members, at: self.clock.now() };
        let event = event.about(AuditTarget::Group(group.id));
        self.groups.insert(grant, group, event).await.map_err(|refusal| refused("members", refusal))
    }

    /// One group.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn get_group(&self, grant: &Grant<GroupsAdminister>, id: GroupId) -> Result<Group, PolicyFault> {
        self.groups.get(grant, id).await?.ok_or(PolicyFault::NotFound)
    }

    /// A page of groups, oldest first.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn list_groups(
        &self,
        grant: &Grant<GroupsAdminister>,
        page: PageRequest<GroupId>,
    ) -> Result<Page<Group, GroupId>, PolicyFault> {
        Ok(self.groups.list(grant, page).await?)
    }

    /// Changes a group; effective on the next request. Whoever is added and removed at once is added.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn change_group(
        &self,
        grant: &Grant<GroupsAdminister>,
        id: GroupId,
        change: GroupChange,
        event: AuditEvent,
    ) -> Result<Group, PolicyFault> {
        let change = GroupChange { add: each_once(change.add), remove: each_once(change.remove), ..change };
        self.get_group(grant, id).await?;
        check_people("add", &change.add)?;
        check_people("remove", &change.remove)?;
        let changed = self.groups.change(grant, id, change, event).await;
        changed.map_err(|refusal| refused("add", refusal))?.ok_or(PolicyFault::NotFound)
    }

    /// Deletes a group; effective on the next request.
    ///
    /// # Errors
    /// [`PolicyFault`]
    pub async fn delete_group(
        &self,
        grant: &Grant<GroupsAdminister>,
        id: GroupId,
        event: AuditEvent,
    ) -> Result<Group, PolicyFault> {
        self.groups.delete(grant, id, event).await?.ok_or(PolicyFault::NotFound)
    }
}

fn check_counts(subjects: Option<&[PolicySubject]>, resources: Option<&[PolicyResource]>) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    for (field, count) in [("subjects", subjects.map(<[_]>::len)), ("resources", resources.map(<[_]>::len))] {
        if count.is_some_and(|count| count > PARTS_MAX) {
            errors.add(field, format!("must be at most {PARTS_MAX}; use a group, or a second policy"));
        }
    }
    errors.check()
}

fn check_people(field: &str, people: &[UserId]) -> Result<(), FieldErrors> {
    if people.len() > PARTS_MAX {
        return Err(FieldErrors::one(field, format!("must be at most {PARTS_MAX} at a time")));
    }
    Ok(())
}

/// `field` is where the request named people.
fn refused(field: &str, refusal: GroupRefusal) -> PolicyFault {
    match refusal {
        GroupRefusal::Write(fault) => fault.into(),
        GroupRefusal::Strangers(strangers) => {
            let mut errors = FieldErrors::default();
            for stranger in strangers {
                errors.add(field, format!("there is no member {stranger}"));
            }
            errors.into()
        }
    }
}

impl From<PolicyRefusal> for PolicyFault {
    fn from(refusal: PolicyRefusal) -> Self {
        match refusal {
            PolicyRefusal::Write(fault) => fault.into(),
            PolicyRefusal::Unknown(unknown) => named(unknown).into(),
        }
    }
}

fn named(unknown: UnknownParts) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for subject in unknown.subjects {
        match subject {
            PolicySubject::Everyone => {}
            PolicySubject::Group(id) => errors.add("subjects", format!("there is no group {id}")),
            PolicySubject::Member(id) => errors.add("subjects", format!("there is no member {id}")),
        }
    }
    for resource in unknown.resources {
        if let PolicyResource::Server(id) = resource {
            errors.add("resources", format!("there is no server {id}"));
        }
    }
    errors
}

/// Each part once, in a fixed order: what is stored and shown does not depend on how it was written.
fn each_once<T: Ord>(mut parts: Vec<T>) -> Vec<T> {
    parts.sort();
    parts.dedup();
    parts
}
