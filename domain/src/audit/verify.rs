//! Whether a chain is what was written: one pass over its rows and checkpoints, in the order in which they lie there.
//! Used for the store and for exports alike; needs neither.
//!
//! It accepts exactly the sequences in which every row's content gives its hash, every row follows on the one before it by
//! number and hash, and every checkpoint is signed and names the row it stands after. Everything else is a fault; what
//! the faults are called is a best guess at what was done.

use std::collections::BTreeMap;
use std::fmt;

use super::chain::ChainHash;
use super::checkpoint::{CheckpointKeys, SignedCheckpoint};
use super::entry::AuditEntry;
use crate::id::OrganizationId;
use crate::time::Timestamp;

/// Most faults that a report lists; the others are counted.
pub const FAULTS_LISTED: usize = 1000;
/// Most gaps that are kept in mind in case their rows come later.
const GAPS_REMEMBERED: usize = 10_000;

/// A row with its place in the chain, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number, from 1.
    pub seq: i64,
    /// The hash of the row before.
    pub previous: ChainHash,
    /// Its hash.
    pub hash: ChainHash,
    /// Its content.
    pub entry: AuditEntry,
}

impl Link {
    /// Whether its content, number and predecessor give its hash.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.entry.link(self.previous, self.seq) == self.hash
    }
}

/// What a chain is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A row.
    Row(Link),
    /// A checkpoint, which stands after the row that it names.
    Checkpoint(SignedCheckpoint),
}

/// Rows and the checkpoints among them, each in the order of their numbers, as one sequence.
pub fn in_order(rows: Vec<Link>, checkpoints: Vec<SignedCheckpoint>) -> impl Iterator<Item = Record> {
    let (mut rows, mut checkpoints) = (rows.into_iter().peekable(), checkpoints.into_iter().peekable());
    std::iter::from_fn(move || match (rows.peek(), checkpoints.peek()) {
        (Some(row), Some(named)) if named.checkpoint.seq < row.seq => checkpoints.next().map(Record::Checkpoint),
        (Some(_), _) => rows.next().map(Record::Row),
        (None, _) => checkpoints.next().map(Record::Checkpoint),
    })
}

/// What was done to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The row's content does not give its hash.
    Edited,
    /// The row is sound by itself, but not the one that the next row follows on or a checkpoint names.
    Exchanged,
    /// The row is another organization's.
    Foreign,
    /// Rows up to this number are not there.
    Removed {
        /// The last of them.
        last: i64,
    },
    /// The row or checkpoint stands after ones with higher numbers, or twice.
    Reordered,
    /// Rows were written up to this number at least, and are not there.
    Truncated {
        /// The last that is known to have been written.
        last: i64,
    },
    /// The export does not end with its closing checkpoint.
    Unclosed,
    /// The closing checkpoint names another beginning, or other bytes, than stand before it.
    Content,
    /// Something that is neither a row nor a checkpoint, or that comes after the end.
    Unreadable,
    /// The checkpoint's signature does not hold, or is by no key that counts.
    Forged,
    /// The newest checkpoint that was written is not there.
    Unsigned,
    /// The store's note of the newest row is not that row.
    Head,
}

impl Finding {
    /// What was done, in one word: `edited`, `removed`, `reordered`, `truncated` or `forged`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Edited | Self::Exchanged | Self::Foreign | Self::Content | Self::Unreadable | Self::Head => "edited",
            Self::Removed { .. } | Self::Unsigned => "removed",
            Self::Reordered => "reordered",
            Self::Truncated { .. } | Self::Unclosed => "truncated",
            Self::Forged => "forged",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.word())?;
        match self {
            Self::Edited => out.write_str("the row's content does not give its hash"),
            Self::Exchanged => out.write_str("the row is not the one that was written at this place"),
            Self::Foreign => out.write_str("the row is another organization's"),
            Self::Removed { last } => write!(out, "rows up to {last} are not there"),
            Self::Reordered => out.write_str("it stands after later ones, or twice"),
            Self::Truncated { last } => write!(out, "rows were written up to {last} at least, and are not there"),
            Self::Unclosed => out.write_str("the export does not end with its closing checkpoint"),
            Self::Content => out.write_str("the closing checkpoint was signed for other content than stands before it"),
            Self::Unreadable => out.write_str("the line is no row and no checkpoint of this export"),
            Self::Forged => {
                out.write_str("the checkpoint's signature does not hold, or is by a key that does not count")
            }
            Self::Unsigned => out.write_str("the newest checkpoint that was written is not there"),
            Self::Head => out.write_str("the note of the newest row names another row"),
        }
    }
}

