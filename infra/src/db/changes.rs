//! The numbered changes of what nodes remember. PostgreSQL alone has them: SQLite's file belongs to one process.
//!
//! A change gets its number in its own transaction, as the last thing before the commit, from a row that stays locked until
//! then. So numbers are in the order of commits and have no gaps, and whoever has read one has read all before it.

use domain::store::StoreFault;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use crate::cache::{Change, change_text};

/// Where nodes are told that there are changes. The payload is the number of the newest.
pub const CHANGED: &str = "keyrack_changed";

/// Writes changes under the next number, and tells the nodes once the transaction is committed.
///
/// Call it last of all: every other change waits for the counter's row from now on.
///
/// # Errors
/// [`StoreFault`]; the transaction is then good for nothing and must be given up.
pub(super) async fn announce(transaction: &DatabaseTransaction, changes: &[Change]) -> Result<i64, StoreFault> {
    const SQL: &str = "WITH counted AS (UPDATE cache_change_counter SET number = number + 1 RETURNING number), \
         written AS (INSERT INTO cache_changes (number, mark, changes, at) \
         SELECT number, $1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM counted RETURNING number) \
         SELECT number, pg_notify($3, number::text) FROM written";
    let text = change_text::write(changes).map_err(|error| StoreFault::Broken(Box::new(error)))?;
    let values = [Uuid::new_v4().into(), text.into(), CHANGED.into()];
    let asked = Statement::from_sql_and_values(DbBackend::Postgres, SQL, values);
    let row = transaction.query_one_raw(asked).await.map_err(store_fault)?;
    let row = row.ok_or_else(|| StoreFault::Corrupt("the counter of changes is not there".to_owned()))?;
    row.try_get_by_index(0).map_err(store_fault)
}
