//! When a workflow runs by itself: a cron expression of five fields, read in a time zone.
//!
//! Where clocks change: a time of day that does not exist is the first moment after the gap, and one that comes twice is
//! the first of the two. What runs every so many minutes or hours goes on with the clock on the wall: nothing in a hour
//! that does not exist, and both times in one that comes twice.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::time::Timestamp;

/// Longest cron expression, in bytes.
pub const CRON_MAX: usize = 100;
/// The time zone when none is given.
pub const TIME_ZONE_DEFAULT: &str = "UTC";

/// When a workflow runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The cron expression of five fields, as it was written.
    pub cron: String,
    /// The IANA name of the time zone that it is read in.
    pub time_zone: String,
}

/// The text is no cron expression that a workflow can run by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// More or fewer than five fields, or too long.
    #[error(
        "must be a cron expression of five fields and at most {CRON_MAX} characters: minute, hour, day of the month, month, \
         day of the week; for example 0 6 * * 1-5"
    )]
    Fields,
    /// Five fields that cannot be read.
    #[error("is no cron expression: {0}")]
    Syntax(String),
    /// A day that no calendar has.
    #[error("never comes: no calendar has such a day")]
    Never,
}

/// The text names no time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time zone's IANA name, for example Europe/Berlin")]
pub struct InvalidTimeZone;

fn read(cron: &str) -> Result<Cron, InvalidCron> {
    // Words like @daily would be read as well, and characters of several bytes can become others in upper case.
    if cron.len() > CRON_MAX || !cron.is_ascii() || cron.split_whitespace().count() != 5 {
        return Err(InvalidCron::Fields);
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(cron).map_err(|error| InvalidCron::Syntax(error.to_string()))
}

/// Whether a text is a cron expression whose time comes.
///
/// # Errors
/// [`InvalidCron`]
pub fn check_cron(cron: &str, now: Timestamp) -> Result<String, InvalidCron> {
    read(cron)?;
    let cron = cron.split_whitespace().collect::<Vec<_>>().join(" ");
    let schedule = Schedule { cron, time_zone: TIME_ZONE_DEFAULT.to_owned() };
    if schedule.next_after(now).is_none() { Err(InvalidCron::Never) } else { Ok(schedule.cron) }
}

/// Whether a text names a time zone.
///
/// # Errors
/// [`InvalidTimeZone`]
pub fn check_time_zone(name: &str) -> Result<String, InvalidTimeZone> {
    name.parse::<Tz>().map(|zone| zone.name().to_owned()).map_err(|_| InvalidTimeZone)
}

impl Schedule {
    /// The first time after `at`, in whole minutes; none when there is none, or the schedule cannot be read.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let zone: Tz = self.time_zone.parse().ok()?;
        let at = DateTime::<Utc>::from_timestamp_micros(at.as_micros())?.with_timezone(&zone);
        let next = read(&self.cron).ok()?.find_next_occurrence(&at, false).ok()?;
        Some(Timestamp::from_micros(next.timestamp_micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    /// The next times after one.
    fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule { cron: cron.to_owned(), time_zone: zone.to_owned() };
        let mut last = at(after);
        let next = || {
            last = schedule.next_after(last)?;
            Some(last.to_string().replace(":00.000Z", "Z"))
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn times_are_read_in_the_time_zone() {
        let after = "2026-11-22T03:05:54Z";
        assert_eq!(times("*/15 * * * *", "UTC", after, 2), ["2026-11-22T03:15Z", "2026-11-22T03:30Z"]);
        assert_eq!(times("0 6 * * *", "Europe/Berlin", after, 1), ["2026-11-22T05:00Z"]);
        assert_eq!(times("0 6 * * *", "Asia/Kolkata", after, 1), ["2026-11-23T00:30Z"]);
        assert_eq!(times("0 9 * * MON-FRI", "UTC", after, 1), ["2026-11-23T09:00Z"], "the 22nd is a Sunday");
        assert_eq!(times("0 0 29 2 *", "UTC", after, 2), ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]);
        assert_eq!(times("5 3 22 11 *", "UTC", "2026-11-22T03:05:00Z", 1), ["2027-11-22T03:05Z"], "after, and not at");
        // Either, when both kinds of day are given, as cron has it.
        assert_eq!(times("0 0 25 * 1", "UTC", after, 2), ["2026-11-23T00:00Z", "2026-11-25T00:00Z"]);
    }

    /// On 29 March 2026 two o'clock was three o'clock in Berlin.
    #[test]
    fn a_time_that_does_not_exist_is_the_first_moment_after_the_gap() {
        let times = |cron, count| times(cron, "Europe/Berlin", "2026-03-28T12:00:00Z", count);
        assert_eq!(times("30 2 * * *", 2), ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]);
        assert_eq!(times("0 3 * * *", 2), ["2026-03-29T01:00Z", "2026-03-30T01:00Z"]);
        let hourly = times("30 * * * *", 15);
        assert_eq!(
            hourly[12..],
            ["2026-03-29T00:30Z", "2026-03-29T01:30Z", "2026-03-29T02:30Z"],
            "every hour of the day"
        );
    }

    /// On 25 October 2026 it was half past two twice in Berlin: at 00:30 and at 01:30 UTC.
    #[test]
    fn a_time_that_comes_twice_is_the_first_of_the_two_and_every_hour_is_both() {
        let times = |cron, count| times(cron, "Europe/Berlin", "2026-10-24T12:00:00Z", count);
        assert_eq!(times("30 2 * * *", 2), ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]);
        let hourly = times("30 * * * *", 15);
        assert_eq!(hourly[12..], ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"]);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let now = at("2026-11-22T00:00:00Z");
        for cron in ["", "* * * *", "* * * * * *", "@daily", "0 0 * * * 2027", "ſ * * * *"] {
            assert_eq!(check_cron(cron, now), Err(InvalidCron::Fields), "{cron}");
        }
        for cron in [
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "a * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
        ] {
            assert!(matches!(check_cron(cron, now), Err(InvalidCron::Syntax(_))), "{cron}");
        }
        for cron in ["0 0 30 2 *", "0 0 31 4,6 *"] {
            assert_eq!(check_cron(cron, now), Err(InvalidCron::Never), "{cron}");
        }
        assert_eq!(check_cron("  0   6 * * mon ", now).as_deref(), Ok("0 6 * * mon"));
        for zone in ["", "Berlin", "CEST+1", "Europe/Atlantis", "+01:00"] {
            assert_eq!(check_time_zone(zone), Err(InvalidTimeZone), "{zone}");
        }
        assert_eq!(check_time_zone("Europe/Berlin").as_deref(), Ok("Europe/Berlin"));
    }
}
