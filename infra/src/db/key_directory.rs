//! Finding keys for requests: the cache, else one indexed look-up by digest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use domain::id::OrganizationId;
use domain::key::port::KeyDirectory;
use domain::key::{Digest, KeyFacts, KeyId, KeyRecord};
use domain::store::StoreFault;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, FromQueryResult, JoinType, QueryFilter, QuerySelect, RelationTrait, Select};

use super::Database;
use super::entity::{api_key, api_key_digest, membership, user};
use super::fault::store_fault;
use super::key_rows::{KeyRow, records, with_names};
use super::key_tokens::token_place;
use super::scoped::unscoped;
use crate::cache::{KeyCache, LiveKeyHandle, TokenPlace};

/// How often a look-up starts again because the key changed meanwhile, before the store counts as unavailable.
const ATTEMPTS: usize = 8;

/// Keys in the database, behind the cache.
#[derive(Clone)]
pub struct SqlKeyDirectory {
    db: Database,
    cache: Arc<KeyCache>,
    lookups: Arc<AtomicU64>,
    root: Arc<str>,
}

impl SqlKeyDirectory {
    /// Puts the cache before the database, whose root secret has the fingerprint `root`.
    #[must_use]
    pub fn new(db: Database, cache: Arc<KeyCache>, root: &str) -> Self {
        Self { db, cache, lookups: Arc::default(), root: root.into() }
    }

    /// How many keys memory holds.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.cache.len()
    }

    /// How many look-ups the database has answered or failed.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.lookups.load(Ordering::Relaxed)
    }

    async fn read(&self, digest: &Digest) -> Result<Option<(KeyFacts, TokenPlace)>, StoreFault> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let row = by_digest(digest).into_model::<FoundRow>().one(self.db.reader()).await.map_err(store_fault)?;
        let Some(FoundRow { key, token_issue, token_expires_at }) = row else { return Ok(None) };
        let records = records(self.db.reader(), vec![key]).await?;
        Ok(records.into_iter().next().map(|KeyRecord { facts, .. }| {
            let token = token_place(*digest, token_issue, token_expires_at, facts.expires_at);
            (facts, token)
        }))
    }
}

impl SqlKeyDirectory {
    /// Stores a token under its new digest. False when none is stored under the previous one.
    async fn rewrite(&self, previous: &Digest, digest: &Digest) -> Result<bool, StoreFault> {
        const REASON: &str = "the digest finds out which organization";
        let stored_as = |digest: &Digest| api_key_digest::Column::Digest.eq(digest.as_bytes().as_slice());
        let row = unscoped(REASON)
            .find::<api_key_digest::Entity>()
            .filter(stored_as(previous))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        let Some(row) = row else { return Ok(false) };
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        // Changes nothing and takes the key's lock, like every change of the key: a revocation that has read the previous
        // digest has deleted it before this goes on, and a later one reads the new digest.
        unscoped(REASON)
            .update::<api_key::Entity>()
            .filter(api_key::Column::Id.eq(row.key_id))
            .col_expr(api_key::Column::TenantsVersion, Expr::col(api_key::Column::TenantsVersion))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        unscoped(REASON)
            .update::<api_key_digest::Entity>()
            .filter(stored_as(previous))
            .col_expr(api_key_digest::Column::Digest, digest.as_bytes().to_vec().into())
            .col_expr(api_key_digest::Column::Root, self.root.as_ref().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }
}

/// The key that has this digest, and which of its tokens it is: what a [`FoundRow`] needs.
pub fn by_digest(digest: &Digest) -> Select<api_key::Entity> {
    let keys = unscoped("the digest finds out which organization").find::<api_key::Entity>();
    let of_digest = api_key_digest::Relation::Key.def().rev();
    with_names(keys)
        .join(JoinType::InnerJoin, of_digest)
        .filter(
            Condition::all()
                .add(api_key_digest::Column::Digest.eq(digest.as_bytes().as_slice()))
                .add(api_key::Column::RevokedAt.is_null())
                // A key lives no longer than its owner's place in the organization.
                .add(membership::Column::UserId.is_not_null())
                .add(membership::Column::DisabledAt.is_null())
                .add(user::Column::DisabledAt.is_null()),
        )
        .column_as(api_key_digest::Column::Issue, "token_issue")
        .column_as(api_key_digest::Column::ExpiresAt, "token_expires_at")
}

/// A key, and which of its tokens it was found by.
#[derive(Debug, FromQueryResult)]
struct FoundRow {
    #[sea_orm(nested)]
    key: KeyRow,
    token_issue: i32,
    token_expires_at: Option<i64>,
}

#[async_trait]
impl KeyDirectory for SqlKeyDirectory {
    type Live = LiveKeyHandle;

    fn cached(&self, digest: &Digest) -> Option<LiveKeyHandle> {
        self.cache.get(digest)
    }

    async fn load(&self, digest: &Digest, previous: Option<&Digest>) -> Result<Option<LiveKeyHandle>, StoreFault> {
        for _ in 0..ATTEMPTS {
            let ticket = self.cache.ticket(digest);
            let Some((facts, token)) = self.db.in_time(self.read(digest)).await? else {
                match previous {
                    Some(previous) if self.db.in_time(self.rewrite(previous, digest)).await? => continue,
                    _ => return Ok(None),
                }
            };
            if let Some(live) = self.cache.fill(ticket, token, facts) {
                return Ok(Some(live));
            }
        }
        Err(StoreFault::Unavailable("the key changed at every attempt to read it".into()))
    }

    async fn organization_of(&self, key: KeyId) -> Result<Option<OrganizationId>, StoreFault> {
        let row = unscoped("a refused key finds out whose log it belongs to")
            .find::<api_key::Entity>()
            .filter(api_key::Column::Id.eq(key.as_token_part()))
            .one(self.db.reader());
        let row = self.db.in_time(async { row.await.map_err(store_fault) }).await?;
        Ok(row.map(|row| OrganizationId::from_uuid(row.organization_id)))
    }
}
