//! How long a server may take, where it differs from the installation's defaults.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Milliseconds that connecting may be given.
pub const CONNECT_MS: RangeInclusive<u32> = 100..=60_000;
/// Milliseconds that silence may be given: a second to a day.
pub const IDLE_MS: RangeInclusive<u32> = 1_000..=86_400_000;

/// A server's own times; none for the installation's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    connect: Option<u32>,
    idle: Option<u32>,
}

/// A time is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimeout {
    /// Not in [`CONNECT_MS`].
    #[error("must be {} to {} milliseconds", CONNECT_MS.start(), CONNECT_MS.end())]
    Connect,
    /// Not in [`IDLE_MS`].
    #[error("must be {} to {} milliseconds", IDLE_MS.start(), IDLE_MS.end())]
    Idle,
}

impl Timeouts {
    /// Times in milliseconds.
    ///
    /// # Errors
    /// [`InvalidTimeout`]
    pub fn new(connect_ms: Option<u32>, idle_ms: Option<u32>) -> Result<Self, InvalidTimeout> {
        Self::default().with_connect(connect_ms)?.with_idle(idle_ms)
    }

    /// The same with another time for connecting.
    ///
    /// # Errors
    /// [`InvalidTimeout::Connect`]
    pub fn with_connect(self, milliseconds: Option<u32>) -> Result<Self, InvalidTimeout> {
        if milliseconds.is_none_or(|given| CONNECT_MS.contains(&given)) {
            Ok(Self { connect: milliseconds, ..self })
        } else {
            Err(InvalidTimeout::Connect)
        }
    }

    /// The same with another time for silence.
    ///
    /// # Errors
    /// [`InvalidTimeout::Idle`]
    pub fn with_idle(self, milliseconds: Option<u32>) -> Result<Self, InvalidTimeout> {
        if milliseconds.is_none_or(|given| IDLE_MS.contains(&given)) {
            Ok(Self { idle: milliseconds, ..self })
        } else {
            Err(InvalidTimeout::Idle)
        }
    }

    /// How long connecting may take, in milliseconds.
    #[must_use]
    pub const fn connect_ms(self) -> Option<u32> {
        self.connect
    }

    /// How long the server may be silent, in milliseconds.
    #[must_use]
    pub const fn idle_ms(self) -> Option<u32> {
        self.idle
    }

    /// How long connecting may take.
    #[must_use]
    pub fn connect_or(self, default: Duration) -> Duration {
        self.connect.map_or(default, |time| Duration::from_millis(time.into()))
    }

    /// How long the server may be silent, before its answer and within it.
    #[must_use]
    pub fn idle_or(self, default: Duration) -> Duration {
        self.idle.map_or(default, |time| Duration::from_millis(time.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_their_range_are_refused_by_name() {
        for good in [(None, None), (Some(100), Some(1_000)), (Some(60_000), Some(86_400_000))] {
            assert!(Timeouts::new(good.0, good.1).is_ok(), "{good:?}");
        }
        for bad in [0, 99, 60_001] {
            assert_eq!(Timeouts::new(Some(bad), None), Err(InvalidTimeout::Connect), "{bad}");
        }
        for bad in [0, 999, 86_400_001] {
            assert_eq!(Timeouts::new(None, Some(bad)), Err(InvalidTimeout::Idle), "{bad}");
        }
    }

    #[test]
    fn what_is_not_set_is_the_installations() {
        let default = Duration::from_secs(5);
        let own = Timeouts::new(Some(250), None).expect("good");
        assert_eq!((own.connect_or(default), own.idle_or(default)), (Duration::from_millis(250), default));
    }
}
