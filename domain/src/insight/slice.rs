//! A slice: all calls of one scope in one hour or day, and who and what they were of.
//!
//! A slice is bounded. Of each dimension it has the [`LINES_MAX`] lines with the most calls, and the exact sum of all, so
//! that what has no line of its own is told as a rest and never lost.

use std::collections::BTreeMap;

use crate::usage::Latencies;
use crate::varint::{take, take_bytes, write, write_bytes};

/// Most lines of a dimension in a slice.
pub const LINES_MAX: usize = 512;
/// The same where many slices are summed up at once.
pub const LINES_MAX_OF_MANY: usize = 64;
/// The first byte of the stored form.
const VERSION: u8 = 1;

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Calls.
    pub calls: u64,
    /// Those of them that went wrong.
    pub errors: u64,
    /// Those of them whose model said what did not go well.
    pub frustrated: u64,
    /// How long it took until the answer began.
    pub latencies: Latencies,
}

impl Line {
    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.frustrated += other.frustrated;
        self.latencies.merge(&other.latencies);
    }

    /// The counts without the latencies.
    #[must_use]
    pub fn counts(&self) -> Self {
        Self { calls: self.calls, errors: self.errors, frustrated: self.frustrated, latencies: Latencies::default() }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.calls, self.errors, self.frustrated] {
            write(number, out);
        }
        if self.latencies.is_empty() {
            write(0, out);
        } else {
            write_bytes(&self.latencies.to_bytes(), out);
        }
    }

    /// Takes counts away that it has.
    pub(super) fn without(&mut self, other: &Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.errors = self.errors.saturating_sub(other.errors);
        self.frustrated = self.frustrated.saturating_sub(other.frustrated);
    }
}

/// A line as it is stored, with latencies that are not read unless they are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawLine<'a> {
    calls: u64,
    errors: u64,
    frustrated: u64,
    latencies: &'a [u8],
}

impl<'a> RawLine<'a> {
    pub(super) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let (calls, errors, frustrated) = (take(bytes)?, take(bytes)?, take(bytes)?);
        Some(Self { calls, errors, frustrated, latencies: take_bytes(bytes)? })
    }

    pub(super) fn counts(&self) -> Line {
        Line { calls: self.calls, errors: self.errors, frustrated: self.frustrated, latencies: Latencies::default() }
    }

    pub(super) fn latencies(&self) -> Option<Latencies> {
        if self.latencies.is_empty() { Some(Latencies::default()) } else { Latencies::from_bytes(self.latencies).ok() }
    }

    pub(super) fn line(&self) -> Option<Line> {
        Some(Line { latencies: self.latencies()?, ..self.counts() })
    }
}

/// A slice as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawSlice<'a> {
    pub(super) all: RawLine<'a>,
    lines: [&'a [u8]; Dimension::ALL.len()],
}

impl<'a> RawSlice<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let mut slice = Self { all: RawLine::take(&mut rest)?, lines: [&[]; Dimension::ALL.len()] };
        for stored in &mut slice.lines {
            *stored = take_bytes(&mut rest)?;
        }
        Some(slice)
    }

    /// The sum of a dimension, and its lines one after the other.
    pub(super) fn of(&self, dimension: Dimension) -> Option<(Line, RawLines<'a>)> {
        let mut rest = self.lines[dimension as usize];
        let sum = if rest.is_empty() { Line::default() } else { RawLine::take(&mut rest)?.counts() };
        Some((sum, RawLines(rest)))
    }
}

/// Lines as they are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawLines<'a>(&'a [u8]);

impl<'a> RawLines<'a> {
    /// The next subject and its line; none at the end, and an error where the bytes are no line.
    pub(super) fn next(&mut self) -> Result<Option<(&'a [u8], RawLine<'a>)>, MalformedSlice> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let subject = take_bytes(&mut self.0).ok_or(MalformedSlice)?;
        Ok(Some((subject, RawLine::take(&mut self.0).ok_or(MalformedSlice)?)))
    }
}

/// What calls are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Their server.
    Server,
    /// Their tool.
    Tool,
    /// Their key.
    Key,
    /// Their tenant.
    Tenant,
    /// Their topic.
    Topic,
}

impl Dimension {
    /// All of them, in the order of the stored form.
    pub const ALL: [Self; 5] = [Self::Server, Self::Tool, Self::Key, Self::Tenant, Self::Topic];
}

/// The lines of one dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Exact counts of all calls that have a subject of this dimension, without latencies.
    pub sum: Line,
    /// The lines, by subject.
    pub by_subject: BTreeMap<Box<[u8]>, Line>,
}

