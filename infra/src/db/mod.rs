//! The store: sea-orm on SQLite or PostgreSQL.

mod accounts;
mod advisory;
mod audit;
mod commit;
mod connect;
mod entity;
mod explain;
mod fault;
mod installation;
mod key_bulk;
mod key_changes;
mod key_directory;
mod key_instance;
mod key_pages;
mod key_rows;
mod key_tenants;
mod key_tokens;
mod keys;
mod last_used;
mod root_rotation;
mod scoped;
mod servers;
mod tenants;

pub use accounts::SqlAccounts;
pub use advisory::Held;
pub use audit::{AuditRow, SqlAuditRows};
pub use connect::{ConnectFault, Database, DatabaseKind, DatabaseUrl, InvalidDatabaseUrl};
pub use fault::store_fault;
pub use key_directory::SqlKeyDirectory;
pub use keys::SqlKeyStore;
pub use last_used::SqlLastUsed;
pub use servers::SqlServers;
pub use tenants::SqlTenants;

/// Rows per statement when a list is written; keeps within the databases' limits on parameters.
const CHUNK: usize = 1000;
