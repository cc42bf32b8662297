//! Signed tokens and password hashes.

mod checkpoint;
mod jwt;
mod password;

pub use checkpoint::{Ed25519CheckpointSigner, InvalidPublicKey, PublicKeys};
pub use jwt::{AccessTokenSigner, AssertionSigner, Jwk, JwkSet};
pub use password::Argon2Hasher;
