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
mod gateway;
mod identity;
mod invitations;
mod lookups;
mod matrix;
mod mcp_servers;
mod members;
mod organizations;
mod revocation;
mod secrets;
mod sessions;
mod sign_in;
mod stores;
mod tenancy;
mod tenancy_model;
