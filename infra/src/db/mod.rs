//! The store: sea-orm on SQLite or PostgreSQL.

mod accounts;
mod advisory;
mod audit;
mod commit;
mod connect;
mod entity;
mod fault;
mod idempotency;
mod installation;
mod key_directory;
mod key_rows;
mod key_tenants;
mod keys;
mod last_used;
mod scoped;
mod servers;
mod tenant_registry;
mod tenants;
mod usage;

pub use accounts::SqlAccounts;
pub use advisory::Held;
pub use audit::{AuditRow, SqlAuditRows};
pub use connect::{ConnectFault, Database, DatabaseKind, DatabaseUrl, InvalidDatabaseUrl};
pub use fault::store_fault;
pub use idempotency::SqlIdempotency;
pub use key_directory::SqlKeyDirectory;
pub use keys::SqlKeyStore;
pub use last_used::SqlLastUsed;
pub use servers::SqlServers;
pub use tenants::SqlTenants;
pub use usage::SqlUsage;

/// Rows per statement when a list is written; keeps within the databases' limits on parameters.
const CHUNK: usize = 1000;
