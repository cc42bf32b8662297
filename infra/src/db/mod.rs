//! The store: sea-orm on SQLite or PostgreSQL.

mod access;
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
mod groups;
mod idempotency;
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
mod policies;
mod root_rotation;
mod scoped;
mod servers;
mod tenant_registry;
mod tenants;
mod usage;

pub use access::SqlAccess;
pub use accounts::SqlAccounts;
pub use advisory::Held;
pub use audit::SqlAuditRows;
pub use audit_checkpoints::SqlCheckpoints;
pub use audit_read::SqlAuditReader;
pub use audit_verify::AuditCheck;
pub use connect::{ConnectFault, Database, DatabaseKind, DatabaseUrl, InvalidDatabaseUrl};
pub use fault::store_fault;
pub use groups::SqlGroups;
pub use idempotency::SqlIdempotency;
pub use key_directory::SqlKeyDirectory;
pub use keys::SqlKeyStore;
pub use last_used::SqlLastUsed;
pub use policies::SqlPolicies;
pub use servers::SqlServers;
pub use tenants::SqlTenants;
pub use usage::SqlUsage;

/// Rows per statement when a list is written; keeps within the databases' limits on parameters.
const CHUNK: usize = 1000;
