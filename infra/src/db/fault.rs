//! The one map from the database's errors to faults. An outage must come out as `Unavailable`, so that no caller ever
//! takes it for a refusal.

use domain::store::{StoreFault, WriteFault};
use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// What a database error means to the domain.
#[must_use]
pub fn store_fault(error: DbErr) -> StoreFault {
    match &error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => StoreFault::Unavailable(Box::new(error)),
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) if is_outage(cause) => {
            StoreFault::Unavailable(Box::new(error))
        }
        DbErr::Type(text) | DbErr::Json(text) => StoreFault::Corrupt(text.clone()),
        DbErr::TryIntoErr { from, into, .. } => StoreFault::Corrupt(format!("{from} is no {into}")),
        _ => StoreFault::Broken(Box::new(error)),
    }
}

/// Like [`store_fault`], but a broken unique index is the caller's doing: `what` is taken.
pub fn write_fault(error: DbErr, what: &'static str) -> WriteFault {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => WriteFault::Taken { what },
        _ => WriteFault::Store(store_fault(error)),
    }
}

fn is_outage(error: &sqlx::Error) -> bool {
    use sqlx::Error;
    match error {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => true,
        // SQLite: busy 5, locked 6, read-only 8, i/o 10, full 13, cannot open 14. PostgreSQL: classes 08 (connection),
        // 53 (resources), 57 (shut down, cancelled), 58 (system), 25006 (read-only), 25P03 (said nothing for too long
        // within a transaction: a node that stood still), 55P03 (waited for a lock), 40001 and 40P01 (lost against
        // another transaction).
        Error::Database(cause) => cause.code().is_some_and(|code| match code.parse::<u32>() {
            Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14),
            _ => {
                ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                    || ["25006", "25P03", "40001", "40P01", "55P03"].contains(&&*code)
            }
        }),
        _ => false,
    }
}
