//! What the binary's commands do, one per file.

pub mod audit_verify;
pub mod create_owner;
pub mod doctor;
pub mod instance_admin;
pub mod migrate;
pub mod openapi;
pub mod ready;
pub mod rotate_assertion_key;
pub mod sample_server;
pub mod serve;

use std::error::Error;
use std::fmt::Write;

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
