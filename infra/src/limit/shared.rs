//! Counting requests in a Redis that nodes share: a limit is the same whatever the number of nodes.
//!
//! While Redis is away, each node counts in its own memory, from nothing: at most the limit per node, and nobody is refused
//! because a counter cannot be reached. Redis's own clock counts, so that nodes' clocks may differ.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::key::RateLimit;
use domain::limit::window::RUNS;
use domain::limit::{Limited, Quota, RateLimiter, Verdict};
use domain::store::StoreFault;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{RedisError, Script};

use super::{LocalLimiter, RedisUrl};

/// What runs in Redis.
pub const SCRIPT: &str = include_str!("window.lua");

static WINDOW: LazyLock<Script> = LazyLock::new(|| Script::new(SCRIPT));

/// How long a connection may take.
const CONNECT: Duration = Duration::from_millis(500);
/// How long an answer may take. A request waits for it, so that a slow Redis is one that is away.
const ANSWER: Duration = Duration::from_millis(250);
/// How long Redis is left alone after it failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Redis cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("Redis cannot be used")]
pub struct RedisFault(#[from] pub(super) RedisError);

/// A limiter of many nodes.
pub struct SharedLimiter {
    redis: ConnectionManager,
    // What counts meanwhile.
    local: LocalLimiter,
    began: Instant,
    // Milliseconds since then; 0 when it is not away.
    away_until: AtomicU64,
    away: AtomicBool,
}

impl SharedLimiter {
    /// A limiter at this Redis, which need not be there yet. In its own memory it counts for about so many keys and servers
    /// at most.
    ///
    /// # Errors
    /// [`RedisFault`] when the client does not take its own settings.
    pub fn new(url: &RedisUrl, capacity: usize) -> Result<Self, RedisFault> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER))
            // Whoever asks next asks again; nobody waits for tries.
            .set_number_of_retries(0);
        let redis = ConnectionManager::new_lazy_with_config(url.0.clone(), config)?;
        let (away_until, away) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self { redis, local: LocalLimiter::new(capacity), began: Instant::now(), away_until, away })
    }

    /// A way to ask Redis something else.
    pub(super) fn redis(&self) -> ConnectionManager {
        self.redis.clone()
    }

    /// Counts one request against a window of this name, which is over after a millisecond.
    pub(super) async fn count_once(&self, name: &str) -> Result<(), RedisError> {
        let mut redis = self.redis();
        let counted = async {
            let asked = WINDOW.key(name).arg(1).arg(1_000).arg(RUNS).invoke_async(&mut redis).await;
            asked.map(|_: (bool, u32, u64, u64)| ())
        };
        tokio::time::timeout(CONNECT + ANSWER, counted).await.unwrap_or_else(|_| Err(late()))
    }

    async fn count(&self, limited: Limited, limit: RateLimit) -> Result<Verdict, RedisError> {
        let name = match limited {
            Limited::Key(key) => format!("keyrack:limit:key:{}", key.as_token_part()),
            Limited::Server(server) => format!("keyrack:limit:server:{server}"),
        };
        let window = u64::from(limit.per_seconds()) * 1_000_000;
        let mut redis = self.redis.clone();
        let asked = async {
            let (within, remaining, reset, retry): (bool, u32, u64, u64) =
                WINDOW.key(name).arg(limit.requests()).arg(window).arg(RUNS).invoke_async(&mut redis).await?;
            let quota = Quota { limit, remaining, reset: Duration::from_micros(reset) };
            let over = Verdict::Over { quota, retry_after: Duration::from_micros(retry) };
            Ok(if within { Verdict::Within(quota) } else { over })
        };
        // All of it: connecting, and loading the script where Redis does not have it.
        tokio::time::timeout(CONNECT + ANSWER, asked).await.unwrap_or_else(|_| Err(late()))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_away(&self) -> bool {
        let until = self.away_until.load(Ordering::Relaxed);
        until != 0 && self.now() < until
    }

    fn failed(&self, error: &RedisError) {
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
        self.away_until.store(self.now() + pause, Ordering::Relaxed);
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "Redis is away; this node counts limits by itself until it is back");
        }
    }

    fn answered(&self) {
        if self.away.load(Ordering::Relaxed) && self.away.swap(false, Ordering::Relaxed) {
            self.away_until.store(0, Ordering::Relaxed);
            tracing::info!("Redis is back; limits are counted there");
        }
    }
}

fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[async_trait]
impl RateLimiter for SharedLimiter {
    async fn take(&self, limited: Limited, limit: RateLimit) -> Result<Verdict, StoreFault> {
        if !self.is_away() {
            match self.count(limited, limit).await {
                Ok(verdict) => {
                    self.answered();
                    return Ok(verdict);
                }
                Err(error) => self.failed(&error),
            }
        }
        self.local.take(limited, limit).await
    }
}
