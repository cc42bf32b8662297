//! Finding keys for requests: the cache, else one indexed look-up by digest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use domain::id::OrganizationId;
use domain::key::port::KeyDirectory;
use domain::key::{Digest, KeyFacts, KeyId, KeyRecord};
use domain::root::{RootPrints, Roots};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, FromQueryResult, JoinType, QueryFilter, QuerySelect, RelationTrait, Select};

use super::Database;
use super::commit::Changes;
use super::entity::{api_key, api_key_digest, membership, user};
use super::fault::store_fault;
use super::key_rows::{KeyRow, records, with_names};
use super::key_tokens::{place_of, token_place};
use super::scoped::unscoped;
use crate::cache::{Change, KeyCache, LiveKeyHandle, TokenPlace};

/// How often a look-up starts again because the key changed meanwhile, before the store counts as unavailable.
const ATTEMPTS: usize = 8;

/// Keys in the database, behind the cache.
#[derive(Clone)]
pub struct SqlKeyDirectory {
    db: Database,
    changes: Changes,
    cache: Arc<KeyCache>,
    lookups: Arc<AtomicU64>,
    known: Arc<RootPrints>,
    moves: bool,
}

impl SqlKeyDirectory {
    /// Puts the cache before the database, for a node that knows these root secrets.
    #[must_use]
    pub fn new(db: Database, changes: Changes, roots: &Roots) -> Self {
        let cache = Arc::clone(&changes.caches().keys);
        Self { db, changes, cache, lookups: Arc::default(), known: Arc::new(roots.prints()), moves: roots.moves() }
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
    /// Moves a token to the digest of the present root secret, if it is still stored under the other one.
    ///
    /// Other nodes may remember it under that, and hear of it in passing: what changes later of the key names the new digest
    /// alone, and comes to them later.
    async fn rewrite(&self, other: &Digest, digest: &Digest) -> Result<(), StoreFault> {
        const REASON: &str = "the digest finds out which organization";
        let stored_as = |digest: &Digest| api_key_digest::Column::Digest.eq(digest.as_bytes().as_slice());
        let found = unscoped(REASON).find::<api_key_digest::Entity>().filter(stored_as(other));
        let Some(row) = found.one(self.db.reader()).await.map_err(store_fault)? else { return Ok(()) };
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        // Changes nothing and takes the key's lock, like every change of the key: a revocation that has read the other
        // digest has deleted it before this goes on, and a later one reads the new digest.
        unscoped(REASON)
            .update::<api_key::Entity>()
            .filter(api_key::Column::Id.eq(row.key_id.as_str()))
            .col_expr(api_key::Column::TenantsVersion, Expr::col(api_key::Column::TenantsVersion))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let found = unscoped(REASON).find::<api_key_digest::Entity>().filter(stored_as(other));
        let Some(row) = found.one(&transaction).await.map_err(store_fault)? else { return Ok(()) };
        let key_end: Option<Option<i64>> = unscoped(REASON)
            .find::<api_key::Entity>()
            .filter(api_key::Column::Id.eq(row.key_id.as_str()))
            .select_only()
            .column(api_key::Column::ExpiresAt)
            .into_tuple()
            .one(&transaction)
            .await
            .map_err(store_fault)?;
        let corrupt = || StoreFault::Corrupt(format!("digest of {}", row.key_id));
        let key = KeyId::from_token_part(&row.key_id).map_err(|_| corrupt())?;
        let before = place_of(&row, key_end.flatten().map(Timestamp::from_micros))?;
        unscoped(REASON)
            .update::<api_key_digest::Entity>()
            .filter(stored_as(other))
            .col_expr(api_key_digest::Column::Digest, digest.as_bytes().to_vec().into())
            .col_expr(api_key_digest::Column::Root, self.known.root.as_str().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let changed = vec![Change::KeyChanged { key, tokens: vec![before] }];
        self.changes.commit_in_passing(transaction, changed).await
    }

    /// Whether a token that is not found is none. Nodes that this one is not among may have moved it to a root secret that
    /// this one does not know; it will be told so when it asks for its next lease.
    async fn may_say_no(&self) -> Result<bool, StoreFault> {
        if self.db.is_among_its_nodes() {
            return Ok(true);
        }
        let root = self.db.in_time(self.db.root_fingerprint()).await?;
        Ok(root.is_none_or(|root| self.known.reads.contains(&root)))
    }

    /// What is stored under this digest, and remembered from now on. None, within none when it changed meanwhile.
    async fn found(&self, digest: &Digest) -> Result<Option<Option<LiveKeyHandle>>, StoreFault> {
        let ticket = self.cache.ticket(digest);
        let found = self.db.in_time(self.read(digest)).await?;
        Ok(found.map(|(facts, token)| self.cache.fill(ticket, token, facts)))
    }
}

fn outsider() -> StoreFault {
    StoreFault::Unavailable("the database belongs to a root secret that this node does not know".into())
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

    async fn load(&self, digest: &Digest, other: Option<&Digest>) -> Result<Option<LiveKeyHandle>, StoreFault> {
        for _ in 0..ATTEMPTS {
            let mut found = self.found(digest).await?;
            if let (None, Some(other)) = (&found, other) {
                if self.moves {
                    self.db.in_time(self.rewrite(other, digest)).await?;
                    // Also when it was not there any more: another request may have moved it meanwhile.
                    found = self.found(digest).await?;
                } else {
                    // Tokens are moved in this direction alone, so that none is missed between the two looks.
                    found = self.found(other).await?;
                }
            }
            match found {
                Some(Some(live)) => return Ok(Some(live)),
                Some(None) => {}
                None => return if self.may_say_no().await? { Ok(None) } else { Err(outsider()) },
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
