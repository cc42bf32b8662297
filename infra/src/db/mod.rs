//! The store: sea-orm on SQLite or PostgreSQL.

mod accounts;
mod advisory;
mod audit;
mod audit_checkpoints;
mod audit_read;
mod audit_verify;
mod commit;
mod connect;
mod entity;
mod fault;
mod installation;
mod key_directory;
mod key_rows;
mod keys;
mod last_used;
mod scoped;
mod servers;
mod tenants;

pub use accounts::SqlAccounts;
pub use advisory::Held;
pub use audit::SqlAuditRows;
pub use audit_checkpoints::SqlCheckpoints;
pub use audit_read::SqlAuditReader;
pub use audit_verify::AuditCheck;
pub use connect::{ConnectFault, Database, DatabaseKind, DatabaseUrl, InvalidDatabaseUrl};
pub use fault::store_fault;
pub use key_directory::SqlKeyDirectory;
pub use keys::SqlKeyStore;
pub use last_used::SqlLastUsed;
pub use servers::SqlServers;
pub use tenants::SqlTenants;
