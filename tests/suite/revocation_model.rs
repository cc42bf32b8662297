//! The protocol of docs/revocation.md as a small model, every state of which is visited: no request that starts after a
//! revocation was answered is accepted by a node. And the model with one rule left out at a time, where there must be a
//! way to such a request: a model that could not fail would prove nothing.
//!
//! One key, one node that holds it in memory, the database, whoever revokes it, and somebody who changes something else at the
//! same time: two changes with a number each. Nodes share nothing but the database, and the answer waits for each of them, so
//! that more nodes add nothing. Every step of a node can be late by any time:
//! a node that stands still takes no steps while the clock runs. What it sends can be lost, and can come through after it
//! gave up and sent something else.

use stateright::{Checker, Model, Property};

/// How long a node trusts what it remembers, from before it asked; for how long others see it stand still. In steps of
/// the clock.
const HELD: u8 = 2;
const AWAITED: u8 = 3;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The counter is not locked until the commit: the number that is given first may be committed last.
    CounterLocked,
    /// The node never asks whether its lease is held.
    LeaseCheck,
    /// It looks into its memory first, and then asks whether the lease is held.
    LeaseCheckFirst,
    /// A lease counts from the database's answer.
    LeaseFromBeforeTheQuestion,
    /// The node says that it has applied a change before it has.
    ApplyBeforeConfirm,
    /// A request stores what it read whatever has happened since.
    Generations,
    /// The nodes are read before the commit.
    NodesAfterCommit,
    /// Others wait for less time than the lease is held.
    LongWait,
    /// A lease is taken away that was renewed since.
    RenewalsCompared,
    /// The memory is emptied before the node's row is there.
    RowBeforeEmptying,
    /// The memory is emptied before the newest number is read, which says from where on changes are applied.
    NumberBeforeEmptying,
    /// Without a lease the node goes on with the one that it lost.
    EmptyingAtAll,
}

/// A transaction that changes something, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    None,
    /// It has its number, and nobody sees it yet.
    Numbered(u8),
    Committed(u8),
}

impl Change {
    const fn is_committed(self) -> bool {
        matches!(self, Self::Committed(_))
    }

    /// Its number, for those who read what is committed.
    const fn seen(self) -> u8 {
        if let Self::Committed(number) = self { number } else { 0 }
    }
}

/// A row of the table of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    id: u8,
    /// Every change up to this number.
    confirmed: u8,
}

/// A renewal that the node asked for, and how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    None,
    Sent {
        confirms: u8,
        age: u8,
    },
    /// The database has done it.
    Done {
        age: u8,
    },
    /// It found no row.
    Refused,
}

/// How far the node has a lease of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Membership {
    /// None; it asks for one.
    Out,
    /// One of the three steps is done, or two. Which they are depends on what is left out.
    Joining(u8),
    In,
}

/// What others have seen of the row, and how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Seen {
    age: u8,
    /// It stands still since.
    still: bool,
}

// No number here grows: what is compared with another number is kept as what the comparison says, and what is a time as
// how long it is ago, up to where longer makes no difference. So there are as many states as these fields have values, and
// the clock runs for ever.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and the fewer values the fewer states")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    // The database.
    revocation: Change,
    other: Change,
    row: Option<Row>,
    // The node.
    id: u8,
    membership: Membership,
    /// The number of the last change that it has applied.
    place: u8,
    /// How long its lease is held yet.
    lease: u8,
    cached: bool,
    /// A request has read the key and is about to store it; whether the generation is what it was.
    filling: Option<bool>,
    question: Question,
    /// What it gave up to wait for, and what may come through yet: for which lease, and what it confirms.
    lost: Option<(u8, u8)>,
    /// A request that started after the answer is between its two looks; the first was good.
    request: bool,
    // Whoever revokes, and watches.
    waits: Option<Option<u8>>,
    seen: Option<Seen>,
    answered: bool,
    // What must never be.
    accepted_late: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Tick,
    // The node.
    Join,
    Read,
    Fill,
    Apply,
    Ask,
    Hear,
    GiveUp,
    Look,
    LookAgain,
    // The database.
    Renew,
    RenewLost,
    // Whoever revokes, and somebody else.
    Number,
    Commit,
    NumberOther,
    CommitOther,
    ReadNodes,
    Watch,
    Take,
    Answer,
}

struct Protocol(Without);

impl Protocol {
    fn lacks(&self, what: Without) -> bool {
        self.0 == what
    }

    fn holds(&self, state: &State) -> bool {
        self.lacks(Without::LeaseCheck) || state.lease > 0
    }

    /// The three steps of getting a lease, in their order or another.
    fn join(&self, state: &mut State, step: u8) {
        let order = if self.lacks(Without::RowBeforeEmptying) {
            [1, 2, 0]
        } else if self.lacks(Without::NumberBeforeEmptying) {
            [0, 2, 1]
        } else {
            [0, 1, 2]
        };
        match order[usize::from(step)] {
            0 => {
                state.id += 1;
                state.row = Some(Row { id: state.id, confirmed: 0 });
                state.seen = None;
            }
            1 => state.place = newest(state),
            _ if self.lacks(Without::EmptyingAtAll) => {}
            _ => empty(state),
        }
    }

