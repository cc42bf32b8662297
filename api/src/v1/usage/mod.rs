//! Use of keys and servers.

pub mod get;
