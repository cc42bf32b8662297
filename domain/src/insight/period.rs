//! The periods that views are of: whole hours or whole days in UTC, the one under way among them.

use crate::time::Timestamp;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// What calls are summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// Hours.
    Hour,
    /// Days in UTC.
    Day,
}

impl Grain {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    const fn micros(self) -> i64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// When the hour or day begins that this point in time is in.
    #[must_use]
    pub const fn begin(self, at: Timestamp) -> Timestamp {
        Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(self.micros()))
    }
}

/// How far back a view looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Period {
    /// 24 hours.
    #[default]
    Day,
    /// 7 days.
    Week,
    /// 30 days.
    Month,
    /// 90 days.
    Quarter,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Quarter];

    /// Its name in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
        }
    }

    /// The period with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == name)
    }

    /// What it is made of.
    #[must_use]
    pub const fn grain(self) -> Grain {
        match self {
            Self::Day => Grain::Hour,
            Self::Week | Self::Month | Self::Quarter => Grain::Day,
        }
    }

    const fn steps(self) -> i64 {
        match self {
            Self::Day => 24,
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
        }
    }

    /// The hours or days that end with the one of `now`.
    #[must_use]
    pub const fn until(self, now: Timestamp) -> Span {
        let grain = self.grain();
        let last = grain.begin(now).as_micros();
        Span { grain, from: Timestamp::from_micros(last - (self.steps() - 1) * grain.micros()), steps: self.steps() }
    }
}

/// Hours or days in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    grain: Grain,
    from: Timestamp,
    steps: i64,
}

impl Span {
    /// What they are.
    #[must_use]
    pub const fn grain(self) -> Grain {
        self.grain
    }

    /// When the first begins.
    #[must_use]
    pub const fn from(self) -> Timestamp {
        self.from
    }

    /// When the last ends.
    #[must_use]
    pub const fn to(self) -> Timestamp {
        Timestamp::from_micros(self.from.as_micros() + self.steps * self.grain.micros())
    }

    /// As many before them.
    #[must_use]
    pub const fn before(self) -> Self {
        let from = Timestamp::from_micros(self.from.as_micros() - self.steps * self.grain.micros());
        Self { from, ..self }
    }

    /// When each begins.
    pub fn begins(self) -> impl Iterator<Item = Timestamp> {
        (0..self.steps).map(move |step| Timestamp::from_micros(self.from.as_micros() + step * self.grain.micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    #[test]
    fn a_period_ends_with_the_hour_or_day_under_way_and_the_one_before_ends_where_it_begins() {
        let now = at("2026-11-21T12:34:56Z");
        let day = Period::Day.until(now);
        assert_eq!((day.from(), day.to()), (at("2026-11-20T13:00:00Z"), at("2026-11-21T13:00:00Z")));
        assert_eq!((day.before().to(), day.begins().count()), (day.from(), 24));
        let week = Period::Week.until(now);
        assert_eq!((week.from(), week.to()), (at("2026-11-15T00:00:00Z"), at("2026-11-22T00:00:00Z")));
        assert_eq!(week.begins().last(), Some(at("2026-11-21T00:00:00Z")));
        assert_eq!(Period::Quarter.until(now).begins().count(), 90);
    }

    #[test]
    fn names_round_trip() {
        for period in Period::ALL {
            assert_eq!(Period::named(period.as_str()), Some(period));
        }
        assert_eq!(Period::named("1h"), None);
    }
}
