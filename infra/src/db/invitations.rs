//! Keeping invitations.

use async_trait::async_trait;
use domain::access::permission::{MembersAdminister, MembersRead};
use domain::access::{Grant, Role, SystemScope, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::id::{InvitationId, OrganizationId, UserId};
use domain::invitation::InvitationRecord;
use domain::invitation::port::{Acceptance, InvitationStore, Joiner, NewInvitation, OpenInvitation};
use domain::key::Digest;
use domain::organization::AccessClaims;
use domain::organization::port::session_event;
use domain::page::{Page, PageRequest};
use domain::store::{StoreFault, WriteFault};
use domain::text::Email;
use domain::time::Timestamp;
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, FromQueryResult, JoinType, Order, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait, Select,
};
use uuid::Uuid;

use super::audit::record;
use super::commit::Changes;
use super::entity::{invitation, membership, user};
use super::fault::{store_fault, write_fault};
use super::key_rows::user_ref;
use super::patience::DatabaseTransaction;
use super::people_rows::{end_access_of, hold_actor, revoke_keys_of, role};
use super::scoped::unscoped;
use super::{Database, scoped};
use crate::cache::Change;

/// Invitations in the database.
pub struct SqlInvitations {
    db: Database,
    changes: Changes,
}

#[derive(Debug, FromQueryResult)]
struct InvitationRow {
    id: Uuid,
    email: String,
    role: String,
    invited_by: Uuid,
    created_at: i64,
    expires_at: i64,
    inviter_email: String,
    inviter_display_name: Option<String>,
}

impl InvitationRow {
    fn record(self) -> Result<InvitationRecord, StoreFault> {
        Ok(InvitationRecord {
            id: InvitationId::from_uuid(self.id),
            email: address(&self.email)?,
            role: role(&self.role)?,
            invited_by: user_ref(self.invited_by, &self.inviter_email, self.inviter_display_name.as_deref()),
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
        })
    }
}

impl SqlInvitations {
    /// Keeps invitations in this database.
    #[must_use]
    pub const fn new(db: Database, changes: Changes) -> Self {
        Self { db, changes }
    }

    async fn working(
        db: &impl ConnectionTrait,
        digest: Digest,
        at: Timestamp,
    ) -> Result<Option<invitation::Model>, StoreFault> {
        unscoped("the digest finds out which organization")
            .find::<invitation::Entity>()
            .filter(invitation::Column::Digest.eq(digest.as_bytes().as_slice()))
            .filter(invitation::Column::ExpiresAt.gt(at.as_micros()))
            .one(db)
            .await
            .map_err(store_fault)
    }

    async fn person(db: &impl ConnectionTrait, email: &str) -> Result<Option<user::Model>, StoreFault> {
        unscoped("people belong to several organizations")
            .find::<user::Entity>()
            .filter(user::Column::Email.eq(email))
            .one(db)
            .await
            .map_err(store_fault)
    }

    async fn is_member(
        db: &impl ConnectionTrait,
        scope: &impl WithinOrganization,
        user: Uuid,
    ) -> Result<bool, StoreFault> {
        let found = scoped::find::<membership::Entity>(scope)
            .filter(membership::Column::UserId.eq(user))
            .one(db)
            .await
            .map_err(store_fault)?;
        Ok(found.is_some())
    }

    async fn begin(&self) -> Result<DatabaseTransaction, StoreFault> {
        self.db.writer().begin().await.map_err(store_fault)
    }
}

fn with_inviter(invitations: Select<invitation::Entity>) -> Select<invitation::Entity> {
    use invitation::Column;
    invitations
        .join(JoinType::InnerJoin, invitation::Relation::InvitedBy.def())
        .select_only()
        .columns([Column::Id, Column::Email, Column::Role, Column::InvitedBy, Column::CreatedAt, Column::ExpiresAt])
        .column_as(user::Column::Email, "inviter_email")
        .column_as(user::Column::DisplayName, "inviter_display_name")
}

fn address(email: &str) -> Result<Email, StoreFault> {
    email.parse().map_err(|_| StoreFault::Corrupt("e-mail address of an invitation".to_owned()))
}

#[async_trait]
impl InvitationStore for SqlInvitations {
    async fn insert(
        &self,
        grant: &Grant<MembersAdminister>,
        invitation: NewInvitation,
        event: AuditEvent,
    ) -> Result<InvitationRecord, WriteFault> {
        let transaction = self.begin().await?;
        hold_actor(&self.db, &transaction, grant).await?;
        if let Some(person) = Self::person(&transaction, invitation.email.as_str()).await?
            && Self::is_member(&transaction, grant, person.id).await?
        {
            return Err(WriteFault::Taken { what: "email" });
        }
        scoped::delete::<invitation::Entity>(grant)
            .filter(invitation::Column::Email.eq(invitation.email.as_str()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let row = invitation::ActiveModel {
            id: ActiveValue::Set(invitation.id.as_uuid()),
            organization_id: ActiveValue::NotSet,
            email: ActiveValue::Set(invitation.email.to_string()),
            role: ActiveValue::Set(invitation.role.as_str().to_owned()),
            digest: ActiveValue::Set(invitation.digest.as_bytes().to_vec()),
            invited_by: ActiveValue::Set(grant.user().id.as_uuid()),
            created_at: ActiveValue::Set(invitation.at.as_micros()),
            expires_at: ActiveValue::Set(invitation.expires_at.as_micros()),
        };
        scoped::insert::<invitation::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "email"))?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(InvitationRecord {
            id: invitation.id,
            email: invitation.email,
            role: invitation.role,
            invited_by: grant.user().clone(),
            created_at: invitation.at,
            expires_at: invitation.expires_at,
        })
    }

