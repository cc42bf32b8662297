//! Which connections a node renews just now: with rotating refresh tokens a second renewal at once would end the grant.
//! PostgreSQL alone has these claims; where one process has the database, its calls meet in memory.

use std::time::Duration;

use domain::id::ConnectionId;
use domain::store::StoreFault;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::fault::store_fault;
use super::{DatabaseKind, SqlConnections};

/// How long a claim lasts if nobody gives it up: longer than a renewal takes, with every try to keep what came of it.
pub const CLAIMED: Duration = Duration::from_mins(1);

/// The right to renew a connection.
#[derive(Debug)]
pub struct RenewalClaim {
    of: ConnectionId,
    // By the database's clock; tells it from the claim of whoever comes when it is over.
    until: i64,
}

impl SqlConnections {
    /// Claims the renewal of a connection; none while another node has it.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn begin_renewal(&self, of: ConnectionId) -> Result<Option<RenewalClaim>, StoreFault> {
        const SQL: &str = "INSERT INTO renewal_claims (connection_id, until) \
             VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2) \
             ON CONFLICT (connection_id) DO UPDATE SET until = excluded.until \
             WHERE renewal_claims.until < excluded.until - $2 RETURNING until";
        if self.db.kind() == DatabaseKind::Sqlite {
            return Ok(Some(RenewalClaim { of, until: 0 }));
        }
        let lasts = i64::try_from(CLAIMED.as_micros()).unwrap_or(i64::MAX);
        let row = self.db.writer().query_one_raw(statement(SQL, [of.as_uuid().into(), lasts.into()])).await;
        let until = row.map_err(store_fault)?.map(|row| row.try_get_by_index(0)).transpose().map_err(store_fault)?;
        Ok(until.map(|until| RenewalClaim { of, until }))
    }

    /// Gives a claim up.
    ///
    /// # Errors
    /// [`StoreFault`]; then it ends with its time.
    pub async fn end_renewal(&self, claim: RenewalClaim) -> Result<(), StoreFault> {
        const SQL: &str = "DELETE FROM renewal_claims WHERE connection_id = $1 AND until = $2";
        if self.db.kind() == DatabaseKind::Sqlite {
            return Ok(());
        }
        let values = [claim.of.as_uuid().into(), claim.until.into()];
        self.db.writer().execute_raw(statement(SQL, values)).await.map(drop).map_err(store_fault)
    }
}

fn statement(sql: &'static str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}
