//! API keys: their text form, what is stored of them, and the verifier that turns a presented token into a scope.

pub mod digest;
pub mod instance;
pub mod model;
pub mod port;
pub mod presented;
mod rules;
pub mod service;
pub mod token;
pub mod verify;

pub use digest::{Digest, TokenKeys};
pub use model::{InvalidRateLimit, KeyFacts, KeyRecord, KeyServers, KeyType, RateLimit};
pub use token::{IssuedToken, KeyId, KeyPrefix};
