//! Keeping groups.

use std::collections::HashMap;

use async_trait::async_trait;
use domain::access::permission::GroupsAdminister;
use domain::access::{Grant, WithinOrganization};
use domain::audit::AuditEvent;
use domain::id::{GroupId, OrganizationId, UserId};
use domain::organization::UserRef;
use domain::page::{Page, PageRequest};
use domain::policy::Group;
use domain::policy::port::{GroupChange, GroupRefusal, GroupStore, NewGroup};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, FromQueryResult, JoinType, Order, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait,
};
use uuid::Uuid;

use super::Database;
use super::audit::record;
use super::commit::Changes;
use super::entity::{group, group_member, policy_subject, user};
use super::fault::{store_fault, write_fault};
use super::key_rows::user_ref;
use super::patience::DatabaseTransaction;
use super::people_rows::{hold_actor, hold_actor_and_members};
use super::scoped;
use crate::cache::Change;

/// Groups in the database.
pub struct SqlGroups {
    db: Database,
    changes: Changes,
}

#[derive(Debug, FromQueryResult)]
struct MemberRow {
    group_id: Uuid,
    user_id: Uuid,
    user_email: String,
    user_display_name: Option<String>,
}

impl SqlGroups {
    /// Keeps groups in this database.
    #[must_use]
    pub const fn new(db: Database, changes: Changes) -> Self {
        Self { db, changes }
    }

