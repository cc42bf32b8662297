//! The nodes that serve from a PostgreSQL database, one row each, and the changes that they read: a node's own way to the
//! database, one connection that requests do not share. A lease must not wait behind them for another.
//!
//! The connection is no part of a pool. When a statement fails or hangs, it is dropped, and the next statement has a new
//! one: what still hangs in the old one may come through late, and every statement here bears that.

use std::sync::Arc;
use std::time::Duration;

use domain::root::RootPrints;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{Connection, PgConnection, Postgres, Row};
use uuid::Uuid;

use super::changes::CHANGED;
use super::connect::DatabaseUrl;
use super::fault::store_fault;
use super::installation::{ROOT_FINGERPRINT, ROOT_UNSETTLED, unsettled_value};
use super::kept::Outdated;
use super::session::{Purpose, for_purpose};
use crate::cluster::roll::NodeRow;
use crate::cluster::{Known, Unfit};

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

/// What a node tells of itself, for a person. What is missing, a node of an earlier version does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNode {
    /// What its operator calls it.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// When it renewed its lease, by the database's clock.
    pub renewed_at: Option<Timestamp>,
    /// How far its clock was before the database's then, in microseconds.
    pub clock_ahead: Option<i64>,
    /// The root secrets that it knows.
    pub prints: Option<RootPrints>,
}

/// A node's way to the others.
pub struct SqlNodes {
    options: PgConnectOptions,
    patience: Duration,
    connection: Option<PgConnection>,
    // Which start of which server the last connection led to.
    server: Option<String>,
    outdated: Arc<Outdated>,
    made: Box<dyn Fn(Server) + Send>,
}

