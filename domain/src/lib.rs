//! The rules of Keyrack, and nothing else.
//!
//! What a key is, whom it may speak for, who may do what: every decision of the product is made by a function of this
//! crate. It must never open a socket or a file, read a clock by itself, or know HTTP or SQL: those are ports here and
//! adapters in `infra`.

pub mod access;
pub mod assertion;
pub mod audit;
pub mod call;
pub mod capability;
pub mod connect;
pub mod connection;
pub mod egress;
pub mod field;
pub mod guard;
pub mod id;
pub mod idempotency;
pub mod insight;
pub mod invitation;
pub mod key;
pub mod limit;
pub mod mail;
pub mod mcp;
pub mod member;
pub mod organization;
pub mod page;
pub mod policy;
pub mod project;
pub mod receipt;
pub mod redact;
pub mod root;
pub mod run;
pub mod server;
pub mod store;
pub mod tenant;
pub mod text;
pub mod time;
pub mod usage;
pub mod varint;
pub mod workflow;
