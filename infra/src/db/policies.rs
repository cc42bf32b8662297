//! Keeping access policies.

use std::collections::HashSet;

use async_trait::async_trait;
use domain::access::permission::AccessAdminister;
use domain::access::{Grant, WithinOrganization};
use domain::audit::AuditEvent;
use domain::id::{OrganizationId, PolicyId};
use domain::page::{Page, PageRequest};
use domain::policy::port::{PolicyChange, PolicyRefusal, PolicyStore, UnknownParts};
use domain::policy::{Policy, PolicyResource, PolicySubject};
use domain::store::{StoreFault, WriteFault};
use domain::time::Timestamp;
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::access::{Parts, parts};
use super::audit::record;
use super::commit::Changes;
use super::entity::{group, policy, policy_resource, policy_subject, server};
use super::fault::{store_fault, write_fault};
use super::patience::DatabaseTransaction;
use super::people_rows::{hold_actor, hold_actor_and_members};
use super::{Database, DatabaseKind, scoped};
use crate::cache::Change;

/// What the first policy of an organization is called.
const FIRST: &str = "Everyone";

/// Policies in the database.
pub struct SqlPolicies {
    db: Database,
    changes: Changes,
}

impl SqlPolicies {
    /// Keeps policies in this database.
    #[must_use]
    pub const fn new(db: Database, changes: Changes) -> Self {
        Self { db, changes }
    }

    async fn read(
        &self,
        db: &impl ConnectionTrait,
        scope: &impl WithinOrganization,
        id: PolicyId,
    ) -> Result<Option<Policy>, StoreFault> {
        let row = scoped::find::<policy::Entity>(scope)
            .filter(policy::Column::Id.eq(id.as_uuid()))
            .one(db)
            .await
            .map_err(store_fault)?;
        Ok(with_parts(db, scope, row.into_iter().collect()).await?.pop())
    }

    /// Keeps whoever acts and what a policy names, or finds what of it the organization does not have.
    async fn hold(
        &self,
        transaction: &DatabaseTransaction,
        grant: &Grant<AccessAdminister>,
        subjects: &[PolicySubject],
        resources: &[PolicyResource],
    ) -> Result<(), PolicyRefusal> {
        let members = subjects.iter().filter_map(|subject| match subject {
            PolicySubject::Member(id) => Some(*id),
            PolicySubject::Everyone | PolicySubject::Group(_) => None,
        });
        let members = hold_actor_and_members(&self.db, transaction, grant, members).await?;
        let groups = subjects.iter().filter_map(|subject| match subject {
            PolicySubject::Group(id) => Some(id.as_uuid()),
            PolicySubject::Everyone | PolicySubject::Member(_) => None,
        });
        let mut groups = scoped::find::<group::Entity>(grant)
            .filter(group::Column::Id.is_in(groups))
            .order_by(group::Column::Id, Order::Asc);
        if self.db.kind() == DatabaseKind::Postgres {
            groups = groups.lock(LockType::Share);
        }
        let groups: HashSet<Uuid> =
            groups.all(transaction).await.map_err(store_fault)?.into_iter().map(|row| row.id).collect();
        // Servers are archived and never deleted: they need no lock.
        let servers = resources.iter().filter_map(|resource| match resource {
            PolicyResource::Server(id) => Some(id.as_uuid()),
            PolicyResource::EveryServer => None,
        });
        let servers = scoped::find::<server::Entity>(grant).filter(server::Column::Id.is_in(servers));
        let servers: HashSet<Uuid> =
            servers.all(transaction).await.map_err(store_fault)?.into_iter().map(|row| row.id).collect();
        let is_known = |subject: &&PolicySubject| match subject {
            PolicySubject::Everyone => true,
            PolicySubject::Group(id) => groups.contains(&id.as_uuid()),
            PolicySubject::Member(id) => members.contains(id),
        };
        let is_there = |resource: &&PolicyResource| match resource {
            PolicyResource::EveryServer => true,
            PolicyResource::Server(id) => servers.contains(&id.as_uuid()),
        };
        let unknown = UnknownParts {
            subjects: subjects.iter().filter(|subject| !is_known(subject)).copied().collect(),
            resources: resources.iter().filter(|resource| !is_there(resource)).copied().collect(),
        };
        if unknown == UnknownParts::default() { Ok(()) } else { Err(PolicyRefusal::Unknown(unknown)) }
    }

