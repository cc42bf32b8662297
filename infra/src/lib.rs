//! Adapters: everything with a socket, a clock or a file. Each implements a port of `domain` and returns records; none
//! can make a scope or take a decision.

pub mod assertion_keys;
pub mod audit;
pub mod audit_blocks;
pub mod cache;
pub mod calls;
pub mod checkpoints;
pub mod cluster;
pub mod db;
pub mod egress;
pub mod insights;
pub mod last_used;
pub mod limit;
pub mod mail;
pub mod mcp_client;
pub mod oauth;
pub mod purge;
pub mod root_settling;
pub mod seal;
pub mod sessions;
pub mod token;
pub mod upstream;
pub mod usage;
pub mod uses;
