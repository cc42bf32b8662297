//! How far the decisions of each process are in the log, noted in the transactions that write them: whoever tries again
//! after a commit of which nobody knows whether it took place, and whoever reads the journal of a process that was killed,
//! knows what is there already.

use domain::store::StoreFault;
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbBackend, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::SqlAuditRows;
use super::entity::audit_journal::{ActiveModel, Column, Entity};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::scoped::unscoped;

const REASON: &str = "journals are of processes, whose decisions are of every organization";

/// A decision's place in a journal: those of one are numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalMark {
    /// The journal.
    pub journal: Uuid,
    /// The number.
    pub number: i64,
}

/// Moves the mark of its journal forward.
///
/// Returns false when it is there already: then what it stands for is written.
///
/// # Errors
/// [`StoreFault`]
pub(super) async fn advance(transaction: &DatabaseTransaction, mark: JournalMark) -> Result<bool, StoreFault> {
    let moved = unscoped(REASON)
        .update::<Entity>()
        .col_expr(Column::Written, mark.number.into())
        .filter(Column::Id.eq(mark.journal))
        .filter(Column::Written.lt(mark.number))
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    if moved.rows_affected == 1 {
        return Ok(true);
    }
    // It is there already; or there is no row, since nothing is kept in files, or since somebody took it away: a decision too
    // many is better than one too few.
    let row = ActiveModel { id: ActiveValue::Set(mark.journal), written: ActiveValue::Set(mark.number) };
    let new = unscoped(REASON)
        .insert(row)
        .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    Ok(new == 1)
}

impl SqlAuditRows {
    /// Notes a new journal, none of whose decisions is written.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn open_journal(&self, journal: Uuid) -> Result<(), StoreFault> {
        let row = ActiveModel { id: ActiveValue::Set(journal), written: ActiveValue::Set(0) };
        unscoped(REASON).insert(row).exec_without_returning(self.db.writer()).await.map_err(store_fault)?;
        Ok(())
    }

    /// The number of a journal's newest decision that is written; none for a journal of another database.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn written_up_to(&self, journal: Uuid) -> Result<Option<i64>, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let mut row = unscoped(REASON).find::<Entity>().filter(Column::Id.eq(journal));
        if transaction.get_database_backend() == DbBackend::Postgres {
            // Its process may be gone while its last commit is not over.
            row = row.lock(LockType::Update);
        }
        let row = row.one(&transaction).await.map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(row.map(|row| row.written))
    }

    /// Forgets a journal that is no more.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn close_journal(&self, journal: Uuid) -> Result<(), StoreFault> {
        let row = unscoped(REASON).delete::<Entity>().filter(Column::Id.eq(journal));
        row.exec(self.db.writer()).await.map_err(store_fault)?;
        Ok(())
    }
}
