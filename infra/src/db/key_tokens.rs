//! The tokens of keys, as digests: the present one, and those that were rotated away and work for a while yet.

use domain::access::permission::ApiKeysWrite;
use domain::access::{Grant, WithinOrganization};
use domain::audit::AuditEvent;
use domain::key::port::{EARLIER_MAX, RotateFault, Rotation};
use domain::key::{Digest, KeyId, KeyRecord};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, QueryFilter};

use super::entity::{api_key, api_key_digest};
use super::fault::{store_fault, write_fault};
use super::keys::SqlKeyStore;
use super::patience::DatabaseTransaction;
use super::people_rows::hold_actor;
use super::scoped;
use crate::cache::{Change, TokenPlace};

/// A token as the cache needs to know it; `key_end` is the end of its key.
pub fn token_place(digest: Digest, issue: i32, expires_at: Option<i64>, key_end: Option<Timestamp>) -> TokenPlace {
    let own = expires_at.map(Timestamp::from_micros);
    let until = own.into_iter().chain(key_end).min();
    TokenPlace { digest, issue, until, earlier: own.is_some() }
}

/// All tokens of a key whose end is `key_end`.
pub async fn tokens(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    id: KeyId,
    key_end: Option<Timestamp>,
) -> Result<Vec<TokenPlace>, StoreFault> {
    let rows = scoped::find::<api_key_digest::Entity>(scope)
        .filter(api_key_digest::Column::KeyId.eq(id.as_token_part()))
        .all(db)
        .await
        .map_err(store_fault)?;
    rows.iter().map(|row| place_of(row, key_end)).collect()
}

/// A row as the cache needs to know it.
pub fn place_of(row: &api_key_digest::Model, key_end: Option<Timestamp>) -> Result<TokenPlace, StoreFault> {
    let bytes = row.digest.as_slice().try_into();
    let digest = bytes.map(Digest::from_bytes).map_err(|_| StoreFault::Corrupt(format!("digest of {}", row.key_id)))?;
    Ok(token_place(digest, row.issue, row.expires_at, key_end))
}

/// A token about to be stored.
pub struct NewToken<'a> {
    /// Which of its key's tokens it is.
    pub issue: i32,
    /// Its digest.
    pub digest: Digest,
    /// When it was made.
    pub at: Timestamp,
    /// The fingerprint of the root secret that it was made under.
    pub root: &'a str,
}

/// Stores the digest of a key's new token.
pub async fn insert_token(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    id: KeyId,
    token: NewToken<'_>,
) -> Result<(), DbErr> {
    let NewToken { issue, digest, at, root } = token;
    let row = api_key_digest::ActiveModel {
        digest: ActiveValue::Set(digest.as_bytes().to_vec()),
        key_id: ActiveValue::Set(id.as_token_part().to_owned()),
        organization_id: ActiveValue::NotSet,
        created_at: ActiveValue::Set(at.as_micros()),
        expires_at: ActiveValue::Set(None),
        issue: ActiveValue::Set(issue),
        last_used_at: ActiveValue::Set(None),
        root: ActiveValue::Set(Some(root.to_owned())),
    };
    scoped::insert::<api_key_digest::Entity, _>(scope, [row]).exec_without_returning(transaction).await?;
    Ok(())
}

impl SqlKeyStore {
    pub(super) async fn rotate_key(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        rotation: Rotation,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, RotateFault> {
        use api_key_digest::Column;
        let Rotation { digest, prefix, at, earlier_end } = rotation;
        let transaction = self.begin().await?;
        hold_actor(&self.db, &transaction, grant).await?;
        // Before the tokens, since it takes the row's lock: two changes at once come one after the other.
        let found = scoped::update::<api_key::Entity>(grant)
            .filter(api_key::Column::Id.eq(id.as_token_part()))
            .filter(api_key::Column::RevokedAt.is_null())
            .col_expr(api_key::Column::Prefix, prefix.into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let record = self.record(&transaction, grant, id).await?;
        let Some(record) = record.filter(|_| found.rows_affected > 0) else { return Ok(None) };
        let key_end = record.facts.expires_at;
        let before = tokens(&transaction, grant, id, key_end).await?;
        let (mut over, mut staying) = (Vec::new(), Vec::new());
        for mut token in before.iter().copied() {
            // No earlier token outlives the new grace, the key, or the end that it had already.
            let end = token.until.map_or(earlier_end, |until| until.min(earlier_end));
            token.until = Some(end);
            if end <= at { over.push(token) } else { staying.push(token) }
        }
        if staying.len() > EARLIER_MAX {
            return Err(RotateFault::TooMany);
        }
        let row = |token: &TokenPlace| Column::Digest.eq(token.digest.as_bytes().as_slice());
        for token in &over {
            scoped::delete::<api_key_digest::Entity>(grant)
                .filter(row(token))
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
        }
        for token in &staying {
            let mut update = scoped::update::<api_key_digest::Entity>(grant)
                .filter(row(token))
                .col_expr(Column::ExpiresAt, token.until.map(Timestamp::as_micros).into());
            if !token.earlier {
                // Until now the key's own last use was this token's.
                update = update.col_expr(Column::LastUsedAt, record.last_used_at.map(Timestamp::as_micros).into());
            }
            update.exec(&transaction).await.map_err(store_fault)?;
        }
        let issue = 1 + before.iter().map(|token| token.issue).max().unwrap_or_default();
        insert_token(&transaction, grant, id, NewToken { issue, digest, at, root: &self.root })
            .await
            .map_err(|error| RotateFault::Write(write_fault(error, "id")))?;
        super::audit::record(&transaction, [event]).await?;
        let changes = vec![Change::KeyEnded { key: id, tokens: over }, Change::KeyChanged { key: id, tokens: staying }];
        self.changes.commit(transaction, changes).await?;
        Ok(Some(record))
    }
}
