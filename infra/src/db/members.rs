//! Keeping members, and ending what hangs on a membership with it.

use async_trait::async_trait;
use domain::access::permission::{MembersAdminister, MembersLeave, MembersRead, OrganizationTransfer};
use domain::access::{Grant, Role, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::id::UserId;
use domain::key::KeyId;
use domain::member::port::{
    ChangedMember, MemberChange, MemberFilter, MemberOutcome, MemberPosition, MemberRecord, MemberStore, Transfer,
};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, Func, LikeExpr, LockType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, ExprTrait, FromQueryResult, JoinType, Order, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait, Select,
};
use uuid::Uuid;

use super::audit::record;
use super::commit::Changes;
use super::connections::end_connections_of;
use super::entity::{membership, user};
use super::fault::store_fault;
use super::key_rows::user_ref;
use super::patience::DatabaseTransaction;
use super::people_rows::{
    end_access_of, end_invitations_by, end_sessions, hold_actor_and_lock, locked_membership, revoke_keys_of, role,
};
use super::scoped::unscoped;
use super::{Database, scoped};
use crate::cache::Change;

/// Members in the database.
pub struct SqlMembers {
    db: Database,
    changes: Changes,
}

#[derive(Debug, FromQueryResult)]
struct MemberRow {
    user_id: Uuid,
    role: String,
    disabled_at: Option<i64>,
    created_at: i64,
    email: String,
    display_name: Option<String>,
}

impl MemberRow {
    fn record(self) -> Result<MemberRecord, StoreFault> {
        Ok(MemberRecord {
            user: user_ref(self.user_id, &self.email, self.display_name.as_deref()),
            role: role(&self.role)?,
            joined_at: Timestamp::from_micros(self.created_at),
            disabled_at: self.disabled_at.map(Timestamp::from_micros),
        })
    }
}

impl SqlMembers {
    /// Keeps members in this database.
    #[must_use]
    pub const fn new(db: Database, changes: Changes) -> Self {
        Self { db, changes }
    }

    async fn record(
        db: &impl ConnectionTrait,
        scope: &impl WithinOrganization,
        user: UserId,
    ) -> Result<Option<MemberRecord>, StoreFault> {
        let row = with_person(scoped::find::<membership::Entity>(scope))
            .filter(membership::Column::UserId.eq(user.as_uuid()))
            .into_model::<MemberRow>()
            .one(db)
            .await
            .map_err(store_fault)?;
        row.map(MemberRow::record).transpose()
    }

    async fn begin(&self) -> Result<DatabaseTransaction, StoreFault> {
        self.db.writer().begin().await.map_err(store_fault)
    }
}

fn with_person(members: Select<membership::Entity>) -> Select<membership::Entity> {
    use membership::Column;
    members
        .join(JoinType::InnerJoin, membership::Relation::User.def())
        .select_only()
        .columns([Column::UserId, Column::Role, Column::DisabledAt, Column::CreatedAt])
        .column_as(user::Column::Email, "email")
        .column_as(user::Column::DisplayName, "display_name")
}