/// Something that is wrong with a chain, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditFault {
    /// The number of the row or checkpoint, as far as it can be told.
    pub seq: i64,
    /// What.
    pub finding: Finding,
}

/// What became of a verification.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Whose chain; none when nothing said so.
    pub organization: Option<OrganizationId>,
    /// The numbers of the first and the last row.
    pub rows: Option<(i64, i64)>,
    /// How many rows were read.
    pub rows_read: u64,
    /// How many checkpoints hold.
    pub checkpoints: u64,
    /// The newest row that a checkpoint vouches for, and when it was signed.
    pub vouched: Option<(i64, Timestamp)>,
    /// The time range that was asked for, of an export of a part.
    pub range: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// What is wrong; at most [`FAULTS_LISTED`].
    pub faults: Vec<AuditFault>,
    /// How many faults are not listed.
    pub unlisted: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Notes a fault.
    pub fn fault(&mut self, seq: i64, finding: Finding) {
        if self.faults.len() < FAULTS_LISTED {
            self.faults.push(AuditFault { seq, finding });
        } else {
            self.unlisted += 1;
        }
    }
}

/// The row before, as far as it can be believed.
#[derive(Debug, Clone, Copy)]
struct Last {
    seq: i64,
    hash: ChainHash,
    /// It is known to be wrong: what does not fit it is no further fault.
    wrong: bool,
}

/// Takes rows and checkpoints in their order.
pub struct ChainVerifier<K> {
    keys: K,
    report: Report,
    first: Option<(i64, ChainHash)>,
    last: Option<Last>,
    /// Gaps whose rows did not come yet: first to last.
    gaps: BTreeMap<i64, i64>,
    /// The newest row that a checkpoint names.
    named: i64,
    /// A checkpoint that names a row which did not come yet: the row may be gone, but must not come later.
    ahead: Option<i64>,
    closed: bool,
}

impl<K: CheckpointKeys> ChainVerifier<K> {
    /// For the chain of this organization, or of whichever the first row is.
    pub fn new(organization: Option<OrganizationId>, keys: K) -> Self {
        let report = Report { organization, ..Report::default() };
        Self { keys, report, first: None, last: None, gaps: BTreeMap::new(), named: 0, ahead: None, closed: false }
    }

    /// How many rows were taken.
    #[must_use]
    pub const fn rows_read(&self) -> u64 {
        self.report.rows_read
    }

