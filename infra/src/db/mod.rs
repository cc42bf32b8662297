//! The store: sea-orm on SQLite or PostgreSQL.

mod accounts;
mod advisory;
mod audit;
mod commit;
mod connect;
mod entity;
mod fault;
mod installation;
mod invitations;
mod key_directory;
mod key_rows;
mod keys;
mod last_used;
mod members;
mod organizations;
mod people_rows;
mod purge;
mod scoped;
mod servers;
mod tenants;

pub use accounts::SqlAccounts;
pub use advisory::Held;
pub use audit::{AuditRow, SqlAuditRows};
pub use connect::{ConnectFault, Database, DatabaseKind, DatabaseUrl, InvalidDatabaseUrl};
pub use fault::store_fault;
pub use invitations::SqlInvitations;
pub use key_directory::SqlKeyDirectory;
pub use keys::SqlKeyStore;
pub use last_used::SqlLastUsed;
pub use members::SqlMembers;
pub use organizations::SqlOrganizations;
pub use purge::SqlPurge;
pub use servers::SqlServers;
pub use tenants::SqlTenants;
