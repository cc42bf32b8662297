//! Outside the REST surface: probes, keys for upstream servers, and what is deliberately not there.

pub mod accept;
pub mod health;
pub mod jwks;
pub mod oauth;
pub mod ready;