    async fn list(
        &self,
        grant: &Grant<MembersRead>,
        page: PageRequest<InvitationId>,
    ) -> Result<Page<InvitationRecord, InvitationId>, StoreFault> {
        let mut invitations = with_inviter(scoped::find::<invitation::Entity>(grant));
        if let Some(after) = page.after {
            invitations = invitations.filter(invitation::Column::Id.lt(after.as_uuid()));
        }
        let rows = invitations
            .order_by(invitation::Column::Id, Order::Desc)
            .limit(u64::from(page.limit.get()) + 1)
            .into_model::<InvitationRow>()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let records = rows.into_iter().map(InvitationRow::record).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::of_overread(records, page.limit, |record| record.id))
    }

    async fn revoke(
        &self,
        grant: &Grant<MembersAdminister>,
        id: InvitationId,
        event: AuditEvent,
    ) -> Result<bool, StoreFault> {
        let transaction = self.begin().await?;
        hold_actor(&self.db, &transaction, grant).await?;
        let deleted = scoped::delete::<invitation::Entity>(grant)
            .filter(invitation::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if deleted.rows_affected == 0 {
            return Ok(false);
        }
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }

    async fn open(&self, digest: Digest, at: Timestamp) -> Result<Option<OpenInvitation>, StoreFault> {
        let Some(row) = Self::working(self.db.reader(), digest, at).await? else { return Ok(None) };
        let person = Self::person(self.db.reader(), &row.email).await?;
        if person.as_ref().is_some_and(|person| person.disabled_at.is_some()) {
            return Ok(None);
        }
        Ok(Some(OpenInvitation {
            email: address(&row.email)?,
            person: person.map(|person| (UserId::from_uuid(person.id), person.password_hash)),
        }))
    }

    async fn accept(
        &self,
        digest: Digest,
        joiner: Joiner,
        at: Timestamp,
        request_id: Option<Uuid>,
    ) -> Result<Acceptance, WriteFault> {
        let transaction = self.begin().await?;
        let Some(row) = Self::working(&transaction, digest, at).await? else { return Ok(Acceptance::Gone) };
        let organization = OrganizationId::from_uuid(row.organization_id);
        let scope = SystemScope::new(organization, "whoever has the link joins");
        let consumed = scoped::delete::<invitation::Entity>(&scope)
            .filter(invitation::Column::Id.eq(row.id))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        // Whoever deletes the row has used the link; the other one finds nothing to delete.
        if consumed.rows_affected == 0 {
            return Ok(Acceptance::Gone);
        }
        let user = match joiner {
            Joiner::Known(user) => user,
            Joiner::New { user, password_hash, display_name } => {
                unscoped("a person begins")
                    .insert(user::ActiveModel {
                        id: ActiveValue::Set(user.as_uuid()),
                        email: ActiveValue::Set(row.email),
                        display_name: ActiveValue::Set(display_name.as_ref().map(ToString::to_string)),
                        password_hash: ActiveValue::Set(password_hash),
                        disabled_at: ActiveValue::Set(None),
                        created_at: ActiveValue::Set(at.as_micros()),
                        instance_admin: ActiveValue::Set(false),
                    })
                    .exec_without_returning(&transaction)
                    .await
                    .map_err(|error| write_fault(error, "email"))?;
                user
            }
        };
        if Self::is_member(&transaction, &scope, user.as_uuid()).await? {
            return Ok(Acceptance::Member);
        }
        if role(&row.role)? >= Role::Owner {
            return Err(StoreFault::Corrupt("an invitation of an owner".to_owned()).into());
        }
        // A key that was created in the moment of an earlier removal must not come alive again, nor a place in a group.
        let revoked = revoke_keys_of(&transaction, &scope, user, user, at).await?;
        end_access_of(&transaction, &scope, user).await?;
        let member = membership::ActiveModel {
            organization_id: ActiveValue::NotSet,
            user_id: ActiveValue::Set(user.as_uuid()),
            role: ActiveValue::Set(row.role),
            disabled_at: ActiveValue::Set(None),
            created_at: ActiveValue::Set(at.as_micros()),
        };
        scoped::insert::<membership::Entity, _>(&scope, [member])
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "email"))?;
        let claims = AccessClaims { user, organization };
        let accepted = session_event(claims, "invitation.accept", at, request_id);
        let of_key = |key| accepted.one_of_many("key.revoke", AuditTarget::Key(key));
        let events: Vec<AuditEvent> = revoked.into_iter().map(of_key).chain([accepted.clone()]).collect();
        record(&transaction, events).await?;
        self.changes.commit(transaction, vec![Change::AccessChanged(organization)]).await?;
        Ok(Acceptance::Joined(claims))
    }
}