/// Those whose e-mail address or name has `text` in it. The databases' LOWER knows ASCII alone with SQLite, so that a
/// name's other letters are also compared as they are.
fn having(text: &str) -> Condition {
    let pattern = |text: &str| {
        let mut pattern = String::from("%");
        for character in text.chars() {
            if matches!(character, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('%');
        LikeExpr::new(pattern).escape('\\')
    };
    let lower = text.to_lowercase();
    let name = (user::Entity, user::Column::DisplayName);
    Condition::any()
        .add(user::Column::Email.into_expr().like(pattern(&lower)))
        .add(Expr::expr(Func::lower(Expr::col(name))).like(pattern(&lower)))
        .add(Expr::col(name).like(pattern(text)))
}

#[async_trait]
impl MemberStore for SqlMembers {
    async fn list(
        &self,
        grant: &Grant<MembersRead>,
        filter: MemberFilter,
        page: PageRequest<MemberPosition>,
    ) -> Result<Page<MemberRecord, MemberPosition>, StoreFault> {
        use membership::Column;
        let mut members = with_person(scoped::find::<membership::Entity>(grant));
        if let Some(role) = filter.role {
            members = members.filter(Column::Role.eq(role.as_str()));
        }
        if let Some(disabled) = filter.disabled {
            members =
                members.filter(if disabled { Column::DisabledAt.is_not_null() } else { Column::DisabledAt.is_null() });
        }
        if let Some(text) = &filter.text {
            members = members.filter(having(text));
        }
        if let Some(after) = page.after {
            let at = after.joined_at.as_micros();
            members = members.filter(
                Condition::any()
                    .add(Column::CreatedAt.gt(at))
                    .add(Column::CreatedAt.eq(at).and(Column::UserId.gt(after.user.as_uuid()))),
            );
        }
        let rows = members
            .order_by(Column::CreatedAt, Order::Asc)
            .order_by(Column::UserId, Order::Asc)
            .limit(u64::from(page.limit.get()) + 1)
            .into_model::<MemberRow>()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let records = rows.into_iter().map(MemberRow::record).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::of_overread(records, page.limit, |record| MemberPosition {
            joined_at: record.joined_at,
            user: record.user.id,
        }))
    }

    async fn get(&self, grant: &Grant<MembersRead>, user: UserId) -> Result<Option<MemberRecord>, StoreFault> {
        Self::record(self.db.reader(), grant, user).await
    }

    async fn change(
        &self,
        grant: &Grant<MembersAdminister>,
        user: UserId,
        change: MemberChange,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<MemberOutcome<ChangedMember>, StoreFault> {
        use membership::Column;
        let transaction = self.begin().await?;
        let Some(row) = hold_actor_and_lock(&self.db, &transaction, grant, user).await? else {
            return Ok(MemberOutcome::Unknown);
        };
        let now = role(&row.role)?;
        if now == Role::Owner {
            return Ok(MemberOutcome::Owner);
        }
        let Some(before) = Self::record(&transaction, grant, user).await? else { return Ok(MemberOutcome::Unknown) };
        let after = MemberRecord {
            role: change.role.unwrap_or(now),
            disabled_at: match change.disabled {
                None => before.disabled_at,
                Some(false) => None,
                Some(true) => before.disabled_at.or(Some(at)),
            },
            ..before.clone()
        };
        scoped::update::<membership::Entity>(grant)
            .filter(Column::UserId.eq(user.as_uuid()))
            .col_expr(Column::Role, after.role.as_str().into())
            .col_expr(Column::DisabledAt, after.disabled_at.map(Timestamp::as_micros).into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let disables = before.disabled_at.is_none() && after.disabled_at.is_some();
        if disables || after.role < before.role {
            end_sessions(&transaction, grant, user).await?;
        }
        if disables || after.role < Role::Admin {
            end_invitations_by(&transaction, grant, user).await?;
        }
        let changed = ChangedMember { before, after };
        record(&transaction, changed.events(&event)).await?;
        let ended = Change::MemberEnded { organization: grant.organization_id(), person: user };
        self.changes.commit(transaction, disables.then_some(ended).into_iter().collect()).await?;
        Ok(MemberOutcome::Done(changed))
    }

    async fn remove(
        &self,
        grant: &Grant<MembersLeave>,
        user: UserId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<MemberOutcome<()>, StoreFault> {
        let transaction = self.begin().await?;
        let Some(row) = hold_actor_and_lock(&self.db, &transaction, grant, user).await? else {
            return Ok(MemberOutcome::Unknown);
        };
        if role(&row.role)? == Role::Owner {
            return Ok(MemberOutcome::Owner);
        }
        let revoked_keys = revoke_keys_of(&transaction, grant, user, grant.user().id, at).await?;
        end_sessions(&transaction, grant, user).await?;
        end_invitations_by(&transaction, grant, user).await?;
        end_access_of(&transaction, grant, user).await?;
        end_connections_of(&transaction, grant, user).await?;
        scoped::delete::<membership::Entity>(grant)
            .filter(membership::Column::UserId.eq(user.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let of_key = |key: &KeyId| event.one_of_many("key.revoke", AuditTarget::Key(*key));
        let mut events: Vec<AuditEvent> = revoked_keys.iter().map(of_key).collect();
        events.push(AuditEvent { reason: Some(format!("{} keys revoked", revoked_keys.len())), ..event });
        record(&transaction, events).await?;
        let organization = grant.organization_id();
        let changes = vec![
            Change::MemberEnded { organization, person: user },
            Change::AccessChanged(organization),
            Change::ConnectionsOf { organization, person: user },
        ];
        self.changes.commit(transaction, changes).await?;
        Ok(MemberOutcome::Done(()))
    }

    async fn transfer(
        &self,
        grant: &Grant<OrganizationTransfer>,
        to: UserId,
        event: AuditEvent,
    ) -> Result<Transfer, StoreFault> {
        use membership::Column;
        let transaction = self.begin().await?;
        // Both, in the order in which every change of members locks them. Whether the caller is the owner still is seen below.
        let mut both = [grant.user().id, to];
        both.sort_by_key(UserId::as_uuid);
        for user in both {
            locked_membership(&self.db, &transaction, grant, user, LockType::Update).await?;
        }
        // Down first: the store takes one owner at most. Of two transfers at once the second waits here for the first,
        // and then finds nobody to take it from.
        let given = scoped::update::<membership::Entity>(grant)
            .filter(Column::UserId.eq(grant.user().id.as_uuid()))
            .filter(Column::Role.eq(Role::Owner.as_str()))
            .filter(Column::DisabledAt.is_null())
            .col_expr(Column::Role, Role::Admin.as_str().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if given.rows_affected == 0 {
            return Ok(Transfer::NotOwner);
        }
        let active = unscoped("people belong to several organizations")
            .find::<user::Entity>()
            .filter(user::Column::Id.eq(to.as_uuid()))
            .filter(user::Column::DisabledAt.is_null())
            .one(&transaction)
            .await
            .map_err(store_fault)?;
        let taken = scoped::update::<membership::Entity>(grant)
            .filter(Column::UserId.eq(to.as_uuid()))
            .filter(Column::DisabledAt.is_null())
            .col_expr(Column::Role, Role::Owner.as_str().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if active.is_none() || taken.rows_affected == 0 {
            return Ok(Transfer::Unknown);
        }
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Transfer::Done)
    }
}
