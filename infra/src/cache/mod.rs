//! What is remembered between requests. A cache here may forget at any time and must never remember what has changed:
//! every change bumps a generation before it removes, and a value that was read under an earlier generation is not
//! stored.

pub mod access;
mod all;
pub mod change;
pub mod change_text;
pub mod connections;
pub mod guarded;
pub mod keys;
pub mod servers;
pub mod suspended;
pub mod tenants;

pub use access::AccessCache;
pub use all::Caches;
pub use change::Change;
pub use connections::ConnectionCache;
pub use guarded::GuardedCache;
pub use keys::{CallPlace, KeyCache, KeyEnd, LiveKeyHandle, TokenPlace};
