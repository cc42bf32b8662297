//! The suite: real servers on real sockets, one file per theme, filed like the product. A test's name is its guarantee.

mod accounts;
mod api_keys;
mod authentication;
mod bad_input;
mod bulk_revocation;
mod clients;
mod command_line;
mod dependencies;
mod documents;
mod faults;
mod gateway;
mod identity;
mod instance_admins;
mod key_changes;
mod lookups;
mod many_keys;
mod matrix;
mod mcp_servers;
mod revocation;
mod root_secret;
mod rotation;
mod secrets;
mod sessions;
mod stores;
mod tenancy;
mod tenancy_model;
