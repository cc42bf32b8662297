//! Latencies as a histogram that can be merged: 32 buckets for each doubling, so that a quantile is within 1/64 (1.6 %) of
//! the latency that it stands for, from one microsecond to half a million years.

use std::cmp::Ordering;
use std::time::Duration;

use crate::varint::{take, write};

/// Buckets per doubling, as a power of two.
const FINE: u32 = 5;
/// The first byte of the stored form.
const VERSION: u8 = 2;
/// The form before, with half as many buckets: what was stored stays within 3.2 %.
const COARSE_VERSION: u8 = 1;
const COARSE: u32 = 4;

/// How many calls took how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    // In the order of the buckets, and none of them empty: most calls of an hour share a few.
    counts: Vec<(u16, u64)>,
}

/// The bytes are no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a histogram of latencies")]
pub struct Malformed;

impl Latencies {
    /// Counts a call.
    pub fn count(&mut self, took: Duration) {
        self.count_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a call that took this many microseconds.
    pub fn count_micros(&mut self, micros: u64) {
        self.add(bucket(FINE, micros), 1);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
            return;
        }
        if other.counts.len() * 8 < self.counts.len() {
            // A few into many: nothing is copied.
            other.counts.iter().for_each(|(bucket, count)| self.add(*bucket, *count));
            return;
        }
        let mut merged = Vec::with_capacity(self.counts.len() + other.counts.len());
        let (mut own, mut theirs) = (self.counts.iter().peekable(), other.counts.iter().peekable());
        while let (Some((mine, count)), Some((other, more))) = (own.peek(), theirs.peek()) {
            let order = mine.cmp(other);
            merged.push(match order {
                Ordering::Less => (*mine, *count),
                Ordering::Greater => (*other, *more),
                Ordering::Equal => (*mine, count.saturating_add(*more)),
            });
            if order.is_le() {
                own.next();
            }
            if order.is_ge() {
                theirs.next();
            }
        }
        merged.extend(own);
        merged.extend(theirs);
        self.counts = merged;
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The latency that this share of the calls did not exceed, in percent; none when there was no call.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let total: u64 = self.counts.iter().map(|(_, count)| count).sum();
        let rank = (u128::from(total) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0_u128;
        let found = self.counts.iter().find(|(_, count)| {
            seen += u128::from(*count);
            seen >= rank
        })?;
        Some(Duration::from_micros(middle(FINE, found.0)))
    }

    /// The form for the store: a version, then for each bucket its distance from the one before and its count, in as
    /// many bytes of seven bits as it takes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let mut before = 0;
        for (bucket, count) in &self.counts {
            write(u64::from(bucket - before), &mut bytes);
            write(*count, &mut bytes);
            before = *bucket;
        }
        bytes
    }

    /// Reads the form of the store.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let (version, mut rest) = bytes.split_first().ok_or(Malformed)?;
        let fine = match *version {
            VERSION => FINE,
            COARSE_VERSION => COARSE,
            _ => return Err(Malformed),
        };
        let mut last = None;
        let mut read = Self::default();
        let mut before = 0_u64;
        while !rest.is_empty() {
            before = take(&mut rest).and_then(|more| before.checked_add(more)).ok_or(Malformed)?;
            let stored = u16::try_from(before).map_err(|_| Malformed)?;
            let count = take(&mut rest).ok_or(Malformed)?;
            if stored > bucket_max(fine) || count == 0 || last.is_some_and(|last| last >= stored) {
                return Err(Malformed);
            }
            last = Some(stored);
            // A coarse bucket becomes the fine one around its middle; their order stays.
            let bucket = if fine == FINE { stored } else { bucket(FINE, middle(fine, stored)) };
            read.counts.push((bucket, count));
        }
        Ok(read)
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.counts[place].1 = self.counts[place].1.saturating_add(count),
            Err(place) => self.counts.insert(place, (bucket, count)),
        }
    }
}

/// The bucket of a number of microseconds: itself below a doubling's number of buckets, then the doubling and the bits
/// after the first.
fn bucket(fine: u32, micros: u64) -> u16 {
    let per_doubling = 1_u64 << fine;
    if micros < per_doubling {
        return u16::try_from(micros).unwrap_or(0);
    }
    let doubling = micros.ilog2();
    let within = (micros >> (doubling - fine)) & (per_doubling - 1);
    u16::try_from(u64::from(doubling - fine + 1) * per_doubling + within).unwrap_or(u16::MAX)
}

fn bucket_max(fine: u32) -> u16 {
    bucket(fine, u64::MAX)
}

