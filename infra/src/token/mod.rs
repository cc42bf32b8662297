//! Signed tokens and password hashes.

mod assertion;
mod checkpoint;
mod jwt;
mod password;

pub use assertion::AssertionSigner;
pub use checkpoint::{Ed25519CheckpointSigner, InvalidPublicKey, PublicKeys};
pub use jwt::{AccessTokenSigner, Jwk, JwkSet};
pub use password::Argon2Hasher;