    /// Whether nothing was wrong so far, gaps included.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.report.is_sound() && self.gaps.is_empty()
    }

    /// The number of the last row in its place; 0 before the first.
    #[must_use]
    pub fn reached(&self) -> i64 {
        self.last.map_or(0, |last| last.seq)
    }

    /// Takes a row.
    pub fn row(&mut self, link: &Link) {
        self.report.rows_read += 1;
        if self.closed {
            self.report.fault(link.seq, Finding::Unreadable);
        }
        if *self.report.organization.get_or_insert(link.entry.organization) != link.entry.organization {
            self.report.fault(link.seq, Finding::Foreign);
        }
        if link.is_sound() { self.sound(link) } else { self.unsound(link) }
    }

    /// A row that is wrong by itself. Its number is not to be believed, so that it counts for the next.
    fn unsound(&mut self, link: &Link) {
        let seq = self.last.map_or(link.seq, |last| last.seq.saturating_add(1));
        self.report.fault(seq, Finding::Edited);
        self.first.get_or_insert((seq, link.previous));
        self.last = Some(Last { seq, hash: link.hash, wrong: true });
    }

    fn sound(&mut self, link: &Link) {
        let seq = link.seq;
        let next = Some(Last { seq, hash: link.hash, wrong: false });
        if let Some(named) = self.ahead.take()
            && seq <= named
        {
            self.report.fault(named, Finding::Reordered);
        }
        let Some(last) = self.last else {
            self.first = Some((seq, link.previous));
            if seq == 1 && link.previous != ChainHash::GENESIS || seq < 1 {
                self.report.fault(seq, Finding::Exchanged);
            }
            self.last = next;
            return;
        };
        if seq <= last.seq {
            self.fill_gap(seq);
            self.report.fault(seq, Finding::Reordered);
            return;
        }
        if seq - last.seq > 1 {
            self.gaps.insert(last.seq + 1, seq - 1);
            if self.gaps.len() > GAPS_REMEMBERED
                && let Some((first, last)) = self.gaps.pop_first()
            {
                self.report.fault(first, Finding::Removed { last });
            }
        } else if link.previous != last.hash && !last.wrong {
            self.report.fault(last.seq, Finding::Exchanged);
        }
        self.last = next;
    }

    fn fill_gap(&mut self, seq: i64) {
        let Some((&first, &last)) = self.gaps.range(..=seq).next_back().filter(|(_, last)| **last >= seq) else {
            return;
        };
        self.gaps.remove(&first);
        if first < seq {
            self.gaps.insert(first, seq - 1);
        }
        if seq < last {
            self.gaps.insert(seq + 1, last);
        }
    }

    /// Takes a checkpoint. `content` is BLAKE3 of all bytes before it, where there are bytes.
    pub fn checkpoint(&mut self, signed: &SignedCheckpoint, content: Option<[u8; 32]>) {
        let checkpoint = &signed.checkpoint;
        let seq = checkpoint.seq;
        if self.closed {
            self.report.fault(seq, Finding::Unreadable);
        }
        let organization = *self.report.organization.get_or_insert(checkpoint.organization);
        if organization != checkpoint.organization || !self.keys.holds(signed) {
            self.report.fault(seq, Finding::Forged);
            return;
        }
        self.report.checkpoints += 1;
        if self.report.vouched.is_none_or(|(newest, _)| newest <= seq) {
            self.report.vouched = Some((seq, checkpoint.at));
        }
        self.named = self.named.max(seq);
        match self.last {
            Some(last) if last.seq == seq => {
                if last.hash != checkpoint.hash && !last.wrong {
                    self.report.fault(seq, Finding::Exchanged);
                }
            }
            Some(last) if last.seq > seq => self.report.fault(seq, Finding::Reordered),
            // The row that it names is missing, which is noticed by the next row or at the end; or it comes later.
            _ => self.ahead = Some(seq),
        }
        if let Some(closing) = &checkpoint.closes {
            self.closed = true;
            let (first, previous) = self.first.unwrap_or((seq.saturating_add(1), checkpoint.hash));
            if closing.from.is_some() || closing.to.is_some() || closing.first > 1 {
                self.report.range = Some((closing.from, closing.to));
            }
            if first > closing.first {
                self.report.fault(closing.first, Finding::Removed { last: first - 1 });
            } else if (first, previous) != (closing.first, closing.previous) {
                self.report.fault(first, Finding::Content);
            }
            if content.is_some_and(|content| content != closing.content) {
                self.report.fault(seq, Finding::Content);
            }
        }
    }

    /// Takes something that is neither.
    pub fn unreadable(&mut self) {
        self.report.fault(self.reached() + 1, Finding::Unreadable);
    }

    fn finish(mut self) -> Report {
        for (first, last) in std::mem::take(&mut self.gaps) {
            self.report.fault(first, Finding::Removed { last });
        }
        self.report.rows = self.first.map(|(first, _)| first).zip(self.last.map(|last| last.seq));
        self.report
    }

    /// The end of an export.
    #[must_use]
    pub fn finish_export(mut self) -> Report {
        let reached = self.reached();
        if !self.closed {
            self.report.fault(reached + 1, Finding::Unclosed);
        }
        // The closing checkpoint of an export without rows names the row before it.
        if self.named > reached && self.last.is_some() {
            self.report.fault(reached + 1, Finding::Truncated { last: self.named });
        }
        self.finish()
    }

    /// The end of a chain in the store, which noted its newest row and newest checkpoint apart.
    #[must_use]
    pub fn finish_store(mut self, head: Option<StoredHead>) -> Report {
        let reached = self.reached();
        if let Some((first, _)) = self.first
            && first > 1
        {
            self.report.fault(1, Finding::Removed { last: first - 1 });
        }
        let head_seq = head.map_or(0, |head| head.seq);
        let written = head_seq.max(self.named);
        if written > reached {
            self.report.fault(reached + 1, Finding::Truncated { last: written });
        } else if let Some(last) = self.last
            && !last.wrong
            && head.is_none_or(|head| (head.seq, head.hash) != (last.seq, last.hash))
        {
            self.report.fault(head_seq, Finding::Head);
        }
        if let Some(head) = head
            && head.signed > self.named
        {
            self.report.fault(head.signed, Finding::Unsigned);
        }
        self.finish()
    }
}