    /// Keeps whoever acts and those who are put into a group, or finds who of them is no member.
    async fn hold(
        &self,
        transaction: &DatabaseTransaction,
        grant: &Grant<GroupsAdminister>,
        people: &[UserId],
    ) -> Result<(), GroupRefusal> {
        let members = hold_actor_and_members(&self.db, transaction, grant, people.iter().copied()).await?;
        let strangers: Vec<UserId> = people.iter().filter(|person| !members.contains(person)).copied().collect();
        if strangers.is_empty() { Ok(()) } else { Err(GroupRefusal::Strangers(strangers)) }
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

async fn read(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    id: GroupId,
) -> Result<Option<Group>, StoreFault> {
    let row = scoped::find::<group::Entity>(scope)
        .filter(group::Column::Id.eq(id.as_uuid()))
        .one(db)
        .await
        .map_err(store_fault)?;
    Ok(with_members(db, scope, row.into_iter().collect()).await?.pop())
}

async fn with_members(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    rows: Vec<group::Model>,
) -> Result<Vec<Group>, StoreFault> {
    let members = scoped::find::<group_member::Entity>(scope)
        .join(JoinType::InnerJoin, group_member::Relation::User.def())
        .filter(group_member::Column::GroupId.is_in(rows.iter().map(|row| row.id)))
        .select_only()
        .columns([group_member::Column::GroupId, group_member::Column::UserId])
        .column_as(user::Column::Email, "user_email")
        .column_as(user::Column::DisplayName, "user_display_name")
        .order_by(user::Column::Email, Order::Asc)
        .into_model::<MemberRow>()
        .all(db)
        .await
        .map_err(store_fault)?;
    let mut by_group: HashMap<Uuid, Vec<UserRef>> = HashMap::new();
    for row in members {
        let member = user_ref(row.user_id, &row.user_email, row.user_display_name.as_deref());
        by_group.entry(row.group_id).or_default().push(member);
    }
    let corrupt = |what: &str| StoreFault::Corrupt(format!("{what} of a group"));
    rows.into_iter()
        .map(|row| {
            Ok(Group {
                id: GroupId::from_uuid(row.id),
                name: row.name.parse().map_err(|_| corrupt("name"))?,
                description: row
                    .description
                    .as_deref()
                    .map(str::parse)
                    .transpose()
                    .map_err(|_| corrupt("description"))?,
                members: by_group.remove(&row.id).unwrap_or_default(),
                created_at: Timestamp::from_micros(row.created_at),
            })
        })
        .collect()
}

async fn add(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    group: GroupId,
    members: &[UserId],
) -> Result<(), StoreFault> {
    use group_member::Column;
    if members.is_empty() {
        return Ok(());
    }
    let rows = members.iter().map(|member| group_member::ActiveModel {
        organization_id: ActiveValue::NotSet,
        group_id: ActiveValue::Set(group.as_uuid()),
        user_id: ActiveValue::Set(member.as_uuid()),
    });
    let there_already = OnConflict::columns([Column::OrganizationId, Column::GroupId, Column::UserId]);
    scoped::insert::<group_member::Entity, _>(scope, rows)
        .on_conflict(there_already.clone().do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

#[async_trait]
impl GroupStore for SqlGroups {
    async fn insert(
        &self,
        grant: &Grant<GroupsAdminister>,
        new: NewGroup,
        event: AuditEvent,
    ) -> Result<Group, GroupRefusal> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        self.hold(&transaction, grant, &new.members).await?;
        let row = group::ActiveModel {
            id: ActiveValue::Set(new.id.as_uuid()),
            organization_id: ActiveValue::NotSet,
            name: ActiveValue::Set(new.name.to_string()),
            description: ActiveValue::Set(new.description.as_ref().map(ToString::to_string)),
            created_at: ActiveValue::Set(new.at.as_micros()),
        };
        scoped::insert::<group::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "name"))?;
        add(&transaction, grant, new.id, &new.members).await?;
        let group = read(&transaction, grant, new.id).await?;
        self.commit(transaction, grant.organization_id(), event).await?;
        Ok(group.ok_or_else(|| StoreFault::Corrupt("a group that was just stored is not there".to_owned()))?)
    }

    async fn get(&self, grant: &Grant<GroupsAdminister>, id: GroupId) -> Result<Option<Group>, StoreFault> {
        read(self.db.reader(), grant, id).await
    }

    async fn list(
        &self,
        grant: &Grant<GroupsAdminister>,
        page: PageRequest<GroupId>,
    ) -> Result<Page<Group, GroupId>, StoreFault> {
        let mut groups = scoped::find::<group::Entity>(grant);
        if let Some(after) = page.after {
            groups = groups.filter(group::Column::Id.gt(after.as_uuid()));
        }
        let rows = groups
            .order_by(group::Column::Id, Order::Asc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let groups = with_members(self.db.reader(), grant, rows).await?;
        Ok(Page::of_overread(groups, page.limit, |group| group.id))
    }

    async fn change(
        &self,
        grant: &Grant<GroupsAdminister>,
        id: GroupId,
        change: GroupChange,
        event: AuditEvent,
    ) -> Result<Option<Group>, GroupRefusal> {
        use group::Column;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        self.hold(&transaction, grant, &change.add).await?;
        // Also without a new name: the row's lock makes two changes at once come one after the other.
        let mut update = scoped::update::<group::Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .col_expr(Column::Id, id.as_uuid().into());
        if let Some(name) = &change.name {
            update = update.col_expr(Column::Name, name.as_str().into());
        }
        if let Some(description) = &change.description {
            update = update.col_expr(Column::Description, description.as_ref().map(ToString::to_string).into());
        }
        if update.exec(&transaction).await.map_err(|error| write_fault(error, "name"))?.rows_affected == 0 {
            return Ok(None);
        }
        scoped::delete::<group_member::Entity>(grant)
            .filter(group_member::Column::GroupId.eq(id.as_uuid()))
            .filter(group_member::Column::UserId.is_in(change.remove.iter().map(UserId::as_uuid)))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        add(&transaction, grant, id, &change.add).await?;
        let group = read(&transaction, grant, id).await?;
        self.commit(transaction, grant.organization_id(), event).await?;
        Ok(group)
    }

    async fn delete(
        &self,
        grant: &Grant<GroupsAdminister>,
        id: GroupId,
        event: AuditEvent,
    ) -> Result<Option<Group>, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        hold_actor(&self.db, &transaction, grant).await?;
        let Some(found) = read(&transaction, grant, id).await? else { return Ok(None) };
        // The group first, like a change: its lock keeps both in one order.
        let deleted = scoped::delete::<group::Entity>(grant)
            .filter(group::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if deleted.rows_affected == 0 {
            return Ok(None);
        }
        scoped::delete::<group_member::Entity>(grant)
            .filter(group_member::Column::GroupId.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        scoped::delete::<policy_subject::Entity>(grant)
            .filter(policy_subject::Column::Kind.eq("group"))
            .filter(policy_subject::Column::SubjectId.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        self.commit(transaction, grant.organization_id(), event).await?;
        Ok(Some(found))
    }
}
