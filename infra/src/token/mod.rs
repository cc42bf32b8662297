//! Signed tokens and password hashes.

mod jwt;
mod password;

pub use jwt::{AccessTokenSigner, AssertionSigner, Jwk, JwkSet};
pub use password::Argon2Hasher;
