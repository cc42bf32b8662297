//! What the stores of people share: rows as the domain names them, and the order in which they lock.
//!
//! Whoever changes a membership, or begins something that must not outlive it, takes the membership's lock first. So a
//! session that begins while its person is being removed is either ended with the others or never begins. Likewise whoever
//! makes a change that only members make: who acts is read again under the lock, and a removal that committed first wins.
//!
//! Several memberships are locked in the order of their people's ids, then groups, then policies, then keys, so that no two
//! changes wait for each other.

use std::collections::HashSet;

use domain::access::{Grant, Role, WithinOrganization};
use domain::id::{OrganizationId, UserId};
use domain::key::KeyId;
use domain::organization::{Feature, FeatureSet, OrganizationRef};
use domain::store::{Overtaken, StoreFault, WriteFault};
use domain::time::Timestamp;
use sea_orm::sea_query::{LockType, Query};
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::{
    api_key, api_key_digest, group_member, invitation, membership, organization_slug, policy_subject, refresh_token,
};
use super::fault::{store_fault, write_fault};
use super::key_rows::lock_live;
use super::patience::DatabaseTransaction;
use super::{CHUNK, Database, DatabaseKind, scoped};

/// An organization as everything names it.
pub fn organization_ref(id: Uuid, slug: &str, name: &str, features: &str) -> OrganizationRef {
    OrganizationRef {
        id: OrganizationId::from_uuid(id),
        slug: slug.into(),
        name: name.into(),
        features: features_from_text(features),
    }
}

/// Features as the store has them: names between blanks.
pub fn features_to_text(features: FeatureSet) -> String {
    features.iter().map(Feature::as_str).collect::<Vec<_>>().join(" ")
}

/// A name that this version does not know is a feature that it does not have.
pub fn features_from_text(text: &str) -> FeatureSet {
    text.split_whitespace().filter_map(Feature::named).collect()
}

/// Takes a slug for an organization, which keeps it for good. One that it had before is its own already.
///
/// # Errors
/// [`WriteFault::Taken`] with `what` when another organization has it, or had.
pub async fn take_slug(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    slug: &str,
    what: &'static str,
) -> Result<(), WriteFault> {
    let own = scoped::find::<organization_slug::Entity>(scope)
        .filter(organization_slug::Column::Slug.eq(slug))
        .one(transaction)
        .await
        .map_err(store_fault)?;
    if own.is_some() {
        return Ok(());
    }
    let row = organization_slug::ActiveModel {
        slug: ActiveValue::Set(slug.to_owned()),
        organization_id: ActiveValue::NotSet,
    };
    scoped::insert::<organization_slug::Entity, _>(scope, [row])
        .exec_without_returning(transaction)
        .await
        .map_err(|error| write_fault(error, what))?;
    Ok(())
}

/// A role as the store has it.
pub fn role(name: &str) -> Result<Role, StoreFault> {
    Role::named(name).ok_or_else(|| StoreFault::Corrupt("role of a person".to_owned()))
}

/// Reads a membership and locks it: to change it, or with [`LockType::Share`] to keep it as it is until the transaction
/// ends. With SQLite the one connection that writes is the lock.
pub async fn locked_membership(
    db: &Database,
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    user: UserId,
    lock: LockType,
) -> Result<Option<membership::Model>, StoreFault> {
    let mut found = scoped::find::<membership::Entity>(scope).filter(membership::Column::UserId.eq(user.as_uuid()));
    if db.kind() == DatabaseKind::Postgres {
        found = found.lock(lock);
    }
    found.one(transaction).await.map_err(store_fault)
}

/// Reads the membership of whoever acts, first of all in a transaction, and keeps it as it is until the end.
///
/// # Errors
/// [`StoreFault::Overtaken`] when they may not do any more what the grant says.
pub async fn hold_actor<P: Send + Sync>(
    db: &Database,
    transaction: &DatabaseTransaction,
    grant: &Grant<P>,
) -> Result<(), StoreFault> {
    let row = locked_membership(db, transaction, grant, grant.user().id, LockType::Share).await?;
    still_may(grant, row.as_ref())
}

/// Like [`hold_actor`], and locks the membership of `user` to change it; none when there is none.
///
/// # Errors
/// [`StoreFault::Overtaken`] like [`hold_actor`]
pub async fn hold_actor_and_lock<P: Send + Sync>(
    db: &Database,
    transaction: &DatabaseTransaction,
    grant: &Grant<P>,
    user: UserId,
) -> Result<Option<membership::Model>, StoreFault> {
    let actor = grant.user().id;
    let mut order = vec![(user, LockType::Update)];
    if actor != user {
        order.push((actor, LockType::Share));
        order.sort_by_key(|(user, _)| user.as_uuid());
    }
    let mut rows = Vec::with_capacity(order.len());
    for (user, lock) in order {
        rows.extend(locked_membership(db, transaction, grant, user, lock).await?);
    }
    still_may(grant, rows.iter().find(|row| row.user_id == actor.as_uuid()))?;
    Ok(rows.into_iter().find(|row| row.user_id == user.as_uuid()))
}

