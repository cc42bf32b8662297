//! Counting requests: in this node's memory, or in a Redis that nodes share.

mod local;
mod redis_url;
pub mod shared;
pub mod trial;

pub use local::LocalLimiter;
pub use redis_url::{InvalidRedisUrl, RedisUrl};
pub use shared::{RedisFault, SharedLimiter};
