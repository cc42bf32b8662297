//! Changes that were committed and not yet answered: for which nodes they wait.

use std::collections::HashMap;
use std::time::Instant;

use domain::receipt::{LetGo, Receipt, Why};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::roll::NodeRow;

/// A change that waits.
#[derive(Debug)]
pub struct Waiting {
    number: i64,
    began: Instant,
    // None before the nodes were read: they must be read after the commit.
    nodes: Option<HashMap<Uuid, String>>,
    receipt: Vec<LetGo>,
    answer: oneshot::Sender<Receipt>,
}

/// All of them, and how far each node is known to be.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    waiting: Vec<Waiting>,
    confirmed: HashMap<Uuid, i64>,
}

impl WaitingRoom {
    /// Takes one in, whose change has this number and is committed.
    pub fn enter(&mut self, number: i64, began: Instant, answer: oneshot::Sender<Receipt>) {
        self.waiting.push(Waiting { number, began, nodes: None, receipt: vec![], answer });
    }

    /// Whether nobody waits.
    pub const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A node has applied every change up to this one.
    pub fn confirmed(&mut self, node: Uuid, number: i64) {
        let known = self.confirmed.entry(node).or_default();
        *known = number.max(*known);
    }

    /// Numbers may be another's from now on, since the database has lost some: what was confirmed before says nothing. What
    /// the rows say does, with which they were lost.
    pub fn forget(&mut self) {
        self.confirmed.clear();
    }

    /// All nodes that have a lease, read just now: after everybody here has come. Who is not among them has none.
    pub fn nodes(&mut self, rows: &[NodeRow]) {
        self.confirmed.retain(|node, _| rows.iter().any(|row| row.id == *node));
        for row in rows {
            self.confirmed(row.id, row.confirmed);
        }
        for waiting in &mut self.waiting {
            match &mut waiting.nodes {
                unread @ None => *unread = Some(rows.iter().map(|row| (row.id, row.name.clone())).collect()),
                Some(nodes) => {
                    let gone = nodes.extract_if(|id, _| !rows.iter().any(|row| row.id == *id));
                    waiting.receipt.extend(gone.map(|(_, node)| LetGo {
                        node,
                        after: waiting.began.elapsed(),
                        why: Why::LeaseOver,
                    }));
                }
            }
        }
    }

    /// Lets everybody go whose nodes have all confirmed or lost their lease.
    pub fn settle(&mut self) {
        for waiting in &mut self.waiting {
            let Some(nodes) = &mut waiting.nodes else { continue };
            let has = |id: &Uuid| self.confirmed.get(id).is_some_and(|confirmed| *confirmed >= waiting.number);
            let done = nodes.extract_if(|id, _| has(id));
            waiting.receipt.extend(done.map(|(_, node)| LetGo {
                node,
                after: waiting.began.elapsed(),
                why: Why::Confirmed,
            }));
        }
        let is_done =
            |waiting: &mut Waiting| waiting.answer.is_closed() || waiting.nodes.as_ref().is_some_and(HashMap::is_empty);
        for done in self.waiting.extract_if(.., is_done) {
            let _ = done.answer.send(Receipt(done.receipt));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u128, confirmed: i64) -> NodeRow {
        NodeRow { id: Uuid::from_u128(id), name: format!("node {id}"), confirmed, renewals: 0, root: None }
    }

    fn room(number: i64) -> (WaitingRoom, oneshot::Receiver<Receipt>) {
        let (sender, receiver) = oneshot::channel();
        let mut room = WaitingRoom::default();
        room.enter(number, Instant::now(), sender);
        (room, receiver)
    }

    fn names(receipt: &Receipt) -> Vec<(&str, Why)> {
        let mut names: Vec<_> = receipt.0.iter().map(|node| (node.node.as_str(), node.why)).collect();
        names.sort_by_key(|(name, _)| *name);
        names
    }

    #[test]
    fn a_change_waits_for_every_node_that_had_a_lease_when_it_was_committed() {
        let (mut room, mut answer) = room(7);
        room.settle();
        assert!(answer.try_recv().is_err(), "the nodes are not read yet");
        room.nodes(&[row(1, 7), row(2, 6)]);
        room.settle();
        assert!(answer.try_recv().is_err(), "one has not confirmed");
        room.confirmed(Uuid::from_u128(2), 6);
        room.settle();
        assert!(answer.try_recv().is_err(), "not this change");
        // Who comes later was never told the old state.
        room.nodes(&[row(1, 7), row(2, 6), row(3, 0)]);
        room.confirmed(Uuid::from_u128(2), 8);
        room.settle();
        let receipt = answer.try_recv().expect("both have");
        assert_eq!(names(&receipt), [("node 1", Why::Confirmed), ("node 2", Why::Confirmed)]);
        assert!(room.is_empty());
    }

    #[test]
    fn a_node_without_a_lease_is_not_waited_for_and_the_receipt_says_why() {
        let (mut room, mut answer) = room(7);
        room.nodes(&[row(1, 7), row(2, 6)]);
        room.nodes(&[row(1, 7)]);
        room.settle();
        let receipt = answer.try_recv().expect("the other one's lease is over");
        assert_eq!(names(&receipt), [("node 1", Why::Confirmed), ("node 2", Why::LeaseOver)]);
    }

    #[test]
    fn who_no_longer_waits_takes_no_place() {
        let (mut room, answer) = room(7);
        room.nodes(&[row(1, 0)]);
        drop(answer);
        room.settle();
        assert!(room.is_empty());
    }

    #[test]
    fn what_was_confirmed_before_the_database_lost_numbers_counts_for_no_later_change() {
        let (mut room, mut answer) = room(8);
        // Of the numbers that were lost.
        room.confirmed(Uuid::from_u128(1), 10);
        room.forget();
        room.nodes(&[row(1, 7)]);
        room.settle();
        assert!(answer.try_recv().is_err(), "it has not applied this one");
        room.confirmed(Uuid::from_u128(1), 8);
        room.settle();
        assert_eq!(names(&answer.try_recv().expect("now it has")), [("node 1", Why::Confirmed)]);
    }

    #[test]
    fn what_a_node_confirmed_before_it_lost_its_lease_counts_for_no_other_node() {
        let (mut room, mut answer) = room(7);
        room.confirmed(Uuid::from_u128(1), 9);
        room.nodes(&[row(2, 0)]);
        room.settle();
        assert!(answer.try_recv().is_err());
    }
}
