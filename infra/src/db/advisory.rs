//! Locks of a PostgreSQL database that nodes share. SQLite needs none: its file belongs to one process.

use std::time::Duration;

use sea_orm::sea_query::{Func, Query};
use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};

use super::patience::{DatabaseTransaction, Patient};
use super::{Database, DatabaseKind};

/// The numbers may be any, as long as they stay: other versions of the program ask for the same.
#[derive(Debug, Clone, Copy)]
pub enum Lock {
    /// Held while migrations run.
    Migrations,
    /// Held by all nodes that serve, together. The versions that served alone held it for themselves, so that none of them
    /// ever serves beside these: they would not hear of changes.
    Serving,
}

impl Lock {
    const fn number(self) -> i64 {
        match self {
            Self::Migrations => 0x6b65_7972_0001,
            Self::Serving => 0x6b65_7972_0002,
        }
    }
}

/// A lock, held until it is dropped or the database ends the connection.
pub struct Held {
    _transaction: Option<DatabaseTransaction>,
}

impl Database {
    /// Waits for a lock and takes it.
    pub(super) async fn wait_for(&self, lock: Lock) -> Result<Held, DbErr> {
        if self.kind() == DatabaseKind::Sqlite {
            return Ok(Held { _transaction: None });
        }
        let transaction = self.held_for_long().await?;
        // The node that has it may need longer than any request may wait.
        transaction.set_timeout("lock_timeout", Duration::ZERO).await?;
        let ask = Query::select().expr(Func::cust("pg_advisory_xact_lock").arg(lock.number())).to_owned();
        transaction.execute(&ask).await?;
        Ok(Held { _transaction: Some(transaction) })
    }

    /// Takes a lock beside others who take it so, unless somebody has it alone.
    pub(super) async fn try_share(&self, lock: Lock) -> Result<Option<Held>, DbErr> {
        if self.kind() == DatabaseKind::Sqlite {
            return Ok(Some(Held { _transaction: None }));
        }
        let transaction = self.held_for_long().await?;
        let ask = Query::select().expr(Func::cust("pg_try_advisory_xact_lock_shared").arg(lock.number())).to_owned();
        let row = transaction.query_one(&ask).await?;
        let taken = row.map(|row| row.try_get_by_index::<bool>(0)).transpose()?.unwrap_or(false);
        Ok(taken.then_some(Held { _transaction: Some(transaction) }))
    }

    /// A transaction in which nothing happens for long, and which the database must not end for that.
    async fn held_for_long(&self) -> Result<DatabaseTransaction, DbErr> {
        // Without patience: whoever has a migration's lock may need longer than any statement.
        let transaction = Patient::new(self.writer().inner().begin().await?, None);
        transaction.set_timeout("idle_in_transaction_session_timeout", Duration::ZERO).await?;
        Ok(transaction)
    }
}
