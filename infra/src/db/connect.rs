//! Opening the database: SQLite in WAL mode, one process per file, or a PostgreSQL pool.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::store::StoreFault;
use migration::{Migrator, MigratorTrait, Standing};
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{AccessMode, ConnectOptions, DbErr, IsolationLevel};
use sqlx::Connection;
use tracing::log::LevelFilter;

use super::advisory::{Held, Lock};
use super::fault::store_fault;
use super::kept::{Outdated, keeping};
use super::patience::{DatabaseConnection, DatabaseTransaction, Patience, Patient};
use super::session::{LOCKS_AWAITED, Purpose, for_purpose};
use crate::cluster::Lease;

/// Connections that read from an SQLite file. Readers do not block in WAL mode; more than a few only cost memory.
const SQLITE_READERS: u32 = 4;
/// How long a request waits for a connection before it gets 503.
const ACQUIRE_TIMEOUT: Duration = LOCKS_AWAITED;
/// How long any statement is waited for on PostgreSQL, unless the operator says otherwise.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a decision waits for the database when the node has no lease.
const WITHOUT_LEASE: Duration = Duration::from_secs(1);

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file of this process alone.
    Sqlite,
    /// A server.
    Postgres,
}

/// A database's address, known to be one that Keyrack can use. Its text can hold a password: it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

/// The text is no database address that Keyrack can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
pub struct InvalidDatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        if let Some(path) = text.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(path.into()));
        }
        let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let has_host = url::Url::parse(text).is_ok_and(|url| url.host().is_some() || url.query().is_some());
        if postgres && has_host { Ok(Self::Postgres(text.to_owned())) } else { Err(InvalidDatabaseUrl) }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(out, "sqlite://{}", path.display()),
            Self::Postgres(_) => out.write_str("postgres://…"),
        }
    }
}

impl DatabaseUrl {
    /// Which kind it leads to.
    #[must_use]
    pub const fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite(_) => DatabaseKind::Sqlite,
            Self::Postgres(_) => DatabaseKind::Postgres,
        }
    }
}

/// Why the database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFault {
    /// Another process has the SQLite file.
    #[error("{} is in use by another keyrack process; stop it first, or give this one a data directory of its own", .0.display())]
    InUse(PathBuf),
    /// A node of a version that serves alone serves from the database.
    #[error("an older keyrack that must serve alone serves from this database; stop it first")]
    Served,
    /// The file or its directory cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The database refused.
    #[error("cannot open the database")]
    Database(#[from] DbErr),
}

/// An open database.
#[derive(Clone)]
pub struct Database {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    kind: DatabaseKind,
    lease: Arc<Lease>,
    outdated: Arc<Outdated>,
    // Held for as long as the database is open; closing the file releases the lock.
    _lock: Option<Arc<File>>,
}