/// What a store noted of a chain's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredHead {
    /// The newest row's number.
    pub seq: i64,
    /// The newest row's hash.
    pub hash: ChainHash,
    /// The row that the newest checkpoint names; 0 when there is none.
    pub signed: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::checkpoint::{Checkpoint, Closing};
    use crate::audit::{AuditActor, AuditEvent};

    /// Keys of a house without secrets: a signature that says `good` holds.
    struct Good;

    impl CheckpointKeys for Good {
        fn holds(&self, checkpoint: &SignedCheckpoint) -> bool {
            checkpoint.signature == b"good"
        }
    }

    const ROWS: i64 = 12;

    /// An export of a chain with checkpoints after rows 4 and 8 and at its end.
    fn export() -> Vec<Record> {
        let organization = OrganizationId::new();
        let mut previous = ChainHash::GENESIS;
        let mut records = Vec::new();
        for seq in 1..=ROWS {
            let at = Timestamp::from_micros(seq);
            let event = AuditEvent {
                organization: Some(organization),
                ..AuditEvent::unproven(AuditActor::System, "key.create", at)
            };
            let entry = AuditEntry::from(&event);
            let hash = entry.link(previous, seq);
            records.push(Record::Row(Link { seq, previous, hash, entry }));
            previous = hash;
            let closes = (seq == ROWS).then_some(Closing {
                first: 1,
                previous: ChainHash::GENESIS,
                from: None,
                to: None,
                content: [0; 32],
            });
            if seq % 4 == 0 {
                let checkpoint = Checkpoint { organization, seq, hash, at, closes };
                let signature = b"good".to_vec();
                records.push(Record::Checkpoint(SignedCheckpoint {
                    checkpoint,
                    kid: String::new(),
                    public_key: vec![],
                    signature,
                }));
            }
        }
        records
    }

    fn verify(records: &[Record]) -> Report {
        let mut verifier = ChainVerifier::new(None, Good);
        for record in records {
            match record {
                Record::Row(row) => verifier.row(row),
                Record::Checkpoint(signed) => verifier.checkpoint(signed, None),
            }
        }
        verifier.finish_export()
    }

    fn faults(records: &[Record]) -> Vec<(i64, Finding)> {
        verify(records).faults.iter().map(|fault| (fault.seq, fault.finding)).collect()
    }

    fn row(records: &mut [Record], seq: i64) -> &mut Link {
        let rows = records.iter_mut().filter_map(|record| match record {
            Record::Row(link) => Some(link),
            Record::Checkpoint(_) => None,
        });
        rows.into_iter().find(|link| link.seq == seq).expect("a row")
    }

    fn place(records: &[Record], seq: i64) -> usize {
        records.iter().position(|record| matches!(record, Record::Row(link) if link.seq == seq)).expect("a row")
    }

    #[test]
    fn an_untouched_chain_is_sound() {
        let report = verify(&export());
        assert_eq!((report.is_sound(), report.rows, report.checkpoints), (true, Some((1, ROWS)), 3));
        assert_eq!((report.vouched, report.range), (Some((ROWS, Timestamp::from_micros(ROWS))), None));
    }

    #[test]
    fn what_was_done_is_called_by_its_name_and_place() {
        let mut edited = export();
        row(&mut edited, 3).entry.reason = Some("x".to_owned());
        assert_eq!(faults(&edited), [(3, Finding::Edited)]);

        let mut exchanged = export();
        let link = row(&mut exchanged, 3);
        link.entry.reason = Some("x".to_owned());
        link.hash = link.entry.link(link.previous, link.seq);
        assert_eq!(faults(&exchanged), [(3, Finding::Exchanged)]);

        let mut removed = export();
        removed.drain(place(&removed, 5)..=place(&removed, 6));
        assert_eq!(faults(&removed), [(5, Finding::Removed { last: 6 })]);

        let mut beheaded = export();
        beheaded.drain(..3);
        assert_eq!(faults(&beheaded), [(1, Finding::Removed { last: 3 })]);

        let mut reordered = export();
        let at = place(&reordered, 6);
        reordered.swap(at, at + 1);
        assert_eq!(faults(&reordered), [(6, Finding::Reordered)]);

        let mut truncated = export();
        truncated.truncate(place(&truncated, 10));
        assert_eq!(faults(&truncated), [(10, Finding::Unclosed)]);

        let mut shortened = export();
        shortened.remove(place(&shortened, ROWS));
        assert_eq!(faults(&shortened), [(ROWS, Finding::Truncated { last: ROWS })]);

        let mut forged = export();
        let Some(Record::Checkpoint(signed)) = forged.get_mut(4) else { panic!("a checkpoint") };
        signed.signature = b"bad".to_vec();
        assert_eq!(faults(&forged), [(4, Finding::Forged)]);
    }

    #[test]
    fn a_store_is_compared_with_its_own_notes() {
        let rows: Vec<Link> = export()
            .into_iter()
            .filter_map(|record| match record {
                Record::Row(link) => Some(link),
                Record::Checkpoint(_) => None,
            })
            .collect();
        let verify = |rows: &[Link], head: Option<StoredHead>| {
            let mut verifier = ChainVerifier::new(None, Good);
            for row in rows {
                verifier.row(row);
            }
            verifier.finish_store(head).faults.first().map(|fault| (fault.seq, fault.finding))
        };
        let last = rows.last().expect("a row").hash;
        let head = |seq, hash, signed| Some(StoredHead { seq, hash, signed });
        assert_eq!(verify(&rows, head(ROWS, last, 0)), None);
        assert_eq!(verify(&[], None), None);
        assert_eq!(verify(&rows, None), Some((0, Finding::Head)));
        assert_eq!(verify(&rows, head(ROWS, ChainHash::GENESIS, 0)), Some((ROWS, Finding::Head)));
        assert_eq!(verify(&rows, head(3, rows[2].hash, 0)), Some((3, Finding::Head)));
        assert_eq!(verify(&rows[..9], head(ROWS, last, 0)), Some((10, Finding::Truncated { last: ROWS })));
        assert_eq!(verify(&[], head(ROWS, last, 0)), Some((1, Finding::Truncated { last: ROWS })));
        assert_eq!(verify(&rows[3..], head(ROWS, last, 0)), Some((1, Finding::Removed { last: 3 })));
        assert_eq!(verify(&rows, head(ROWS, last, 8)), Some((8, Finding::Unsigned)));
    }

    proptest! {
        /// Only the one sequence is accepted: any choice of the records, in any order, with any repeated, is a fault
        /// unless it is that sequence. (A checkpoint on the way may be left out of a sequence whose bytes nobody hashed.)
        #[test]
        fn no_other_sequence_is_accepted(picks in proptest::collection::vec(0_usize..15, 0..20)) {
            let all = export();
            let chosen: Vec<Record> = picks.iter().map(|pick| all[*pick].clone()).collect();
            let rows = |records: &[Record]| -> Vec<i64> {
                records.iter().filter_map(|record| match record {
                    Record::Row(link) => Some(link.seq),
                    Record::Checkpoint(_) => None,
                }).collect()
            };
            prop_assert!(!verify(&chosen).is_sound() || rows(&chosen) == rows(&all));
        }

        /// Gaps are remembered however they come and whatever fills them.
        #[test]
        fn any_order_but_the_right_one_is_a_fault(order in Just((0_usize..15).collect::<Vec<_>>()).prop_shuffle()) {
            let all = export();
            let shuffled: Vec<Record> = order.iter().map(|place| all[*place].clone()).collect();
            prop_assert_eq!(verify(&shuffled).is_sound(), shuffled == all);
        }
    }
}
