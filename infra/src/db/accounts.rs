//! Organizations, people and refresh tokens.

use async_trait::async_trait;
use domain::access::{MemberFacts, Role, SystemScope};
use domain::audit::{AuditEvent, AuditTarget};
use domain::id::{OrganizationId, UserId};
use domain::key::Digest;
use domain::organization::AccessClaims;
use domain::organization::port::{
    AccountStore, Credentials, Members, NewOwner, NewRefresh, Rotation, SignUpProof, SignUpRefusal, session_event,
};
use domain::store::StoreFault;
use domain::text::Email;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, FromQueryResult, JoinType, Order, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, RelationTrait,
};
use uuid::Uuid;

use super::Database;
use super::audit::record;
use super::entity::{bootstrap_token, membership, organization, refresh_token, user};
use super::fault::{store_fault, write_fault};
use super::key_rows::user_ref;
use super::patience::DatabaseTransaction;
use super::people_rows::{locked_membership, organization_ref, take_slug};
use super::policies::insert_first;
use super::scoped::unscoped;

/// Accounts in the database.
#[derive(Clone)]
pub struct SqlAccounts {
    db: Database,
}

#[derive(Debug, FromQueryResult)]
struct MemberRow {
    role: String,
    organization_id: Uuid,
    organization_slug: String,
    organization_name: String,
    organization_features: String,
    user_id: Uuid,
    user_email: String,
    user_display_name: Option<String>,
    instance_admin: bool,
}

impl SqlAccounts {
    /// Keeps accounts in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    async fn members(&self, which: Condition) -> Result<Vec<MemberFacts>, StoreFault> {
        self.db.in_time(self.read_members(which)).await
    }

    async fn read_members(&self, which: Condition) -> Result<Vec<MemberFacts>, StoreFault> {
        let rows = unscoped("sign-in finds out which organizations a person has")
            .find::<membership::Entity>()
            .join(JoinType::InnerJoin, membership::Relation::Organization.def())
            .join(JoinType::InnerJoin, membership::Relation::User.def())
            .filter(which)
            .filter(membership::Column::DisabledAt.is_null())
            .filter(user::Column::DisabledAt.is_null())
            .select_only()
            .columns([membership::Column::Role, membership::Column::OrganizationId, membership::Column::UserId])
            .column_as(organization::Column::Slug, "organization_slug")
            .column_as(organization::Column::Name, "organization_name")
            .column_as(organization::Column::Features, "organization_features")
            .column_as(user::Column::Email, "user_email")
            .column_as(user::Column::DisplayName, "user_display_name")
            .column_as(user::Column::InstanceAdmin, "instance_admin")
            .order_by(membership::Column::CreatedAt, Order::Asc)
            .order_by(membership::Column::OrganizationId, Order::Asc)
            .into_model::<MemberRow>()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        rows.into_iter()
            .map(|row| {
                let role = Role::named(&row.role).ok_or_else(|| StoreFault::Corrupt("role of a member".to_owned()))?;
                Ok(MemberFacts {
                    organization: organization_ref(
                        row.organization_id,
                        &row.organization_slug,
                        &row.organization_name,
                        &row.organization_features,
                    ),
                    user: user_ref(row.user_id, &row.user_email, row.user_display_name.as_deref()),
                    role,
                    instance_admin: row.instance_admin,
                })
            })
            .collect()
    }

    async fn refresh_row(
        db: &impl ConnectionTrait,
        digest: Digest,
    ) -> Result<Option<refresh_token::Model>, StoreFault> {
        unscoped("the digest finds out whose")
            .find::<refresh_token::Entity>()
            .filter(refresh_token::Column::Digest.eq(digest.as_bytes().as_slice()))
            .one(db)
            .await
            .map_err(store_fault)
    }

    async fn end_family(db: &impl ConnectionTrait, family: Uuid) -> Result<(), StoreFault> {
        unscoped("a family has one person in one organization")
            .delete::<refresh_token::Entity>()
            .filter(refresh_token::Column::Family.eq(family))
            .exec(db)
            .await
            .map_err(store_fault)?;
        Ok(())
    }

    /// Whether a session of these claims may begin or go on. The membership stays as it is until the transaction ends.
    async fn holds(&self, transaction: &DatabaseTransaction, claims: AccessClaims) -> Result<bool, StoreFault> {
        let scope = SystemScope::new(claims.organization, "a session needs its membership");
        let member = locked_membership(&self.db, transaction, &scope, claims.user, LockType::Share).await?;
        Ok(member.is_some_and(|member| member.disabled_at.is_none()))
    }

    async fn begin(&self) -> Result<DatabaseTransaction, StoreFault> {
        self.db.writer().begin().await.map_err(store_fault)
    }
}

