//! Latencies as a histogram that can be merged: sixteen buckets for each doubling, so that a quantile is within 1/32
//! (3.2 %) of the latency that it stands for, from one microsecond to half a million years.

use std::time::Duration;

/// Buckets per doubling, as a power of two.
const FINE: u32 = 4;
const PER_DOUBLING: u64 = 1 << FINE;
/// The first byte of the stored form.
const VERSION: u8 = 1;

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
        self.add(bucket(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)), 1);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            self.add(*bucket, *count);
        }
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
        Some(Duration::from_micros(middle(found.0)))
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
        let (VERSION, mut rest) = bytes.split_first().map(|(version, rest)| (*version, rest)).ok_or(Malformed)? else {
            return Err(Malformed);
        };
        let mut read = Self::default();
        let mut before = 0_u64;
        while !rest.is_empty() {
            before = before.checked_add(take(&mut rest)?).ok_or(Malformed)?;
            let bucket = u16::try_from(before).map_err(|_| Malformed)?;
            let count = take(&mut rest)?;
            if bucket > bucket_max() || count == 0 || read.counts.last().is_some_and(|(last, _)| *last >= bucket) {
                return Err(Malformed);
            }
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

/// The bucket of a number of microseconds: itself below 16, then the doubling and the four bits after the first.
fn bucket(micros: u64) -> u16 {
    if micros < PER_DOUBLING {
        return u16::try_from(micros).unwrap_or(0);
    }
    let doubling = micros.ilog2();
    let within = (micros >> (doubling - FINE)) & (PER_DOUBLING - 1);
    u16::try_from(u64::from(doubling - FINE + 1) * PER_DOUBLING + within).unwrap_or(u16::MAX)
}

fn bucket_max() -> u16 {
    bucket(u64::MAX)
}

/// The middle of a bucket, in microseconds.
fn middle(bucket: u16) -> u64 {
    let (doubling, within) = (u64::from(bucket) / PER_DOUBLING, u64::from(bucket) % PER_DOUBLING);
    if doubling == 0 {
        return within;
    }
    let width = 1_u64 << (doubling - 1);
    (PER_DOUBLING + within).saturating_mul(width).saturating_add(width / 2)
}

fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

fn take(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
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
            assert!((found - exact).abs() / exact <= 1.0 / 32.0, "p{percent}: {found} for {exact}");
        }
        assert_eq!(Latencies::default().percentile(50), None);
        assert_eq!(of(&[7]).percentile(1), Some(Duration::from_micros(7)));
    }

    proptest! {
        #[test]
        fn a_bucket_is_close_to_all_that_is_in_it(micros in any::<u64>()) {
            let middle = middle(bucket(micros));
            prop_assert!(middle.abs_diff(micros) <= micros / 32 + 1, "{micros} became {middle}");
            prop_assert!(bucket(micros) <= bucket(micros.saturating_add(1)));
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
