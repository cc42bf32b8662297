//! Keyrack over HTTP: parse, ask `domain`, answer. The binary `keyrack` is `main.rs`.

pub mod authenticate;
pub mod cli;
pub mod client_address;
pub mod code;
pub mod command;
pub mod compose;
pub mod cors;
pub mod demo;
pub mod entry;
pub mod extract;
pub mod gateway;
pub mod layer;
pub mod limit;
pub mod logging;
pub mod once;
pub mod openapi;
pub mod problem;
pub mod root_secret;
pub mod routes;
pub mod server;
pub mod settings;
pub mod stopping;
pub mod system;
pub mod to_the_end;
pub mod v1;
pub mod visit;
