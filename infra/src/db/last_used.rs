//! Writing when keys and connections were last used, and sweeping out tokens that are over.

use domain::id::ConnectionId;
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, Condition, QueryFilter};

use super::Database;
use super::entity::{api_key, api_key_digest, connection};
use super::fault::store_fault;
use super::scoped::unscoped;
use crate::last_used::Use;

const REASON: &str = "only keys that were verified are noted";
/// Keys per transaction.
const AT_ONCE: usize = 100;

/// Last uses in the database.
#[derive(Clone)]
pub struct SqlLastUsed {
    db: Database,
}

impl SqlLastUsed {
    /// Writes to this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    /// Notes uses. A later use that stands there already stays, so that writing twice what a fault cut short does no harm.
    ///
    /// Few keys at a time, in the order in which everybody locks them: neither do those who change keys wait long, nor does
    /// anybody wait for ever.
    ///
    /// # Errors
    /// [`StoreFault`]; then some of the uses may have been written.
    pub async fn write(&self, uses: &[(Use, Timestamp)]) -> Result<(), StoreFault> {
        let mut sorted: Vec<&(Use, Timestamp)> = uses.iter().collect();
        sorted.sort_by_key(|((key, earlier), _)| (key.as_token_part(), *earlier));
        for chunk in sorted.chunks(AT_ONCE) {
            self.write_chunk(chunk).await?;
        }
        Ok(())
    }

    async fn write_chunk(&self, uses: &[&(Use, Timestamp)]) -> Result<(), StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        for ((key, earlier), at) in uses {
            let at = at.as_micros();
            unscoped(REASON)
                .update::<api_key::Entity>()
                .filter(api_key::Column::Id.eq(key.as_token_part()))
                .filter(before(api_key::Column::LastUsedAt, at))
                .col_expr(api_key::Column::LastUsedAt, at.into())
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
            let Some(issue) = earlier else { continue };
            unscoped(REASON)
                .update::<api_key_digest::Entity>()
                .filter(api_key_digest::Column::KeyId.eq(key.as_token_part()))
                .filter(api_key_digest::Column::Issue.eq(*issue))
                .filter(before(api_key_digest::Column::LastUsedAt, at))
                .col_expr(api_key_digest::Column::LastUsedAt, at.into())
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
        }
        transaction.commit().await.map_err(store_fault)
    }

    /// Notes uses of connections, like [`SqlLastUsed::write`].
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn write_connections(&self, uses: &[(ConnectionId, Timestamp)]) -> Result<(), StoreFault> {
        let mut sorted: Vec<&(ConnectionId, Timestamp)> = uses.iter().collect();
        sorted.sort();
        for chunk in sorted.chunks(AT_ONCE) {
            let transaction = self.db.writer().begin().await.map_err(store_fault)?;
            for (id, at) in chunk {
                unscoped("only connections that calls of their holders used are noted")
                    .update::<connection::Entity>()
                    .filter(connection::Column::Id.eq(id.as_uuid()))
                    .filter(before(connection::Column::LastUsedAt, at.as_micros()))
                    .col_expr(connection::Column::LastUsedAt, at.as_micros().into())
                    .exec(&transaction)
                    .await
                    .map_err(store_fault)?;
            }
            transaction.commit().await.map_err(store_fault)?;
        }
        Ok(())
    }

    /// Deletes the digests of tokens that were rotated away and have ended; how many. They work no more in any case.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn purge_ended(&self, now: Timestamp) -> Result<u64, StoreFault> {
        let ended = unscoped("what has ended has ended for every organization")
            .delete::<api_key_digest::Entity>()
            .filter(api_key_digest::Column::ExpiresAt.lte(now.as_micros()))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(ended.rows_affected)
    }
}

fn before(column: impl ColumnTrait, at: i64) -> Condition {
    Condition::any().add(column.is_null()).add(column.lt(at))
}