fn claims_of(row: &refresh_token::Model) -> AccessClaims {
    AccessClaims { user: UserId::from_uuid(row.user_id), organization: OrganizationId::from_uuid(row.organization_id) }
}

fn refresh_model(token: NewRefresh, family: Uuid) -> refresh_token::ActiveModel {
    refresh_token::ActiveModel {
        digest: ActiveValue::Set(token.digest.as_bytes().to_vec()),
        family: ActiveValue::Set(family),
        user_id: ActiveValue::Set(token.user.as_uuid()),
        organization_id: ActiveValue::Set(token.organization.as_uuid()),
        created_at: ActiveValue::Set(token.at.as_micros()),
        expires_at: ActiveValue::Set(token.expires_at.as_micros()),
        replaced_at: ActiveValue::Set(None),
    }
}

#[async_trait]
impl Members for SqlAccounts {
    async fn active(&self, organization: OrganizationId, user: UserId) -> Result<Option<MemberFacts>, StoreFault> {
        let which = Condition::all()
            .add(membership::Column::OrganizationId.eq(organization.as_uuid()))
            .add(membership::Column::UserId.eq(user.as_uuid()));
        Ok(self.members(which).await?.into_iter().next())
    }

    async fn of_person(&self, user: UserId) -> Result<Vec<MemberFacts>, StoreFault> {
        self.members(Condition::all().add(membership::Column::UserId.eq(user.as_uuid()))).await
    }
}

#[async_trait]
impl AccountStore for SqlAccounts {
    async fn sign_up(&self, owner: NewOwner, proof: SignUpProof, event: AuditEvent) -> Result<(), SignUpRefusal> {
        let new = unscoped("an organization begins");
        let at = owner.at.as_micros();
        let transaction = self.begin().await.map_err(|fault| SignUpRefusal::Write(fault.into()))?;
        if let SignUpProof::Bootstrap(digest) = proof {
            // Consumed in the same transaction: of two sign-ups with one token, one finds nothing.
            let consumed = new
                .delete::<bootstrap_token::Entity>()
                .filter(bootstrap_token::Column::Digest.eq(digest.as_bytes().as_slice()))
                .exec(&transaction)
                .await
                .map_err(|error| SignUpRefusal::Write(store_fault(error).into()))?;
            if consumed.rows_affected == 0 {
                return Err(SignUpRefusal::BootstrapToken);
            }
        }
        // Whoever is first, by whatever way, ends the time of bootstrap tokens.
        new.delete::<bootstrap_token::Entity>()
            .exec(&transaction)
            .await
            .map_err(|error| SignUpRefusal::Write(store_fault(error).into()))?;
        let taken = |what| move |error| SignUpRefusal::Write(write_fault(error, what));
        let scope = SystemScope::new(owner.organization, "an organization begins");
        take_slug(&transaction, &scope, owner.organization_slug.as_str(), "organization.slug").await?;
        new.insert(organization::ActiveModel {
            id: ActiveValue::Set(owner.organization.as_uuid()),
            slug: ActiveValue::Set(owner.organization_slug.to_string()),
            name: ActiveValue::Set(owner.organization_name.to_string()),
            features: ActiveValue::Set(String::new()),
            created_at: ActiveValue::Set(at),
        })
        .exec_without_returning(&transaction)
        .await
        .map_err(taken("organization.slug"))?;
        new.insert(user::ActiveModel {
            id: ActiveValue::Set(owner.user.as_uuid()),
            email: ActiveValue::Set(owner.email.to_string()),
            display_name: ActiveValue::Set(owner.display_name.as_ref().map(ToString::to_string)),
            password_hash: ActiveValue::Set(owner.password_hash),
            disabled_at: ActiveValue::Set(None),
            created_at: ActiveValue::Set(at),
            instance_admin: ActiveValue::Set(false),
        })
        .exec_without_returning(&transaction)
        .await
        .map_err(taken("email"))?;
        new.insert(membership::ActiveModel {
            organization_id: ActiveValue::Set(owner.organization.as_uuid()),
            user_id: ActiveValue::Set(owner.user.as_uuid()),
            role: ActiveValue::Set(Role::Owner.as_str().to_owned()),
            disabled_at: ActiveValue::Set(None),
            created_at: ActiveValue::Set(at),
        })
        .exec_without_returning(&transaction)
        .await
        .map_err(taken("email"))?;
        insert_first(&transaction, &scope, owner.at).await.map_err(|fault| SignUpRefusal::Write(fault.into()))?;
        record(&transaction, [event]).await.map_err(|fault| SignUpRefusal::Write(fault.into()))?;
        transaction.commit().await.map_err(|error| SignUpRefusal::Write(store_fault(error).into()))
    }

