//! The suite: real servers on real sockets, one file per theme, filed like the product. A test's name is its guarantee.

mod accounts;
mod api_keys;
mod audit_changes;
mod audit_events;
mod audit_export;
mod audit_store;
mod authentication;
mod bad_input;
mod clients;
mod command_line;
mod dependencies;
mod documents;
mod faults;
mod gateway;
mod identity;
mod lookups;
mod matrix;
mod mcp_servers;
mod revocation;
mod secrets;
mod sessions;
mod stores;
mod tenancy;
mod tenancy_model;
