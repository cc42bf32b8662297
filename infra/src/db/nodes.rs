//! The nodes that serve from a PostgreSQL database, one row each, and the changes that they read: a node's own way to the
//! database, one connection that requests do not share. A lease must not wait behind them for another.
//!
//! The connection is no part of a pool. When a statement fails or hangs, it is dropped, and the next statement has a new
//! one: what still hangs in the old one may come through late, and every statement here bears that.

use std::time::Duration;

use domain::store::StoreFault;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgRow};
use sqlx::query::Query;
use sqlx::{Connection, PgConnection, Postgres, Row};
use uuid::Uuid;

use super::changes::CHANGED;
use super::connect::DatabaseUrl;
use super::fault::store_fault;
use crate::cluster::roll::NodeRow;

/// Where nodes tell how far they are. The payload is `ID NUMBER`, or `ID gone`.
pub const CONFIRMED: &str = "keyrack_confirmed";

/// Changes that were committed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Their number; the first is 1.
    pub number: i64,
    /// Tells them from others of the same number, after the database lost some.
    pub mark: Uuid,
    /// What they are, in the form of `cache::change_text`.
    pub changes: String,
}

/// A node's way to the others.
pub struct SqlNodes {
    options: PgConnectOptions,
    patience: Duration,
    connection: Option<PgConnection>,
}

impl SqlNodes {
    /// To this database, with statements that may take so long. None for SQLite, whose file belongs to one process.
    /// Connects when it is first asked something.
    ///
    /// # Errors
    /// [`StoreFault::Unavailable`] for an address that cannot be read.
    pub fn at(url: &DatabaseUrl, patience: Duration) -> Result<Option<Self>, StoreFault> {
        let DatabaseUrl::Postgres(url) = url else { return Ok(None) };
        let options = url.parse().map_err(|error: sqlx::Error| StoreFault::Unavailable(Box::new(error)))?;
        Ok(Some(Self { options, patience, connection: None }))
    }

    async fn ask(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreFault> {
        let (slot, options) = (&mut self.connection, &self.options);
        let asked = async {
            let connection = match slot {
                Some(connection) => connection,
                none => none.insert(PgConnection::connect_with(options).await?),
            };
            query.fetch_all(connection).await
        };
        let fault = match tokio::time::timeout(self.patience, asked).await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => unavailable(error),
            Err(late) => StoreFault::Unavailable(Box::new(late)),
        };
        self.connection = None;
        Err(fault)
    }

    /// Adds a node. From when this returns changes wait for it.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn join(&mut self, id: Uuid, name: &str) -> Result<(), StoreFault> {
        const SQL: &str = "INSERT INTO nodes (id, name, confirmed, renewals, joined_at) \
             VALUES ($1, $2, 0, 0, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)";
        self.ask(sqlx::query(SQL).bind(id).bind(name)).await.map(drop)
    }

    /// Renews a node's lease, says that it has applied every change up to `confirmed`, and with `tell` tells the others so.
    /// False when the node has no lease to renew: others saw it stand still and took its row away.
    ///
    /// # Errors
    /// [`StoreFault`]; nobody knows then whether it took place.
    pub async fn renew(&mut self, id: Uuid, confirmed: i64, tell: bool) -> Result<bool, StoreFault> {
        // An earlier one may come through late: it takes nothing back.
        const SQL: &str = "WITH renewed AS (UPDATE nodes SET renewals = renewals + 1, \
             confirmed = greatest(confirmed, $2) WHERE id = $1 RETURNING id, confirmed) \
             SELECT CASE WHEN $4 THEN pg_notify($3, id::text || ' ' || confirmed::text)::text END FROM renewed";
        let rows = self.ask(sqlx::query(SQL).bind(id).bind(confirmed).bind(CONFIRMED).bind(tell)).await?;
        Ok(!rows.is_empty())
    }

    /// All nodes that have a lease.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn all(&mut self) -> Result<Vec<NodeRow>, StoreFault> {
        let rows = self.ask(sqlx::query("SELECT id, name, confirmed, renewals FROM nodes")).await?;
        let node = |row: &PgRow| {
            Ok(NodeRow {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                confirmed: row.try_get(2)?,
                renewals: row.try_get(3)?,
            })
        };
        rows.iter().map(node).collect::<Result<_, sqlx::Error>>().map_err(unavailable)
    }

    /// Takes a node's lease away, unless it has renewed it since. When this returns true no renewal can come through any
    /// more.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn end(&mut self, id: Uuid, renewals: i64) -> Result<bool, StoreFault> {
        const SQL: &str = "WITH ended AS (DELETE FROM nodes WHERE id = $1 AND renewals = $2 RETURNING id) \
             SELECT pg_notify($3, id::text || ' gone')::text FROM ended";
        Ok(!self.ask(sqlx::query(SQL).bind(id).bind(renewals).bind(CONFIRMED)).await?.is_empty())
    }

    /// Gives up a node's own lease. It must not trust what it remembers any more.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn leave(&mut self, id: Uuid) -> Result<(), StoreFault> {
        const SQL: &str = "WITH ended AS (DELETE FROM nodes WHERE id = $1 RETURNING id) \
             SELECT pg_notify($2, id::text || ' gone')::text FROM ended";
        self.ask(sqlx::query(SQL).bind(id).bind(CONFIRMED)).await.map(drop)
    }

    /// The changes from `number` on, in their order, at most `limit` of them.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn changes_since(&mut self, number: i64, limit: i64) -> Result<Vec<Numbered>, StoreFault> {
        const SQL: &str = "SELECT number, mark, changes FROM cache_changes WHERE number >= $1 ORDER BY number LIMIT $2";
        numbered(&self.ask(sqlx::query(SQL).bind(number).bind(limit)).await?)
    }

    /// The newest change.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn newest_change(&mut self) -> Result<Option<Numbered>, StoreFault> {
        const SQL: &str = "SELECT number, mark, changes FROM cache_changes ORDER BY number DESC LIMIT 1";
        Ok(numbered(&self.ask(sqlx::query(SQL)).await?)?.pop())
    }

    /// Deletes changes that are older than an hour, except the newest: no node with a lease is that far behind, and one that
    /// does not find its own place forgets everything.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn purge(&mut self) -> Result<(), StoreFault> {
        const SQL: &str = "DELETE FROM cache_changes WHERE number < (SELECT max(number) FROM cache_changes) \
             AND at < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 3600000000";
        self.ask(sqlx::query(SQL)).await.map(drop)
    }
}

/// Listens to what nodes tell, on a connection of its own.
///
/// # Errors
/// Whatever keeps it from listening.
pub async fn listen(url: &DatabaseUrl) -> Result<PgListener, sqlx::Error> {
    let DatabaseUrl::Postgres(url) = url else { return Err(sqlx::Error::PoolClosed) };
    let mut listener = PgListener::connect(url).await?;
    listener.listen_all([CHANGED, CONFIRMED]).await?;
    Ok(listener)
}

fn unavailable(error: sqlx::Error) -> StoreFault {
    store_fault(sea_orm::DbErr::Query(sea_orm::RuntimeErr::SqlxError(std::sync::Arc::new(error))))
}

fn numbered(rows: &[PgRow]) -> Result<Vec<Numbered>, StoreFault> {
    let one = |row: &PgRow| Ok(Numbered { number: row.try_get(0)?, mark: row.try_get(1)?, changes: row.try_get(2)? });
    rows.iter().map(one).collect::<Result<_, sqlx::Error>>().map_err(unavailable)
}