    async fn credentials(&self, email: &Email) -> Result<Option<Credentials>, StoreFault> {
        let row = unscoped("people belong to several organizations")
            .find::<user::Entity>()
            .filter(user::Column::Email.eq(email.as_str()))
            .filter(user::Column::DisabledAt.is_null())
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        let Some(row) = row else { return Ok(None) };
        let user = UserId::from_uuid(row.id);
        let memberships = self.of_person(user).await?;
        Ok(Some(Credentials { user, password_hash: row.password_hash, memberships }))
    }

    async fn begin_refresh(&self, token: NewRefresh, event: AuditEvent) -> Result<bool, StoreFault> {
        let transaction = self.begin().await?;
        let claims = AccessClaims { user: token.user, organization: token.organization };
        if !self.holds(&transaction, claims).await? {
            return Ok(false);
        }
        unscoped("signing in finds out which organization")
            .insert(refresh_model(token, Uuid::now_v7()))
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }

    async fn rotate_refresh(
        &self,
        presented: Digest,
        successor: Digest,
        at: Timestamp,
        expires_at: Timestamp,
        request_id: Option<Uuid>,
    ) -> Result<Rotation, StoreFault> {
        use refresh_token::Column;
        let transaction = self.begin().await?;
        let Some(row) = Self::refresh_row(&transaction, presented).await? else { return Ok(Rotation::Refused) };
        let claims = claims_of(&row);
        // Before the token's own lock, in the order in which whoever ends the membership takes them.
        let holds = self.holds(&transaction, claims).await?;
        // Marking it takes the row's lock: of two rotations at once the second finds it replaced.
        let replaced = unscoped("the digest finds out whose")
            .update::<refresh_token::Entity>()
            .filter(Column::Digest.eq(presented.as_bytes().as_slice()))
            .filter(Column::ReplacedAt.is_null())
            .col_expr(Column::ReplacedAt, Expr::value(at.as_micros()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let outcome = if replaced.rows_affected == 0 {
            if Self::refresh_row(&transaction, presented).await?.is_none() {
                return Ok(Rotation::Refused); // ended since it was read
            }
            Self::end_family(&transaction, row.family).await?;
            Rotation::Reused(claims)
        } else if row.expires_at <= at.as_micros() || !holds {
            Self::end_family(&transaction, row.family).await?;
            Rotation::Refused
        } else {
            let token =
                NewRefresh { digest: successor, user: claims.user, organization: claims.organization, at, expires_at };
            unscoped("the successor takes its predecessor's place")
                .insert(refresh_model(token, row.family))
                .exec_without_returning(&transaction)
                .await
                .map_err(store_fault)?;
            Rotation::Rotated(claims)
        };
        record(&transaction, outcome.event(at, request_id)).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(outcome)
    }

    async fn switch_refresh(
        &self,
        presented: Digest,
        next: NewRefresh,
        event: AuditEvent,
    ) -> Result<Rotation, StoreFault> {
        use refresh_token::Column;
        let transaction = self.begin().await?;
        let Some(row) = Self::refresh_row(&transaction, presented).await? else { return Ok(Rotation::Refused) };
        let (from, to) = (claims_of(&row), AccessClaims { user: next.user, organization: next.organization });
        if from.user != to.user {
            return Ok(Rotation::Refused);
        }
        // Before the token's own lock, as in a rotation, and in one order whichever way somebody switches.
        let mut holds = true;
        for claims in if from.organization <= to.organization { [from, to] } else { [to, from] } {
            holds &= self.holds(&transaction, claims).await?;
        }
        let replaced = unscoped("the digest finds out whose")
            .update::<refresh_token::Entity>()
            .filter(Column::Digest.eq(presented.as_bytes().as_slice()))
            .filter(Column::ReplacedAt.is_null())
            .col_expr(Column::ReplacedAt, Expr::value(next.at.as_micros()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let (outcome, events) = if replaced.rows_affected == 0 {
            if Self::refresh_row(&transaction, presented).await?.is_none() {
                return Ok(Rotation::Refused); // ended since it was read
            }
            let reused = Rotation::Reused(from);
            (reused, reused.event(event.at, event.request_id).into_iter().collect())
        } else if row.expires_at <= next.at.as_micros() || !holds {
            return Ok(Rotation::Refused); // given up: it stays as it is
        } else {
            let closed = session_event(from, "session.close", event.at, event.request_id);
            (Rotation::Rotated(from), vec![closed, event])
        };
        Self::end_family(&transaction, row.family).await?;
        if matches!(outcome, Rotation::Rotated(_)) {
            unscoped("signing in finds out which organization")
                .insert(refresh_model(next, Uuid::now_v7()))
                .exec_without_returning(&transaction)
                .await
                .map_err(store_fault)?;
        }
        record(&transaction, events).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(outcome)
    }

    async fn end_refresh(
        &self,
        presented: Digest,
        at: Timestamp,
        request_id: Option<Uuid>,
    ) -> Result<Option<AccessClaims>, StoreFault> {
        let transaction = self.begin().await?;
        let Some(row) = Self::refresh_row(&transaction, presented).await? else { return Ok(None) };
        Self::end_family(&transaction, row.family).await?;
        let claims = claims_of(&row);
        record(&transaction, [session_event(claims, "session.close", at, request_id)]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(claims))
    }

    async fn set_instance_admin(
        &self,
        email: &Email,
        on: bool,
        event: AuditEvent,
    ) -> Result<Option<UserId>, StoreFault> {
        let transaction = self.begin().await?;
        let people = unscoped("instance admins stand above organizations");
        let row = people
            .find::<user::Entity>()
            .filter(user::Column::Email.eq(email.as_str()))
            .one(&transaction)
            .await
            .map_err(store_fault)?;
        let Some(row) = row else { return Ok(None) };
        let user = UserId::from_uuid(row.id);
        people
            .update::<user::Entity>()
            .filter(user::Column::Id.eq(row.id))
            .col_expr(user::Column::InstanceAdmin, on.into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        record(&transaction, [event.about(AuditTarget::User(user))]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(user))
    }

    async fn arm_bootstrap(&self, token: Digest, at: Timestamp) -> Result<bool, StoreFault> {
        let fresh = unscoped("before the first organization");
        let transaction = self.begin().await?;
        let people = fresh.find::<user::Entity>().count(&transaction).await.map_err(store_fault)?;
        if people > 0 {
            return Ok(false);
        }
        // A token that an earlier start printed, perhaps into somebody's scroll-back, ends here.
        fresh.delete::<bootstrap_token::Entity>().exec(&transaction).await.map_err(store_fault)?;
        fresh
            .insert(bootstrap_token::ActiveModel {
                digest: ActiveValue::Set(token.as_bytes().to_vec()),
                created_at: ActiveValue::Set(at.as_micros()),
            })
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }

    async fn bootstrap(&self) -> Result<Option<Digest>, StoreFault> {
        let row = unscoped("before the first organization")
            .find::<bootstrap_token::Entity>()
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        let corrupt = |_| StoreFault::Corrupt("digest of the bootstrap token".to_owned());
        row.map(|row| row.digest.try_into().map(Digest::from_bytes).map_err(corrupt)).transpose()
    }
}