/// Like [`hold_actor`], and keeps the memberships of these people as well; those of them who are members, disabled or not.
///
/// # Errors
/// [`StoreFault::Overtaken`] like [`hold_actor`]
pub async fn hold_actor_and_members<P: Send + Sync>(
    db: &Database,
    transaction: &DatabaseTransaction,
    grant: &Grant<P>,
    people: impl Iterator<Item = UserId>,
) -> Result<HashSet<UserId>, StoreFault> {
    use membership::Column;
    let actor = grant.user().id;
    let mut found = scoped::find::<membership::Entity>(grant)
        .filter(Column::UserId.is_in(people.chain([actor]).map(|person| person.as_uuid())))
        .order_by(Column::UserId, Order::Asc);
    if db.kind() == DatabaseKind::Postgres {
        found = found.lock(LockType::Share);
    }
    let rows = found.all(transaction).await.map_err(store_fault)?;
    still_may(grant, rows.iter().find(|row| row.user_id == actor.as_uuid()))?;
    Ok(rows.into_iter().map(|row| UserId::from_uuid(row.user_id)).collect())
}

fn still_may<P: Send + Sync>(grant: &Grant<P>, row: Option<&membership::Model>) -> Result<(), StoreFault> {
    match row {
        Some(row) if row.disabled_at.is_none() => {
            if role(&row.role)? < grant.role() {
                Err(StoreFault::Overtaken(Overtaken::Demoted))
            } else {
                Ok(())
            }
        }
        Some(_) | None => Err(StoreFault::Overtaken(Overtaken::Gone)),
    }
}

/// Ends all sessions of a person in the organization.
pub async fn end_sessions(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    user: UserId,
) -> Result<(), StoreFault> {
    scoped::delete::<refresh_token::Entity>(scope)
        .filter(refresh_token::Column::UserId.eq(user.as_uuid()))
        .exec(db)
        .await
        .map_err(store_fault)?;
    Ok(())
}

/// Ends all invitations that a person made.
pub async fn end_invitations_by(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    user: UserId,
) -> Result<(), StoreFault> {
    scoped::delete::<invitation::Entity>(scope)
        .filter(invitation::Column::InvitedBy.eq(user.as_uuid()))
        .exec(db)
        .await
        .map_err(store_fault)?;
    Ok(())
}

/// Takes a person out of the organization's groups and access policies.
pub async fn end_access_of(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    user: UserId,
) -> Result<(), StoreFault> {
    scoped::delete::<group_member::Entity>(scope)
        .filter(group_member::Column::UserId.eq(user.as_uuid()))
        .exec(db)
        .await
        .map_err(store_fault)?;
    scoped::delete::<policy_subject::Entity>(scope)
        .filter(policy_subject::Column::Kind.eq("member"))
        .filter(policy_subject::Column::SubjectId.eq(user.as_uuid()))
        .exec(db)
        .await
        .map_err(store_fault)?;
    Ok(())
}

/// Revokes all keys of a person in the organization: digests go, metadata stays. Those that were live, for the log.
pub async fn revoke_keys_of(
    db: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    user: UserId,
    by: UserId,
    at: Timestamp,
) -> Result<Vec<KeyId>, StoreFault> {
    use api_key::Column;
    let live = lock_live(db, scope, Condition::all().add(Column::OwnerId.eq(user.as_uuid()))).await?;
    for chunk in live.chunks(CHUNK) {
        scoped::update::<api_key::Entity>(scope)
            .filter(Column::Id.is_in(chunk))
            .col_expr(Column::RevokedAt, at.as_micros().into())
            .col_expr(Column::RevokedBy, by.as_uuid().into())
            .exec(db)
            .await
            .map_err(store_fault)?;
    }
    let keys = Query::select()
        .column(Column::Id)
        .from(api_key::Entity)
        .and_where(Column::OrganizationId.eq(scope.organization_id().as_uuid()))
        .and_where(Column::OwnerId.eq(user.as_uuid()))
        .to_owned();
    scoped::delete::<api_key_digest::Entity>(scope)
        .filter(api_key_digest::Column::KeyId.in_subquery(keys))
        .exec(db)
        .await
        .map_err(store_fault)?;
    let corrupt = |_| StoreFault::Corrupt("id of a key".to_owned());
    live.iter().map(|id| KeyId::from_token_part(id).map_err(corrupt)).collect()
}