/// Where a connection leads that was made just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// To the server of the one before, or it is the first.
    Same,
    /// To another one, or to one that was started anew.
    Another,
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
        let options = for_purpose(options, Purpose::Nodes);
        let (outdated, made) = (Arc::default(), Box::new(|_| ()));
        Ok(Some(Self { options, patience, connection: None, server: None, outdated, made }))
    }

    /// The same for a node whose other connections are these, and which is told of each connection that is made, before a
    /// single statement of the node's goes through it.
    #[must_use]
    pub fn telling(self, outdated: Arc<Outdated>, made: impl Fn(Server) + Send + 'static) -> Self {
        Self { outdated, made: Box::new(made), ..self }
    }

    /// The connection, made anew if there is none.
    async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        // Behind one address there can be another machine, or the same with what it had at another time.
        const SERVER: &str =
            "SELECT concat_ws(' ', inet_server_addr(), inet_server_port(), pg_postmaster_start_time())";
        if let Some(connection) = self.connection.take() {
            return Ok(self.connection.insert(connection));
        }
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let server: String = sqlx::raw_sql(SERVER).fetch_one(&mut connection).await?.try_get(0)?;
        let before = self.server.replace(server);
        let same = before.is_none() || before == self.server;
        (self.made)(if same { Server::Same } else { Server::Another });
        Ok(self.connection.insert(connection))
    }

    /// What became of a statement, which is waited for so long. A connection that it failed on is not used again.
    async fn settled<T>(
        &mut self,
        within: Duration,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreFault> {
        let asked = async { ask(self.connection().await?).await };
        let fault = match tokio::time::timeout(within, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                self.outdated.note_cause(&error);
                unavailable(error)
            }
            Err(late) => StoreFault::Unavailable(Box::new(late)),
        };
        self.connection = None;
        Err(fault)
    }

    async fn ask(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreFault> {
        self.settled(self.patience, async |connection| query.fetch_all(connection).await).await
    }

    /// Adds a node, unless it does not fit to those that are there. From when this returns changes wait for the node.
    ///
    /// A node whose root secret is to be replaced notes that, since what it makes has to be moved one day (`root_settling`).
    /// It does so before it makes anything, and anew each time: whoever moves things knows whether more can have come.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn join(&mut self, id: Uuid, known: &Known) -> Result<Result<(), Unfit>, StoreFault> {
        // Several statements, by a node that nobody waits for yet.
        self.settled(self.patience * 5, async |connection| join(connection, id, known).await).await
    }

    /// Renews a node's lease, says that it has applied every change up to `confirmed`, and with `tell` tells the others so.
    /// False when the node has no lease to renew: others saw it stand still and took its row away.
    ///
    /// # Errors
    /// [`StoreFault`]; nobody knows then whether it took place.
    pub async fn renew(&mut self, id: Uuid, confirmed: i64, tell: bool) -> Result<bool, StoreFault> {
        // An earlier one may come through late: it takes nothing back.
        const SQL: &str = "WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now), \
             renewed AS (UPDATE nodes SET renewals = renewals + 1, confirmed = greatest(confirmed, $2), \
             renewed_at = clock.now, clock_ahead = $5 - clock.now FROM clock WHERE id = $1 RETURNING id, confirmed) \
             SELECT CASE WHEN $4 THEN pg_notify($3, id::text || ' ' || confirmed::text)::text END FROM renewed";
        let now = SystemClock.now().as_micros();
        let rows = self.ask(sqlx::query(SQL).bind(id).bind(confirmed).bind(CONFIRMED).bind(tell).bind(now)).await?;
        Ok(!rows.is_empty())
    }

    /// The database's clock, and all that nodes tell of themselves, for a person.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn seen(&mut self) -> Result<(Timestamp, Vec<SeenNode>), StoreFault> {
        const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        const SQL: &str =
            "SELECT name, version, renewed_at, clock_ahead, root, reads FROM nodes ORDER BY name, joined_at";
        let rows = self.ask(sqlx::query(SQL)).await?;
        let clock = self.ask(sqlx::query(CLOCK)).await?;
        let now = clock.first().map(|row| row.try_get(0)).transpose().map_err(unavailable)?.unwrap_or_default();
        let node = |row: &PgRow| {
            let (root, reads): (Option<String>, Option<String>) = (row.try_get(4)?, row.try_get(5)?);
            let prints = root
                .zip(reads)
                .map(|(root, reads)| RootPrints { root, reads: reads.split(' ').map(str::to_owned).collect() });
            Ok(SeenNode {
                name: row.try_get(0)?,
                version: row.try_get(1)?,
                renewed_at: row.try_get::<Option<i64>, _>(2)?.map(Timestamp::from_micros),
                clock_ahead: row.try_get(3)?,
                prints,
            })
        };
        let nodes = rows.iter().map(node).collect::<Result<_, sqlx::Error>>().map_err(unavailable)?;
        Ok((Timestamp::from_micros(now), nodes))
    }

    /// All nodes that have a lease.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn all(&mut self) -> Result<Vec<NodeRow>, StoreFault> {
        let rows = self.ask(sqlx::query("SELECT id, name, confirmed, renewals, root FROM nodes")).await?;
        let node = |row: &PgRow| {
            Ok(NodeRow {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                confirmed: row.try_get(2)?,
                renewals: row.try_get(3)?,
                root: row.try_get(4)?,
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

/// In which order nodes join: one after the other, so that of two that do not fit one sees the other.
const JOINING: i64 = 0x6b65_7972_0003;

async fn join(connection: &mut PgConnection, id: Uuid, known: &Known) -> Result<Result<(), Unfit>, sqlx::Error> {
    const ROWS: &str = "SELECT name, root, reads FROM nodes";
    const SQL: &str = "INSERT INTO nodes (id, name, confirmed, renewals, joined_at, version, root, reads) \
         VALUES ($1, $2, 0, 0, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $3, $4, $5)";
    const NOTE: &str = "INSERT INTO installation (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(JOINING).execute(&mut *transaction).await?;
    let of_database: Option<String> = sqlx::query_scalar("SELECT value FROM installation WHERE name = $1")
        .bind(ROOT_FINGERPRINT)
        .fetch_optional(&mut *transaction)
        .await?;
    if of_database.as_ref().is_some_and(|root| !known.prints.reads.contains(root)) {
        return Ok(Err(Unfit::Database));
    }
    for row in sqlx::query(ROWS).fetch_all(&mut *transaction).await? {
        let root: Option<String> = row.try_get(1)?;
        let reads: Option<String> = row.try_get(2)?;
        // One of the version before says nothing; it knows the database's root secret.
        let Some(root) = root.or_else(|| of_database.clone()) else { continue };
        let reads = reads.unwrap_or_else(|| root.clone()).split(' ').map(str::to_owned).collect();
        if !known.prints.fit(&RootPrints { root, reads }) {
            return Ok(Err(Unfit::Node(row.try_get(0)?)));
        }
    }
    sqlx::query(SQL)
        .bind(id)
        .bind(&known.name)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(&known.prints.root)
        .bind(known.prints.reads.join(" "))
        .execute(&mut *transaction)
        .await?;
    if known.leaving {
        let value = unsettled_value(&known.prints.root);
        sqlx::query(NOTE).bind(ROOT_UNSETTLED).bind(value).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Listens to what nodes tell, on a connection of its own.
///
/// # Errors
/// Whatever keeps it from listening.
pub async fn listen(url: &DatabaseUrl) -> Result<PgListener, sqlx::Error> {
    let DatabaseUrl::Postgres(url) = url else { return Err(sqlx::Error::PoolClosed) };
    // A pool of one: whoever listens has nothing else.
    let options = for_purpose(url.parse()?, Purpose::Nodes);
    let pool =
        PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_with(options).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.ignore_pool_close_event(true);
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
