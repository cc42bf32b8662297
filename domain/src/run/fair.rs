//! Whose run comes next: organizations take turns, so that one with thousands of runs does not keep the others waiting.

use crate::id::OrganizationId;
use crate::time::Timestamp;

/// What an organization has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The organization.
    pub organization: OrganizationId,
    /// How many of its runs nodes have.
    pub running: u64,
    /// Since when its oldest waiting run waits; none when none waits.
    pub waits_since: Option<Timestamp>,
}

/// The organization whose oldest waiting run is taken next: the one with the fewest under way, and of several the one that
/// waits longest.
#[must_use]
pub fn next(loads: &[Load]) -> Option<OrganizationId> {
    let waiting = loads.iter().filter_map(|load| Some((load.running, load.waits_since?, load.organization)));
    waiting.min().map(|(_, _, organization)| organization)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_organization_with_the_fewest_under_way_is_next_then_the_one_that_waits_longest() {
        let load = |running, since: Option<i64>| Load {
            organization: OrganizationId::new(),
            running,
            waits_since: since.map(Timestamp::from_micros),
        };
        let (busy, idle, newer, done) = (load(5, Some(1)), load(1, Some(2)), load(1, Some(3)), load(0, None));
        assert_eq!(next(&[busy, newer, idle, done]), Some(idle.organization));
        assert_eq!(next(&[busy, done]), Some(busy.organization));
        assert_eq!(next(&[done]), None);
    }
}
