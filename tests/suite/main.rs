//! The suite: real servers on real sockets, one file per theme, filed like the product. A test's name is its guarantee.

#![expect(clippy::disallowed_methods, reason = "tests look at the database from outside, and break it")]

mod accounts;
mod api_keys;
mod assertion_keys;
mod audit_changes;
mod audit_events;
mod audit_export;
mod audit_store;
mod authentication;
mod bad_input;
mod bulk_revocation;
mod clients;
mod command_line;
mod decisions;
mod dependencies;
mod documents;
mod faults;
mod fuzz;
mod gateway;
mod guard;
mod idempotency;
mod identity;
mod instance_admins;
mod invitations;
mod isolation;
mod key_changes;
mod limits;
mod lookups;
mod many_keys;
mod matrix;
mod mcp_servers;
mod members;
mod organizations;
mod policies;
mod revocation;
mod root_secret;
mod rotation;
mod secrets;
mod sessions;
mod sign_in;
mod stores;
mod tenancy;
mod tenancy_model;
mod tenants;
mod usage;