    /// Whether a change may take its number: while another has one and is not committed, it waits for the counter.
    fn may_count(&self, state: &State, change: Change) -> bool {
        let counting = [state.revocation, state.other].iter().any(|change| matches!(change, Change::Numbered(_)));
        change == Change::None && (!counting || self.lacks(Without::CounterLocked))
    }

    fn may_take(&self, state: &State) -> bool {
        let awaited = if self.lacks(Without::LongWait) { HELD - 1 } else { AWAITED };
        let compared = |seen: &Seen| seen.still || self.lacks(Without::RenewalsCompared);
        state.row.is_some() && state.seen.is_some_and(|seen| seen.age >= awaited && compared(&seen))
    }

    fn may_join(state: &State) -> bool {
        match state.membership {
            // Two leases: a third would bring nothing new.
            Membership::Out => state.row.is_none() && state.id < 2,
            Membership::Joining(_) => true,
            Membership::In => false,
        }
    }
}

/// The newest number that whoever reads now finds.
fn newest(state: &State) -> u8 {
    state.revocation.seen().max(state.other.seen())
}

/// The next number of the counter.
fn next_number(state: &State) -> Change {
    let given = [state.revocation, state.other].iter().filter(|change| **change != Change::None).count();
    Change::Numbered(if given == 0 { 1 } else { 2 })
}

fn committed(change: Change) -> Option<Change> {
    if let Change::Numbered(number) = change { Some(Change::Committed(number)) } else { None }
}

fn empty(state: &mut State) {
    state.cached = false;
    state.filling = state.filling.map(|_| false);
}

/// What the database does with a renewal; whether it finds the row.
fn renew(state: &mut State, id: u8, confirms: u8) -> bool {
    let Some(row) = state.row.as_mut().filter(|row| row.id == id) else { return false };
    row.confirmed = row.confirmed.max(confirms);
    state.seen = state.seen.map(|seen| Seen { still: false, ..seen });
    true
}

