//! Whether a Redis can count limits, for those who look into an installation: that it answers says little. A replica answers,
//! and so does one that lets this user run no scripts, or that throws windows away to make room.

use redis::RedisError;
use uuid::Uuid;

use super::shared::{RedisFault, SharedLimiter};

/// What becomes of windows when there are many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// They stay until they are over.
    Kept,
    /// Some are thrown away by this policy: their limits begin anew. Every window has an end in Redis, so that each policy
    /// but `noeviction` is about them.
    Evicted(String),
    /// It does not tell this user.
    Untold,
}

/// In which way it cannot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It does not write.
    ReadOnly,
    /// It does not let this user.
    Forbidden,
    /// It is not there, or something else.
    Away,
}

impl RedisFault {
    /// In which way.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        let Self(error) = self;
        match error.code() {
            Some("READONLY") => Trouble::ReadOnly,
            Some("NOPERM" | "NOAUTH" | "WRONGPASS") => Trouble::Forbidden,
            // Before Redis 7 what a script runs into is told in its text.
            _ if error.to_string().contains("READONLY") => Trouble::ReadOnly,
            _ => Trouble::Away,
        }
    }
}

impl SharedLimiter {
    /// Counts one request against a window of its own that is over at once, and reads what becomes of windows.
    ///
    /// # Errors
    /// [`RedisFault`] when it cannot count.
    pub async fn try_out(&self) -> Result<Room, RedisFault> {
        self.count_once(&format!("keyrack:limit:trial:{}", Uuid::new_v4().simple())).await?;
        let told: Result<String, RedisError> = redis::cmd("INFO").arg("memory").query_async(&mut self.redis()).await;
        Ok(told.map_or(Room::Untold, |told| room(&told)))
    }
}

fn room(told: &str) -> Room {
    let of = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    match (of("maxmemory"), of("maxmemory_policy")) {
        (Some("0"), _) | (_, Some("noeviction")) => Room::Kept,
        (_, Some(policy)) => Room::Evicted(policy.to_owned()),
        (_, None) => Room::Untold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_matters_where_memory_has_a_bound() {
        let told = |max: &str, policy: &str| format!("# Memory\r\nmaxmemory:{max}\r\nmaxmemory_policy:{policy}\r\n");
        assert_eq!(room(&told("0", "allkeys-lru")), Room::Kept);
        assert_eq!(room(&told("100", "noeviction")), Room::Kept);
        assert_eq!(room(&told("100", "volatile-ttl")), Room::Evicted("volatile-ttl".to_owned()));
        assert_eq!(room("# Memory\r\n"), Room::Untold);
    }
}
