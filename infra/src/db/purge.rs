//! Deleting what is over: refresh tokens, invitations and proposals that nobody can use any more.

use std::time::Duration;

use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, QueryFilter};

use super::Database;
use super::entity::{invitation, refresh_token, workflow_proposal};
use super::fault::store_fault;
use super::scoped::unscoped;

/// Rows per statement, so that no writer waits long.
pub(super) const CHUNK: u64 = 1000;
/// How long admins still see an invitation that was not used in time.
const INVITATIONS_SHOWN: Duration = Duration::from_hours(720);

/// How long a proposal that was decided, or was over, can still be read.
const PROPOSALS_SHOWN: Duration = Duration::from_hours(720);

/// Deletes in the database.
#[derive(Clone)]
pub struct SqlPurge {
    pub(super) db: Database,
}

impl SqlPurge {
    /// Deletes in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    /// Deletes the refresh tokens that are over at `now`; how many. A replaced one stays until then, since presenting it
    /// ends its family.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn refresh_tokens(&self, now: Timestamp) -> Result<u64, StoreFault> {
        use refresh_token::Column;
        let mut deleted = 0;
        loop {
            let over = Query::select()
                .column(Column::Digest)
                .from(refresh_token::Entity)
                .and_where(Column::ExpiresAt.lte(now.as_micros()))
                .limit(CHUNK)
                .to_owned();
            let done = unscoped("what is over is nobody's any more")
                .delete::<refresh_token::Entity>()
                .filter(Column::Digest.in_subquery(over))
                .exec(self.db.writer())
                .await
                .map_err(store_fault)?;
            deleted += done.rows_affected;
            if done.rows_affected < CHUNK {
                return Ok(deleted);
            }
        }
    }

    /// Deletes the uses of connect links that are over at `now`, and the authorizations that nobody came back from; how many.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn consents(&self, now: Timestamp) -> Result<u64, StoreFault> {
        super::consents::purge(self.db.writer(), now).await
    }

    /// Deletes the proposed changes of workflows that were over 30 days before `now`, however they were decided; how many.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn proposals(&self, now: Timestamp) -> Result<u64, StoreFault> {
        let done = unscoped("what is over is nobody's any more")
            .delete::<workflow_proposal::Entity>()
            .filter(workflow_proposal::Column::ExpiresAt.lte(now.before(PROPOSALS_SHOWN).as_micros()))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(done.rows_affected)
    }

    /// Deletes the invitations that were over 30 days before `now`; how many.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn invitations(&self, now: Timestamp) -> Result<u64, StoreFault> {
        let shown = i64::try_from(INVITATIONS_SHOWN.as_micros()).unwrap_or(i64::MAX);
        let done = unscoped("what is over is nobody's any more")
            .delete::<invitation::Entity>()
            .filter(invitation::Column::ExpiresAt.lte(now.as_micros() - shown))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(done.rows_affected)
    }
}