    /// Records the change, commits both, and forgets what was remembered.
    async fn commit(
        &self,
        transaction: DatabaseTransaction,
        organization: OrganizationId,
        event: AuditEvent,
    ) -> Result<(), StoreFault> {
        record(&transaction, [event]).await?;
        self.changes.commit(transaction, vec![Change::AccessChanged(organization)]).await.map(drop)
    }
}

async fn with_parts(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    rows: Vec<policy::Model>,
) -> Result<Vec<Policy>, StoreFault> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut parts = parts(db, scope, Some(&ids)).await?;
    rows.into_iter()
        .map(|row| {
            let (subjects, resources): Parts = parts.remove(&row.id).unwrap_or_default();
            Ok(Policy {
                id: PolicyId::from_uuid(row.id),
                name: row.name.parse().map_err(|_| StoreFault::Corrupt("name of a policy".to_owned()))?,
                subjects,
                resources,
                created_at: Timestamp::from_micros(row.created_at),
            })
        })
        .collect()
}

/// The policy that an organization begins with, in the transaction that makes the organization.
pub async fn insert_first(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    at: Timestamp,
) -> Result<(), StoreFault> {
    let name = FIRST.parse().map_err(|_| StoreFault::Corrupt("name of the first policy".to_owned()))?;
    let first = Policy {
        id: PolicyId::new(),
        name,
        subjects: vec![PolicySubject::Everyone],
        resources: vec![PolicyResource::EveryServer],
        created_at: at,
    };
    insert_policy(transaction, scope, &first).await.map_err(|fault| match fault {
        WriteFault::Store(fault) => fault,
        WriteFault::Taken { .. } => StoreFault::Corrupt("a new organization has policies".to_owned()),
    })
}

async fn insert_policy(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    policy: &Policy,
) -> Result<(), WriteFault> {
    let row = policy::ActiveModel {
        id: ActiveValue::Set(policy.id.as_uuid()),
        organization_id: ActiveValue::NotSet,
        name: ActiveValue::Set(policy.name.to_string()),
        created_at: ActiveValue::Set(policy.created_at.as_micros()),
    };
    scoped::insert::<policy::Entity, _>(scope, [row])
        .exec_without_returning(transaction)
        .await
        .map_err(|error| write_fault(error, "name"))?;
    insert_subjects(transaction, scope, policy.id, &policy.subjects).await?;
    insert_resources(transaction, scope, policy.id, &policy.resources).await?;
    Ok(())
}