impl Database {
    /// Opens a database; creates the SQLite file when it is not there. Does not migrate.
    ///
    /// # Errors
    /// [`ConnectFault`]
    pub async fn open(url: &DatabaseUrl, max_connections: u32) -> Result<Self, ConnectFault> {
        match url {
            DatabaseUrl::Sqlite(path) => Self::open_sqlite(path).await,
            DatabaseUrl::Postgres(url) => {
                // One more than one: a lock holds a connection of its own.
                let mut options = options(url.clone(), max_connections.max(2));
                options.min_connections(1);
                options.map_sqlx_postgres_opts(|postgres| for_purpose(postgres, Purpose::Requests));
                let outdated = Arc::<Outdated>::default();
                let noted = Arc::clone(&outdated);
                options.map_sqlx_postgres_pool_opts(move |pool| keeping(pool, &noted));
                let patience = Patience { limit: STATEMENT_TIMEOUT, outdated: Arc::clone(&outdated) };
                let pool = Patient::new(sea_orm::Database::connect(options).await?, Some(patience));
                let lease = Arc::new(Lease::always());
                Ok(Self {
                    reader: pool.clone(),
                    writer: pool,
                    kind: DatabaseKind::Postgres,
                    lease,
                    outdated,
                    _lock: None,
                })
            }
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Self, ConnectFault> {
        let lock = lock(path)?;
        let url = format!("sqlite://{}?mode=rwc", path.display());
        // One connection writes, so that writers queue here and not on the file's lock; the others read.
        let writer = Patient::new(sea_orm::Database::connect(sqlite_options(url.clone(), 1)).await?, None);
        let reader = Patient::new(sea_orm::Database::connect(sqlite_options(url, SQLITE_READERS)).await?, None);
        let lease = Arc::new(Lease::always());
        let outdated = Arc::default();
        Ok(Self { reader, writer, kind: DatabaseKind::Sqlite, lease, outdated, _lock: Some(Arc::new(lock)) })
    }

    /// Runs the migrations that are still to be run; how many were. One node at a time does. Those of a newer version only
    /// add, so that this one serves beside them.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn migrate(&self) -> Result<usize, StoreFault> {
        let _lock = self.wait_for(Lock::Migrations).await.map_err(store_fault)?;
        let Standing { pending, newer } = self.standing().await?;
        if !newer.is_empty() {
            tracing::info!(newer = newer.join(", "), "the database was migrated by a newer version; this one goes on");
        }
        if pending > 0 {
            Migrator::up(self.writer.inner(), None).await.map_err(store_fault)?;
        }
        Ok(pending)
    }

    /// Says that this process serves from the database, beside others like it, until the claim is dropped.
    ///
    /// # Errors
    /// [`ConnectFault::Served`] when a process serves that does not know of others.
    pub async fn claim(&self) -> Result<Held, ConnectFault> {
        self.try_share(Lock::Serving).await?.ok_or(ConnectFault::Served)
    }

    /// Which migrations are still to be run, and which a newer version has run. Only looks.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn standing(&self) -> Result<Standing, StoreFault> {
        Standing::of(self.reader.inner()).await.map_err(store_fault)
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn ping(&self) -> Result<(), StoreFault> {
        self.in_time(async { self.reader.inner().ping().await.map_err(store_fault) }).await
    }

    /// Which of its connections are to be replaced, for whoever meets another server than they lead to.
    #[must_use]
    pub const fn outdated(&self) -> &Arc<Outdated> {
        &self.outdated
    }

    /// The same database, whose node has this lease.
    #[must_use]
    pub fn with_lease(self, lease: Arc<Lease>) -> Self {
        Self { lease, ..self }
    }

    /// Whether this node is one of those that serve from the database, as far as it knows.
    pub(super) fn is_among_its_nodes(&self) -> bool {
        self.lease.holds()
    }

    /// The same database, whose statements are waited for so long where they are waited for at all.
    #[must_use]
    pub fn with_statement_timeout(self, timeout: Duration) -> Self {
        Self { reader: self.reader.with_limit(timeout), writer: self.writer.with_limit(timeout), ..self }
    }

    /// What a decision waits for: a connection to a database on another machine can hang, and whoever waits for its
    /// answer gets 503 instead. Sooner when the node has no lease, since it asks each time then.
    pub(super) async fn in_time<T>(&self, read: impl Future<Output = Result<T, StoreFault>>) -> Result<T, StoreFault> {
        if self.kind == DatabaseKind::Sqlite {
            return read.await;
        }
        if self.lease.is_refused() {
            return Err(StoreFault::Unavailable("other nodes serve that know other root secrets than this one".into()));
        }
        let patience = if self.lease.holds() { ACQUIRE_TIMEOUT } else { WITHOUT_LEASE };
        tokio::time::timeout(patience, read).await.unwrap_or_else(|late| Err(StoreFault::Unavailable(Box::new(late))))
    }

    /// Waits for what is under way, then closes.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn close(self) -> Result<(), StoreFault> {
        self.reader.into_inner().close().await.map_err(store_fault)?;
        match self.kind {
            DatabaseKind::Sqlite => self.writer.into_inner().close().await.map_err(store_fault),
            DatabaseKind::Postgres => Ok(()), // the same pool
        }
    }

    /// A transaction that reads, and sees the store as it was at its first statement.
    pub(super) async fn snapshot(&self) -> Result<DatabaseTransaction, StoreFault> {
        // SQLite's readers see nothing else.
        let (isolation, access) = match self.kind {
            DatabaseKind::Sqlite => (None, None),
            DatabaseKind::Postgres => (Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)),
        };
        self.reader.begin_with_config(isolation, access).await.map_err(store_fault)
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> DatabaseKind {
        self.kind
    }

    pub(super) const fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    pub(super) const fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }
}

fn options(url: String, max_connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging_level(LevelFilter::Trace)
        .sqlx_slow_statements_logging_settings(LevelFilter::Warn, Duration::from_secs(1));
    options
}

fn sqlite_options(url: String, max_connections: u32) -> ConnectOptions {
    let mut options = options(url, max_connections);
    options.map_sqlx_sqlite_opts(|sqlite| {
        // FULL: a revocation that was answered survives a power cut.
        sqlite
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT)
    });
    options.map_sqlx_sqlite_pool_opts(|pool| pool.after_release(|connection, _| Box::pin(is_outside(connection))));
    options
}

/// Whether a connection that comes back is outside every transaction; else the pool closes it.
///
/// SQLite ends a transaction by itself when the disk is full or fails. sqlx does not hear of it: its own rollback finds
/// none, and it goes on counting one. From then on it would write savepoints, and after the next rollback of one commit
/// nothing any more.
async fn is_outside(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback may still be under way; the connection answers a ping after it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn lock(database: &Path) -> Result<File, ConnectFault> {
    let path = database.with_extension("lock");
    let fault = |cause| ConnectFault::File { path: path.clone(), cause };
    if let Some(directory) = database.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(fault)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ConnectFault::InUse(database.to_owned())),
        Err(TryLockError::Error(cause)) => Err(fault(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls_are_checked_and_never_show_a_password() {
        assert_eq!("sqlite:///var/lib/x.db".parse(), Ok(DatabaseUrl::Sqlite("/var/lib/x.db".into())));
        let postgres: DatabaseUrl = "postgres://u:hunter2@db/keyrack".parse().expect("valid");
        assert!(!format!("{postgres:?}").contains("hunter2"));
        for bad in ["", "sqlite://", "mysql://db/x", "postgres", "/var/x.db"] {
            assert_eq!(bad.parse::<DatabaseUrl>(), Err(InvalidDatabaseUrl), "{bad}");
        }
    }
}
