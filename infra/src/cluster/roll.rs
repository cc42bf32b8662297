//! The other nodes, as this one sees them: whose lease stands still, and for how long by this node's own clock.
//!
//! No two clocks are compared. A node holds its lease for [`super::HELD`] from before it asked for the renewal; whoever
//! sees the number of its renewals stand still for [`super::AWAITED`], which is longer, knows that it is over, if then no
//! later renewal can come through. That is why the row goes in one statement that still finds the same number.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

/// A node as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Which start of which process.
    pub id: Uuid,
    /// What its operator calls it.
    pub name: String,
    /// The last change that it has applied.
    pub confirmed: i64,
    /// How often it has renewed its lease.
    pub renewals: i64,
    /// The fingerprint of the root secret that it makes things under; none of the version before.
    pub root: Option<String>,
}

/// Since when each node's renewals stand as they do.
#[derive(Debug, Default)]
pub struct Roll(HashMap<Uuid, (i64, std::time::Instant)>);

impl Roll {
    /// Takes note of rows that were read before `now`. Those that have stood still for `awaited`.
    ///
    /// `Instant` is right here, which stands still while this machine sleeps: that only makes the wait longer.
    pub fn observe(&mut self, rows: &[NodeRow], now: std::time::Instant, awaited: Duration) -> Vec<(Uuid, i64)> {
        self.0.retain(|id, _| rows.iter().any(|row| row.id == *id));
        let mut over = Vec::new();
        for row in rows {
            let (renewals, since) = self.0.entry(row.id).or_insert((row.renewals, now));
            if *renewals != row.renewals {
                (*renewals, *since) = (row.renewals, now);
            } else if now.saturating_duration_since(*since) >= awaited {
                over.push((row.id, row.renewals));
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn row(id: u128, renewals: i64) -> NodeRow {
        NodeRow { id: Uuid::from_u128(id), name: String::new(), confirmed: 0, renewals, root: None }
    }

    #[test]
    fn a_lease_is_over_when_its_renewals_stood_still_for_as_long_as_it_is_awaited() {
        let (mut roll, t, awaited) = (Roll::default(), Instant::now(), Duration::from_secs(3));
        let at = |ms| t + Duration::from_millis(ms);
        assert!(roll.observe(&[row(1, 5), row(2, 1)], t, awaited).is_empty());
        assert!(roll.observe(&[row(1, 5), row(2, 2)], at(2_999), awaited).is_empty());
        assert_eq!(roll.observe(&[row(1, 5), row(2, 2)], at(3_000), awaited), [(Uuid::from_u128(1), 5)]);
        // One renewal, and it is awaited anew.
        assert!(roll.observe(&[row(1, 6), row(2, 3)], at(3_001), awaited).is_empty());
        assert!(roll.observe(&[row(1, 6), row(2, 4)], at(6_000), awaited).is_empty());
        assert_eq!(roll.observe(&[row(1, 6), row(2, 5)], at(6_001), awaited), [(Uuid::from_u128(1), 6)]);
    }

    #[test]
    fn a_number_that_fell_back_counts_as_a_renewal() {
        // The database lost what it had said; the node's own clock runs from the renewal that was lost.
        let (mut roll, t, awaited) = (Roll::default(), Instant::now(), Duration::from_secs(3));
        roll.observe(&[row(1, 6)], t, awaited);
        assert!(roll.observe(&[row(1, 5)], t + Duration::from_secs(3), awaited).is_empty());
    }
}
