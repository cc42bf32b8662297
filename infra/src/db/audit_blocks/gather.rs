//! Blocks that fill while their rows are written, so that nobody reads the rows again. What is not here, since another
//! node wrote some of its rows, or a change did, or this process began within it, is read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::audit::entry::AuditEntry;
use domain::id::OrganizationId;

use super::terms::Terms;
use super::{ROWS, block_of, first_of};
use crate::db::entity::audit_event;

/// Chains whose newest block may be under way at once.
const CHAINS: usize = 256;
/// A chain to which nothing was added for so long gives its place to another.
const IDLE: Duration = Duration::from_secs(10);
/// Blocks that may wait to be written.
const WAITING: usize = 256;

/// What a block says of its rows.
#[derive(Debug)]
pub struct Content {
    /// When the oldest took place, microseconds since the epoch.
    pub min_at: i64,
    /// When the newest did.
    pub max_at: i64,
    /// What occurs in them.
    pub terms: Terms,
}

impl Default for Content {
    fn default() -> Self {
        Self { min_at: i64::MAX, max_at: i64::MIN, terms: Terms::default() }
    }
}

impl Content {
    fn saw(&mut self, at: i64) {
        self.min_at = self.min_at.min(at);
        self.max_at = self.max_at.max(at);
    }

    /// Adds a row that was read.
    pub fn add_row(&mut self, row: &audit_event::Model) {
        self.saw(row.at);
        self.terms.add(&row.into());
    }

    fn add(&mut self, entry: &AuditEntry) {
        self.saw(entry.at.as_micros());
        self.terms.add(&entry.into());
    }
}

struct UnderWay {
    /// The number of the row that comes next.
    next: i64,
    touched: Instant,
    content: Content,
}

#[derive(Default)]
struct Blocks {
    under_way: HashMap<OrganizationId, UnderWay>,
    whole: HashMap<(OrganizationId, i64), Content>,
}

/// The blocks that are gathered.
#[derive(Default)]
pub struct Gathered(Mutex<Blocks>);

impl Gathered {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds rows that are committed: `first` is the number of the first of them in their organization's chain.
    pub fn add(&self, organization: OrganizationId, first: i64, rows: &[&AuditEntry]) {
        let blocks = &mut *self.lock();
        let mut current = blocks.under_way.remove(&organization).filter(|block| block.next == first);
        for (row, seq) in rows.iter().zip(first..) {
            if current.is_none() && seq == first_of(block_of(seq)) && blocks.has_room() {
                current = Some(UnderWay { next: seq, touched: Instant::now(), content: Content::default() });
            }
            let Some(block) = &mut current else { continue };
            block.content.add(row);
            block.next += 1;
            if block.next % ROWS == 1
                && let Some(whole) = current.take()
                && blocks.whole.len() < WAITING
            {
                blocks.whole.insert((organization, block_of(seq)), whole.content);
            }
        }
        if let Some(block) = current {
            blocks.under_way.insert(organization, UnderWay { touched: Instant::now(), ..block });
        }
    }

    /// Takes a whole block, if it was gathered.
    pub fn take(&self, organization: OrganizationId, block: i64) -> Option<Content> {
        self.lock().whole.remove(&(organization, block))
    }

    /// Forgets what nobody took: others have written those blocks.
    pub fn sweep(&self, organization: OrganizationId, written: i64) {
        self.lock().whole.retain(|(of, block), _| *of != organization || *block > written);
    }
}

impl Blocks {
    fn has_room(&mut self) -> bool {
        if self.under_way.len() >= CHAINS {
            self.under_way.retain(|_, block| block.touched.elapsed() < IDLE);
        }
        self.under_way.len() < CHAINS
    }
}

#[cfg(test)]
mod tests {
    use domain::audit::{AuditActor, AuditEvent};
    use domain::time::Timestamp;

    use super::super::terms::may_hold;
    use super::*;

    fn entries(count: i64) -> Vec<AuditEntry> {
        (0..count)
            .map(|number| {
                AuditEntry::from(&AuditEvent::unproven(AuditActor::System, "a.b", Timestamp::from_micros(number)))
            })
            .collect()
    }

    fn add(gathered: &Gathered, organization: OrganizationId, first: i64, count: i64) {
        let rows = entries(count);
        gathered.add(organization, first, &rows.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_block_is_whole_when_its_last_row_came_however_they_came() {
        for step in [1, 7, 1024, 5000] {
            let (gathered, organization) = (Gathered::default(), OrganizationId::new());
            let mut next = 1;
            while next <= 3 * ROWS {
                add(&gathered, organization, next, step);
                next += step;
            }
            for block in 0..3 {
                let content = gathered.take(organization, block).unwrap_or_else(|| panic!("block {block} by {step}"));
                assert!(may_hold(&content.terms.filter(), &[]));
                assert!(content.min_at <= content.max_at);
                assert!(gathered.take(organization, block).is_none(), "once");
            }
        }
    }

    #[test]
    fn a_block_of_which_somebody_else_wrote_a_row_is_not_gathered_and_the_next_one_is() {
        let (gathered, organization) = (Gathered::default(), OrganizationId::new());
        add(&gathered, organization, 1, 500);
        add(&gathered, organization, 502, 2 * ROWS);
        assert!(gathered.take(organization, 0).is_none());
        assert!(gathered.take(organization, 1).is_some());
        assert!(gathered.take(organization, 2).is_none(), "it is not whole");
    }

    #[test]
    fn a_process_that_begins_within_a_block_does_not_gather_it() {
        let (gathered, organization) = (Gathered::default(), OrganizationId::new());
        add(&gathered, organization, 2, 2 * ROWS);
        assert!(gathered.take(organization, 0).is_none());
        assert!(gathered.take(organization, 1).is_some());
    }

    #[test]
    fn the_number_of_chains_and_of_blocks_is_bounded() {
        let gathered = Gathered::default();
        for _ in 0..2 * CHAINS {
            add(&gathered, OrganizationId::new(), 1, 2);
        }
        assert_eq!(gathered.lock().under_way.len(), CHAINS);
        let organization = *gathered.lock().under_way.keys().next().expect("one");
        add(&gathered, organization, 3, 2 * ROWS * i64::try_from(WAITING).expect("small"));
        assert_eq!(gathered.lock().whole.len(), WAITING);
        gathered.sweep(organization, 9);
        assert_eq!(gathered.lock().whole.len(), WAITING - 10);
    }
}