/// The middle of a bucket, in microseconds.
fn middle(fine: u32, bucket: u16) -> u64 {
    let per_doubling = 1_u64 << fine;
    let (doubling, within) = (u64::from(bucket) / per_doubling, u64::from(bucket) % per_doubling);
    if doubling == 0 {
        return within;
    }
    let width = 1_u64 << (doubling - 1);
    (per_doubling + within).saturating_mul(width).saturating_add(width / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(latencies: &[u64]) -> Latencies {
        let mut counted = Latencies::default();
        for micros in latencies {
            counted.count(Duration::from_micros(*micros));
        }
        counted
    }

    #[test]
    fn percentiles_of_known_latencies() {
        let counted = of(&(1..=1_000).map(|ms| ms * 1_000).collect::<Vec<_>>());
        for (percent, exact) in [(50, 500_000_f64), (95, 950_000.0), (99, 990_000.0), (100, 1_000_000.0)] {
            let found = counted.percentile(percent).expect("calls").as_secs_f64() * 1e6;
            assert!((found - exact).abs() / exact <= 1.0 / 64.0, "p{percent}: {found} for {exact}");
        }
        assert_eq!(Latencies::default().percentile(50), None);
        assert_eq!(of(&[7]).percentile(1), Some(Duration::from_micros(7)));
    }

    /// The form that version 1 stored.
    fn coarse(latencies: &[u64]) -> Vec<u8> {
        let mut buckets: Vec<u16> = latencies.iter().map(|micros| bucket(COARSE, *micros)).collect();
        buckets.sort_unstable();
        let (mut bytes, mut before) = (vec![COARSE_VERSION], 0);
        for same in buckets.chunk_by(|a, b| a == b) {
            write(u64::from(same[0] - before), &mut bytes);
            write(same.len() as u64, &mut bytes);
            before = same[0];
        }
        bytes
    }

    #[test]
    fn what_an_earlier_version_stored_still_opens() {
        let stored = [1, 33, 1, 1, 2];
        let read = Latencies::from_bytes(&stored).expect("version 1");
        // Bucket 33 of 16 per doubling is 34 or 35 microseconds, bucket 34 is 36 or 37.
        assert_eq!(read.counts.len(), 2);
        assert_eq!(read.percentile(33), Some(Duration::from_micros(35)));
        assert_eq!(read.percentile(100), Some(Duration::from_micros(37)));
        assert_eq!(Latencies::from_bytes(&read.to_bytes()), Ok(read));
        assert_eq!(Latencies::from_bytes(&[3, 1, 1]), Err(Malformed));
    }

    /// What a gateway wrote down of real calls; how is said where they stand.
    fn recorded() -> Vec<u64> {
        let lines = include_str!("recorded_latencies.txt").lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.parse().expect("a number of microseconds")).collect()
    }

    /// The same with a long tail: some calls are up to a hundred times slower.
    fn with_a_tail() -> Vec<u64> {
        let slower = |(at, took): (usize, u64)| if at % 31 == 0 { took * (1 + at as u64 % 100) } else { took };
        recorded().into_iter().enumerate().map(slower).collect()
    }

    #[test]
    fn percentiles_of_a_recorded_sample_are_within_two_percent_of_the_exact_ones() {
        assert_eq!(recorded().len(), 5_000);
        for sample in [recorded(), with_a_tail()] {
            holds_within_two_percent(sample);
        }
    }

    fn holds_within_two_percent(mut sample: Vec<u64>) {
        // In parts, as hours are, and through the stored form.
        let mut counted = Latencies::default();
        for part in sample.chunks(777) {
            counted.merge(&Latencies::from_bytes(&of(part).to_bytes()).expect("its own form"));
        }
        sample.sort_unstable();
        for percent in [1_u8, 10, 25, 50, 75, 90, 95, 99, 100] {
            let rank = (sample.len() * usize::from(percent)).div_ceil(100).max(1);
            let exact = sample[rank - 1];
            let found = u64::try_from(counted.percentile(percent).expect("calls").as_micros()).expect("small");
            assert!(found.abs_diff(exact) * 100 <= exact * 2, "p{percent}: {found} for {exact}");
        }
    }

    proptest! {
        #[test]
        fn a_coarse_histogram_keeps_its_counts_and_its_precision(
            latencies in proptest::collection::vec(0_u64..100_000_000, 1..60),
        ) {
            let read = Latencies::from_bytes(&coarse(&latencies)).expect("version 1");
            prop_assert_eq!(read.counts.iter().map(|(_, count)| count).sum::<u64>(), latencies.len() as u64);
            let (found, exact) = (read.percentile(100).expect("calls"), *latencies.iter().max().expect("one"));
            prop_assert!(found.as_micros().abs_diff(u128::from(exact)) <= u128::from(exact / 20 + 1));
        }

        #[test]
        fn a_bucket_is_close_to_all_that_is_in_it(micros in any::<u64>()) {
            let middle = middle(FINE, bucket(FINE, micros));
            prop_assert!(middle.abs_diff(micros) <= micros / 64 + 1, "{micros} became {middle}");
            prop_assert!(bucket(FINE, micros) <= bucket(FINE, micros.saturating_add(1)));
        }

        #[test]
        fn the_stored_form_round_trips_and_merging_is_counting_together(
            a in proptest::collection::vec(any::<u64>(), 0..60),
            b in proptest::collection::vec(0_u64..10_000_000, 0..60),
        ) {
            let (first, second) = (of(&a), of(&b));
            prop_assert_eq!(Latencies::from_bytes(&first.to_bytes()), Ok(first.clone()));
            let mut merged = first;
            merged.merge(&second);
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Latencies::from_bytes(&bytes);
        }
    }
}
