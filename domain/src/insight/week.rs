//! A week: the days of a scope added up when they are over, so that a view of ninety days reads a few rows instead of ninety
//! of each scope.
//!
//! It says nothing that its days do not say, and is never told from anything else: who changes one of its days throws it
//! away, and it is added up again later. Only an organization's days and those of servers are added up, which are long
//! where there are many calls; those of tenants are short, and there can be a million of them.

use std::collections::HashSet;

use uuid::Uuid;

use super::fold::{Kind, Scope, SliceKey};
use super::period::{Grain, Span};
use super::slice::{Dimension, Line, MalformedSlice, RawLine, Slice};
use super::view::{StoredSlice, SumQuery};
use crate::time::Timestamp;

const DAYS: i64 = 7;
const DAY: i64 = 24 * 3_600_000_000;

/// Seven days in a row, counted from the beginning of 1970, so that no calendar is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week(Timestamp);

impl Week {
    /// The one that a point in time is in.
    #[must_use]
    pub const fn of(at: Timestamp) -> Self {
        Self(Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(DAYS * DAY)))
    }

    /// The last one that is over at `now`.
    #[must_use]
    pub const fn last_over(now: Timestamp) -> Self {
        let Self(begins) = Self::of(now);
        Self(Timestamp::from_micros(begins.as_micros() - DAYS * DAY))
    }

    /// So many that end with it, the last one first.
    pub fn and_before(self, count: usize) -> impl Iterator<Item = Self> {
        let begins = move |at: &Self| Some(Self(Timestamp::from_micros(at.0.as_micros() - DAYS * DAY)));
        std::iter::successors(Some(self), begins).take(count)
    }

    /// When it begins.
    #[must_use]
    pub const fn begins(self) -> Timestamp {
        self.0
    }

    /// When each of its days begins.
    pub fn days(self) -> impl Iterator<Item = Timestamp> {
        (0..DAYS).map(move |day| Timestamp::from_micros(self.0.as_micros() + day * DAY))
    }

    /// Those that lie within a span as a whole.
    pub fn within(span: Span) -> impl Iterator<Item = Self> {
        let (from, to) = (span.from().as_micros(), span.to().as_micros());
        let first = from + (-from).rem_euclid(DAYS * DAY);
        let begins = (0..).map(move |week| first + week * DAYS * DAY).take_while(move |at| at + DAYS * DAY <= to);
        begins.map(|at| Self(Timestamp::from_micros(at)))
    }
}

impl Scope {
    /// Whether its days are added up to weeks.
    #[must_use]
    pub const fn has_weeks(&self) -> bool {
        matches!(self, Self::Organization | Self::Server(_))
    }
}

impl SumQuery {
    /// The weeks that can stand for days of what is asked.
    #[must_use]
    pub fn weeks(&self) -> Vec<Week> {
        let of_days = self.kind == Kind { grain: Grain::Day, topics: false };
        if !of_days || self.servers.is_some() || !self.scopes.iter().all(Scope::has_weeks) {
            return Vec::new();
        }
        Week::within(self.span).collect()
    }
}

/// A week of a scope as the store has it.
#[derive(Debug, Clone)]
pub struct StoredWeek {
    /// Which week.
    pub week: Week,
    /// The id of its scope.
    pub scope: Uuid,
    /// All calls of each of its days.
    pub totals: Vec<u8>,
    /// Its slice; none where only the totals were asked for.
    pub slice: Option<Vec<u8>>,
}

/// The weeks and scopes that have a day among these slices.
pub fn touched<'a>(keys: impl Iterator<Item = &'a SliceKey>) -> HashSet<(Week, Uuid)> {
    keys.filter(|key| key.kind == Kind { grain: Grain::Day, topics: false } && key.scope.has_weeks())
        .map(|key| (Week::of(key.begins), key.scope.id()))
        .collect()
}

/// Adds up a scope's days of a week; the totals and the slice for the store. It reads and adds for some milliseconds.
///
/// # Errors
/// [`MalformedSlice`]
pub fn add_up(week: Week, scope: &Scope, days: &[StoredSlice]) -> Result<StoredWeek, MalformedSlice> {
    let (mut totals, mut sum) = (Vec::new(), Slice::default());
    for day in week.days() {
        let mut total = Line::default();
        for stored in days.iter().filter(|stored| stored.begins == day) {
            let slice = Slice::from_bytes(&stored.bytes)?;
            total.merge(&slice.all);
            sum.merge(&slice);
        }
        total.write(&mut totals);
    }
    sum.bound(|dimension: Dimension| scope.lines_max(dimension));
    Ok(StoredWeek { week, scope: scope.id(), totals, slice: Some(sum.to_bytes()) })
}

impl StoredWeek {
    /// All calls of each of its days.
    pub(super) fn totals(&self) -> Result<Vec<(Timestamp, Line)>, MalformedSlice> {
        let mut rest = self.totals.as_slice();
        self.week
            .days()
            .map(|day| Some((day, RawLine::take(&mut rest)?.line()?)))
            .collect::<Option<_>>()
            .ok_or(MalformedSlice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::Period;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    #[test]
    fn a_week_has_seven_days_and_the_last_one_that_is_over_has_ended() {
        let week = Week::of(at("2026-11-21T12:34:56Z"));
        assert_eq!(week.begins(), at("2026-11-19T00:00:00Z"));
        assert_eq!(week.days().last(), Some(at("2026-11-25T00:00:00Z")));
        assert!(week.days().all(|day| Week::of(day) == week));
        assert_eq!(Week::last_over(at("2026-11-25T23:59:59Z")).begins(), at("2026-11-12T00:00:00Z"));
        assert_eq!(Week::last_over(at("2026-11-26T00:00:00Z")), week);
        let three: Vec<Timestamp> = week.and_before(3).map(Week::begins).collect();
        assert_eq!(three, ["2026-11-19T00:00:00Z", "2026-11-12T00:00:00Z", "2026-11-05T00:00:00Z"].map(at));
    }

    #[test]
    fn the_weeks_of_a_span_are_those_that_are_whole_in_it() {
        for day in 0..14 {
            let span =
                Period::Quarter.until(Timestamp::from_micros(at("2026-11-21T12:00:00Z").as_micros() + day * DAY));
            let weeks: Vec<Week> = Week::within(span).collect();
            let days: Vec<Timestamp> = weeks.iter().flat_map(|week| week.days()).collect();
            let in_span: Vec<Timestamp> = span.begins().filter(|begin| days.contains(begin)).collect();
            assert_eq!(days, in_span, "in order, none twice, and none outside");
            // At most six are left over at either end.
            assert!((90 - days.len()) <= 12, "{}", days.len());
        }
    }

    #[test]
    fn only_days_of_an_organization_or_a_server_touch_a_week() {
        let (server, begins) = (crate::id::ServerId::new(), at("2026-11-21T00:00:00Z"));
        let tenant = crate::insight::TenantName { org: None, user: None };
        let key = |grain, topics, scope| SliceKey { kind: Kind { grain, topics }, begins, scope };
        let keys = [
            key(Grain::Day, false, Scope::Organization),
            key(Grain::Day, false, Scope::Server(server)),
            key(Grain::Hour, false, Scope::Organization),
            key(Grain::Day, true, Scope::Organization),
            key(Grain::Day, false, Scope::Tenant(tenant)),
        ];
        let week = Week::of(begins);
        let expected = HashSet::from([(week, Scope::Organization.id()), (week, server.as_uuid())]);
        assert_eq!(touched(keys.iter()), expected);
    }
}