impl Lines {
    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        for (subject, line) in &other.by_subject {
            self.by_subject.entry(subject.clone()).or_default().merge(line);
        }
    }

    /// Leaves the lines with the most calls; among equals those of lower bytes.
    pub fn bound(&mut self, most: usize) {
        if self.by_subject.len() <= most {
            return;
        }
        for (subject, _) in self.largest().split_off(most) {
            self.by_subject.remove(&subject);
        }
    }

    /// All lines, those with the most calls first.
    #[must_use]
    pub fn largest(&self) -> Vec<(Box<[u8]>, u64)> {
        let mut ranked: Vec<(Box<[u8]>, u64)> =
            self.by_subject.iter().map(|(subject, line)| (subject.clone(), line.calls)).collect();
        // Stable: they come in the order of their bytes.
        ranked.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
        ranked
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut lines = Vec::new();
        if self.sum.calls > 0 {
            self.sum.write(&mut lines);
            for (subject, line) in &self.by_subject {
                write_bytes(subject, &mut lines);
                line.write(&mut lines);
            }
        }
        write_bytes(&lines, out);
    }

    fn read((sum, mut lines): (Line, RawLines<'_>)) -> Option<Self> {
        let mut read = Self { sum, ..Self::default() };
        while let Some((subject, line)) = lines.next().ok()? {
            read.by_subject.insert(subject.into(), line.line()?);
        }
        Some(read)
    }
}

/// All calls of one scope in one hour or day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// All of them.
    pub all: Line,
    lines: [Lines; Dimension::ALL.len()],
}

/// The bytes are no slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a slice of calls")]
pub struct MalformedSlice;

impl Slice {
    /// The lines of a dimension.
    #[must_use]
    pub const fn of(&self, dimension: Dimension) -> &Lines {
        &self.lines[dimension as usize]
    }

    /// The same, to change them.
    pub const fn of_mut(&mut self, dimension: Dimension) -> &mut Lines {
        &mut self.lines[dimension as usize]
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.all.merge(&other.all);
        for (own, other) in self.lines.iter_mut().zip(&other.lines) {
            own.merge(other);
        }
    }

    /// Leaves as many lines of each dimension as `most` says.
    pub fn bound(&mut self, most: impl Fn(Dimension) -> usize) {
        for dimension in Dimension::ALL {
            self.of_mut(dimension).bound(most(dimension));
        }
    }

    /// The form for the store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        self.all.write(&mut bytes);
        for lines in &self.lines {
            lines.write(&mut bytes);
        }
        bytes
    }

    /// Reads the form of the store.
    ///
    /// # Errors
    /// [`MalformedSlice`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedSlice> {
        Self::read(bytes).ok_or(MalformedSlice)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let raw = RawSlice::read(bytes)?;
        let mut slice = Self { all: raw.all.line()?, ..Self::default() };
        for dimension in Dimension::ALL {
            *slice.of_mut(dimension) = Lines::read(raw.of(dimension)?)?;
        }
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(calls: u64, micros: u64) -> Line {
        let mut latencies = Latencies::default();
        (0..calls).for_each(|_| latencies.count_micros(micros));
        Line { calls, errors: calls / 2, frustrated: 0, latencies }
    }

    fn slice(lines: &[(u8, u64)]) -> Slice {
        let mut slice = Slice::default();
        for (subject, calls) in lines {
            let line = line(*calls, u64::from(*subject) * 100);
            slice.all.merge(&line);
            let tools = slice.of_mut(Dimension::Tool);
            tools.sum.merge(&line.counts());
            tools.by_subject.entry([*subject].into()).or_default().merge(&line);
        }
        slice
    }

    proptest! {
        #[test]
        fn the_stored_form_round_trips_and_merging_is_counting_together(
            a in proptest::collection::vec((any::<u8>(), 1_u64..9), 0..40),
            b in proptest::collection::vec((any::<u8>(), 1_u64..9), 0..40),
        ) {
            let (first, second) = (slice(&a), slice(&b));
            prop_assert_eq!(Slice::from_bytes(&first.to_bytes()), Ok(first.clone()));
            let mut merged = first;
            merged.merge(&second);
            prop_assert_eq!(merged, slice(&[a, b].concat()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Slice::from_bytes(&[&[VERSION], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn a_bounded_slice_keeps_the_largest_lines_and_the_exact_sum() {
        let mut bounded = slice(&[(1, 5), (2, 9), (3, 5), (4, 1)]);
        bounded.bound(|_| 2);
        let tools = bounded.of(Dimension::Tool);
        assert_eq!(tools.largest(), [([2].into(), 9), ([1].into(), 5)]);
        assert_eq!((tools.sum.calls, bounded.all.calls), (20, 20));
    }
}
