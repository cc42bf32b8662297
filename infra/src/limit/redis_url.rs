//! Where the shared Redis is.

use std::fmt;
use std::str::FromStr;

use redis::Client;

/// The address of a Redis, with its password if it has one.
#[derive(Clone)]
pub struct RedisUrl(pub(super) Client);

/// The text is no address of a Redis. Never repeats it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// with TLS")]
pub struct InvalidRedisUrl;

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRedisUrl> {
        if !text.starts_with("redis://") && !text.starts_with("rediss://") {
            return Err(InvalidRedisUrl);
        }
        Client::open(text).map(Self).map_err(|_| InvalidRedisUrl)
    }
}

impl fmt::Display for RedisUrl {
    /// Without user and password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.get_connection_info().addr(), out)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for text in ["redis://limits:s3cret@redis.internal:6380/2", "rediss://:s3cret@redis.internal:6380"] {
            let url: RedisUrl = text.parse().expect("an address");
            assert_eq!(
                (format!("{url}"), format!("{url:?}")),
                ("redis.internal:6380".into(), "redis.internal:6380".into())
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in ["", "redis.internal:6379", "http://s3cret@redis", "redis://:s3cret@host:port", "redis://h/x"] {
            assert_eq!(text.parse::<RedisUrl>().expect_err("not an address"), InvalidRedisUrl, "{text}");
        }
    }
}
