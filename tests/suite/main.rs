//! The suite: real servers on real sockets, one file per theme, filed like the product. A test's name is its guarantee.

mod accounts;
mod api_keys;
mod authentication;
mod bad_input;
mod clients;
mod command_line;
mod dependencies;
mod documents;
mod faults;
mod fuzz;
mod gateway;
mod idempotency;
mod identity;
mod limits;
mod lookups;
mod matrix;
mod mcp_servers;
mod revocation;
mod secrets;
mod sessions;
mod stores;
mod tenancy;
mod tenancy_model;
mod tenants;
mod usage;
