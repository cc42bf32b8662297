//! Decisions for others: whether a token is good, and how a request would be decided.

pub mod authorize;
mod question;
pub mod verify_key;
