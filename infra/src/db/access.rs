//! Reading what members reach, for the decision.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::access::{SystemScope, WithinOrganization};
use domain::id::{GroupId, OrganizationId, ServerId, UserId};
use domain::policy::port::AccessDirectory;
use domain::policy::{AccessIndex, PolicyResource, PolicySubject};
use domain::store::StoreFault;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter};
use uuid::Uuid;

use super::Database;
use super::entity::{group_member, policy_resource, policy_subject};
use super::fault::store_fault;
use super::scoped;
use crate::cache::AccessCache;

/// How often a look-up starts again because something changed meanwhile.
const ATTEMPTS: usize = 8;
/// Groups per statement; keeps within the databases' limits on parameters.
const CHUNK: usize = 1000;

/// The parts of one policy.
pub type Parts = (Vec<PolicySubject>, Vec<PolicyResource>);

/// What members reach, behind a cache.
#[derive(Clone)]
pub struct SqlAccess {
    db: Database,
    cache: Arc<AccessCache>,
}

impl SqlAccess {
    /// Puts the cache before the database.
    #[must_use]
    pub const fn new(db: Database, cache: Arc<AccessCache>) -> Self {
        Self { db, cache }
    }

    async fn read(&self, scope: &SystemScope) -> Result<AccessIndex, StoreFault> {
        // Three statements, and a change between two of them must not be half seen.
        let snapshot = self.db.snapshot().await?;
        let db = &snapshot;
        let parts = parts(db, scope, None).await?;
        let groups: Vec<Uuid> = parts
            .values()
            .flat_map(|(subjects, _)| subjects)
            .filter_map(|subject| match subject {
                PolicySubject::Group(group) => Some(group.as_uuid()),
                PolicySubject::Everyone | PolicySubject::Member(_) => None,
            })
            .collect();
        let mut members = Vec::new();
        for chunk in groups.chunks(CHUNK) {
            let rows = scoped::find::<group_member::Entity>(scope)
                .filter(group_member::Column::GroupId.is_in(chunk.iter().copied()))
                .all(db)
                .await
                .map_err(store_fault)?;
            members
                .extend(rows.into_iter().map(|row| (GroupId::from_uuid(row.group_id), UserId::from_uuid(row.user_id))));
        }
        let policies = parts.values().map(|(subjects, resources)| (subjects.as_slice(), resources.as_slice()));
        Ok(AccessIndex::new(policies, members))
    }
}

/// Subjects and resources by policy: of these policies, or of all.
pub async fn parts(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    of: Option<&[Uuid]>,
) -> Result<HashMap<Uuid, Parts>, StoreFault> {
    let mut subjects = scoped::find::<policy_subject::Entity>(scope);
    let mut resources = scoped::find::<policy_resource::Entity>(scope);
    if let Some(of) = of {
        subjects = subjects.filter(policy_subject::Column::PolicyId.is_in(of.iter().copied()));
        resources = resources.filter(policy_resource::Column::PolicyId.is_in(of.iter().copied()));
    }
    let mut parts: HashMap<Uuid, Parts> = HashMap::new();
    for row in subjects.all(db).await.map_err(store_fault)? {
        parts.entry(row.policy_id).or_default().0.push(subject(&row)?);
    }
    for row in resources.all(db).await.map_err(store_fault)? {
        parts.entry(row.policy_id).or_default().1.push(resource(&row)?);
    }
    for (subjects, resources) in parts.values_mut() {
        subjects.sort();
        resources.sort();
    }
    Ok(parts)
}

fn subject(row: &policy_subject::Model) -> Result<PolicySubject, StoreFault> {
    match row.kind.as_str() {
        "everyone" => Ok(PolicySubject::Everyone),
        "group" => Ok(PolicySubject::Group(GroupId::from_uuid(row.subject_id))),
        "member" => Ok(PolicySubject::Member(UserId::from_uuid(row.subject_id))),
        _ => Err(StoreFault::Corrupt(format!("subject of policy {}", row.policy_id))),
    }
}

fn resource(row: &policy_resource::Model) -> Result<PolicyResource, StoreFault> {
    match row.kind.as_str() {
        "every_server" => Ok(PolicyResource::EveryServer),
        "server" => Ok(PolicyResource::Server(ServerId::from_uuid(row.server_id))),
        _ => Err(StoreFault::Corrupt(format!("resource of policy {}", row.policy_id))),
    }
}

#[async_trait]
impl AccessDirectory for SqlAccess {
    fn cached(&self, organization: OrganizationId) -> Option<Arc<AccessIndex>> {
        self.cache.get(organization)
    }

    async fn load(&self, organization: OrganizationId) -> Result<Arc<AccessIndex>, StoreFault> {
        let scope = SystemScope::new(organization, "the decision reads who reaches what");
        for _ in 0..ATTEMPTS {
            let ticket = self.cache.ticket(organization);
            let index = Arc::new(self.db.in_time(self.read(&scope)).await?);
            if self.cache.fill(ticket, organization, Arc::clone(&index)) {
                return Ok(index);
            }
        }
        Err(StoreFault::Unavailable("the policies changed at every attempt to read them".into()))
    }
}