async fn insert_subjects(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    policy: PolicyId,
    subjects: &[PolicySubject],
) -> Result<(), StoreFault> {
    let rows: Vec<_> = subjects
        .iter()
        .map(|subject| {
            let (kind, id) = match subject {
                PolicySubject::Everyone => ("everyone", Uuid::nil()),
                PolicySubject::Group(id) => ("group", id.as_uuid()),
                PolicySubject::Member(id) => ("member", id.as_uuid()),
            };
            policy_subject::ActiveModel {
                organization_id: ActiveValue::NotSet,
                policy_id: ActiveValue::Set(policy.as_uuid()),
                kind: ActiveValue::Set(kind.to_owned()),
                subject_id: ActiveValue::Set(id),
            }
        })
        .collect();
    if !rows.is_empty() {
        scoped::insert::<policy_subject::Entity, _>(scope, rows)
            .exec_without_returning(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(())
}

async fn insert_resources(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    policy: PolicyId,
    resources: &[PolicyResource],
) -> Result<(), StoreFault> {
    let rows: Vec<_> = resources
        .iter()
        .map(|resource| {
            let (kind, id) = match resource {
                PolicyResource::EveryServer => ("every_server", Uuid::nil()),
                PolicyResource::Server(id) => ("server", id.as_uuid()),
            };
            policy_resource::ActiveModel {
                organization_id: ActiveValue::NotSet,
                policy_id: ActiveValue::Set(policy.as_uuid()),
                kind: ActiveValue::Set(kind.to_owned()),
                server_id: ActiveValue::Set(id),
            }
        })
        .collect();
    if !rows.is_empty() {
        scoped::insert::<policy_resource::Entity, _>(scope, rows)
            .exec_without_returning(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(())
}

async fn delete_subjects(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    id: PolicyId,
) -> Result<(), StoreFault> {
    scoped::delete::<policy_subject::Entity>(scope)
        .filter(policy_subject::Column::PolicyId.eq(id.as_uuid()))
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

async fn delete_resources(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    id: PolicyId,
) -> Result<(), StoreFault> {
    scoped::delete::<policy_resource::Entity>(scope)
        .filter(policy_resource::Column::PolicyId.eq(id.as_uuid()))
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

#[async_trait]
impl PolicyStore for SqlPolicies {
    async fn insert(
        &self,
        grant: &Grant<AccessAdminister>,
        policy: &Policy,
        event: AuditEvent,
    ) -> Result<(), PolicyRefusal> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        self.hold(&transaction, grant, &policy.subjects, &policy.resources).await?;
        insert_policy(&transaction, grant, policy).await?;
        Ok(self.commit(transaction, grant.organization_id(), event).await?)
    }

    async fn get(&self, grant: &Grant<AccessAdminister>, id: PolicyId) -> Result<Option<Policy>, StoreFault> {
        self.read(self.db.reader(), grant, id).await
    }

    async fn list(
        &self,
        grant: &Grant<AccessAdminister>,
        page: PageRequest<PolicyId>,
    ) -> Result<Page<Policy, PolicyId>, StoreFault> {
        let mut policies = scoped::find::<policy::Entity>(grant);
        if let Some(after) = page.after {
            policies = policies.filter(policy::Column::Id.gt(after.as_uuid()));
        }
        let rows = policies
            .order_by(policy::Column::Id, Order::Asc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let policies = with_parts(self.db.reader(), grant, rows).await?;
        Ok(Page::of_overread(policies, page.limit, |policy| policy.id))
    }

    async fn change(
        &self,
        grant: &Grant<AccessAdminister>,
        id: PolicyId,
        change: PolicyChange,
        event: AuditEvent,
    ) -> Result<Option<Policy>, PolicyRefusal> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let (subjects, resources) = (change.subjects.as_deref(), change.resources.as_deref());
        self.hold(&transaction, grant, subjects.unwrap_or_default(), resources.unwrap_or_default()).await?;
        // Also without a new name: the row's lock makes two changes at once come one after the other, and none comes after
        // a deletion.
        let mut update = scoped::update::<policy::Entity>(grant)
            .filter(policy::Column::Id.eq(id.as_uuid()))
            .col_expr(policy::Column::Id, id.as_uuid().into());
        if let Some(name) = &change.name {
            update = update.col_expr(policy::Column::Name, name.as_str().into());
        }
        if update.exec(&transaction).await.map_err(|error| write_fault(error, "name"))?.rows_affected == 0 {
            return Ok(None);
        }
        if let Some(subjects) = &change.subjects {
            delete_subjects(&transaction, grant, id).await?;
            insert_subjects(&transaction, grant, id, subjects).await?;
        }
        if let Some(resources) = &change.resources {
            delete_resources(&transaction, grant, id).await?;
            insert_resources(&transaction, grant, id, resources).await?;
        }
        let policy = self.read(&transaction, grant, id).await?;
        self.commit(transaction, grant.organization_id(), event).await?;
        Ok(policy)
    }

    async fn delete(
        &self,
        grant: &Grant<AccessAdminister>,
        id: PolicyId,
        event: AuditEvent,
    ) -> Result<Option<Policy>, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        hold_actor(&self.db, &transaction, grant).await?;
        let Some(policy) = self.read(&transaction, grant, id).await? else { return Ok(None) };
        // The policy first, like a change: its lock keeps both in one order.
        let deleted = scoped::delete::<policy::Entity>(grant)
            .filter(policy::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if deleted.rows_affected == 0 {
            return Ok(None);
        }
        delete_subjects(&transaction, grant, id).await?;
        delete_resources(&transaction, grant, id).await?;
        self.commit(transaction, grant.organization_id(), event).await?;
        Ok(Some(policy))
    }
}