fn tick(state: &mut State) {
    let older = |age: u8| (age + 1).min(AWAITED);
    state.lease = state.lease.saturating_sub(1);
    state.seen = state.seen.map(|seen| Seen { age: older(seen.age), ..seen });
    state.question = match state.question {
        Question::Sent { confirms, age } => Question::Sent { confirms, age: older(age) },
        Question::Done { age } => Question::Done { age: older(age) },
        other @ (Question::None | Question::Refused) => other,
    };
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let state = State {
            revocation: Change::None,
            other: Change::None,
            row: None,
            id: 0,
            membership: Membership::Out,
            place: 0,
            lease: 0,
            cached: false,
            filling: None,
            question: Question::None,
            lost: None,
            request: false,
            waits: None,
            seen: None,
            answered: false,
            accepted_late: false,
        };
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let early = self.lacks(Without::NodesAfterCommit);
        let inside = state.membership == Membership::In;
        let revoked = state.revocation.is_committed();
        let possible = [
            (Step::Tick, true),
            (Step::Join, Self::may_join(state)),
            (Step::Read, state.filling.is_none() && !revoked && !state.cached),
            (Step::Fill, state.filling.is_some()),
            (Step::Apply, inside && newest(state) > state.place),
            (Step::Ask, inside && state.question == Question::None),
            (Step::Renew, matches!(state.question, Question::Sent { .. })),
            (Step::Hear, matches!(state.question, Question::Done { .. } | Question::Refused)),
            (Step::GiveUp, state.question != Question::None),
            (Step::RenewLost, state.lost.is_some()),
            (Step::Look, state.answered && !state.request),
            (Step::LookAgain, state.request),
            (Step::ReadNodes, state.waits.is_none() && (early || revoked)),
            (Step::Number, self.may_count(state, state.revocation)),
            (Step::Commit, committed(state.revocation).is_some() && (!early || state.waits.is_some())),
            (Step::NumberOther, self.may_count(state, state.other)),
            (Step::CommitOther, committed(state.other).is_some()),
            (Step::Watch, state.row.is_some() && state.seen.is_none_or(|seen| !seen.still)),
            (Step::Take, self.may_take(state)),
            (Step::Answer, revoked && state.waits.is_some() && !state.answered),
        ];
        steps.extend(possible.into_iter().filter(|(_, can)| *can).map(|(step, _)| step));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = *before;
        match step {
            Step::Tick => tick(&mut state),
            Step::Join => {
                let done = if let Membership::Joining(done) = state.membership { done } else { 0 };
                self.join(&mut state, done);
                state.membership = if done == 2 { Membership::In } else { Membership::Joining(done + 1) };
            }
            // A request that finds nothing in memory reads the key, and stores it.
            Step::Read => state.filling = Some(true),
            Step::Fill => {
                let unchanged = state.filling.take() == Some(true);
                state.cached |= unchanged || self.lacks(Without::Generations);
            }
            // What is committed and follows on its place. The other change is none of this key's.
            Step::Apply => {
                if state.revocation.seen() > state.place {
                    empty(&mut state);
                }
                state.place = newest(&state);
            }
            Step::Ask => {
                let confirms = if self.lacks(Without::ApplyBeforeConfirm) { newest(&state) } else { state.place };
                state.question = Question::Sent { confirms, age: 0 };
            }
            Step::Renew => {
                let Question::Sent { confirms, age } = state.question else { return None };
                let id = state.id;
                state.question =
                    if renew(&mut state, id, confirms) { Question::Done { age } } else { Question::Refused };
            }
            Step::Hear => {
                if let Question::Done { age } = state.question {
                    let since = if self.lacks(Without::LeaseFromBeforeTheQuestion) { 0 } else { age };
                    state.lease = HELD.saturating_sub(since);
                } else {
                    state.lease = 0;
                    state.membership = Membership::Out;
                }
                state.question = Question::None;
            }
            Step::GiveUp => {
                if let Question::Sent { confirms, .. } = state.question {
                    state.lost = Some((state.id, confirms));
                }
                state.question = Question::None;
            }
            Step::RenewLost => {
                let (id, confirms) = state.lost.take()?;
                renew(&mut state, id, confirms);
            }
            Step::Look => {
                let first = if self.lacks(Without::LeaseCheckFirst) { state.cached } else { self.holds(&state) };
                state.request = first;
            }
            Step::LookAgain => {
                let second = if self.lacks(Without::LeaseCheckFirst) { self.holds(&state) } else { state.cached };
                state.accepted_late |= second;
                state.request = false;
            }
            Step::Number => state.revocation = next_number(&state),
            Step::Commit => state.revocation = committed(state.revocation)?,
            Step::NumberOther => state.other = next_number(&state),
            Step::CommitOther => state.other = committed(state.other)?,
            Step::ReadNodes => state.waits = Some(state.row.map(|row| row.id)),
            Step::Watch => state.seen = Some(Seen { age: 0, still: true }),
            Step::Take => (state.row, state.seen) = (None, None),
            Step::Answer => {
                let number = state.revocation.seen();
                let gone = |id: u8| state.row.is_none_or(|row| row.id != id || row.confirmed >= number);
                if !state.waits.flatten().is_none_or(gone) {
                    return None;
                }
                state.answered = true;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no request that starts after the answer is accepted", |_, state: &State| {
                !state.accepted_late
            }),
            // And the model does what the protocol is for.
            Property::sometimes("a key is found in memory under a lease", |protocol: &Self, state: &State| {
                state.cached && protocol.holds(state)
            }),
            Property::sometimes("a node confirms, and the revocation is answered", |_, state: &State| {
                let number = state.revocation.seen();
                state.answered && state.row.is_some_and(|row| row.confirmed >= number && row.id == 1)
            }),
            Property::sometimes("a change that came later is applied with the revocation", |_, state: &State| {
                state.answered && state.revocation.seen() == 1 && state.row.is_some_and(|row| row.confirmed == 2)
            }),
            Property::sometimes("a lease is taken away, and the revocation is answered", |_, state: &State| {
                state.answered
                    && state.waits == Some(Some(1))
                    && state.row.is_none()
                    && state.place < state.revocation.seen()
            }),
            Property::sometimes("a node that lost its lease gets another", |protocol: &Self, state: &State| {
                state.answered && state.id == 2 && protocol.holds(state)
            }),
        ]
    }
}

const SAFE: &str = "no request that starts after the answer is accepted";

#[test]
fn no_request_that_starts_after_the_answer_is_accepted_in_any_order_of_steps() {
    let checker = Protocol(Without::Nothing).checker().threads(2).spawn_bfs().join();
    assert!(checker.is_done());
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
}

/// For each rule of the protocol a way to a late request that is accepted, once the rule is left out.
#[test]
fn every_rule_of_the_protocol_is_needed() {
    for rule in [
        Without::CounterLocked,
        Without::LeaseCheck,
        Without::LeaseCheckFirst,
        Without::LeaseFromBeforeTheQuestion,
        Without::ApplyBeforeConfirm,
        Without::Generations,
        Without::NodesAfterCommit,
        Without::LongWait,
        Without::RenewalsCompared,
        Without::RowBeforeEmptying,
        Without::NumberBeforeEmptying,
        Without::EmptyingAtAll,
    ] {
        let checker = Protocol(rule).checker().threads(2).spawn_bfs().join();
        let found = checker.discovery(SAFE);
        let way = found.unwrap_or_else(|| {
            panic!("without {rule:?} nothing goes wrong: either it is not needed, or the model is blind")
        });
        println!("without {rule:?}: {:?}", way.into_actions());
    }
}
