//! What becomes of a run whose node is gone.

use super::status::StepStatus;

/// How often a step that may be repeated is begun again because the node that had it is gone, before the run is given up:
/// it may be what ends the nodes.
pub const TAKEOVERS_MAX: u32 = 5;

/// How often nodes take a run and let go of it before they begin a step, until it is given up: what takes them away would take
/// the next ones, too.
pub const FRUITLESS_MAX: u32 = 10;

/// Whether a run is given up that was taken so often, and whose steps stand so and were begun so often.
#[must_use]
pub fn worn_out(claims: i64, steps: impl IntoIterator<Item = (StepStatus, u32)>) -> bool {
    // One that came to its end before it was begun is progress, too.
    let progress = |(status, tries): (StepStatus, u32)| i64::from(tries.max(u32::from(status != StepStatus::Pending)));
    claims > steps.into_iter().map(progress).sum::<i64>() + i64::from(FRUITLESS_MAX)
}

/// A step of a run that was found abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// How it stands.
    pub status: StepStatus,
    /// Whether calling it again does no harm.
    pub safe: bool,
    /// How often it was begun.
    pub tries: u32,
    /// How often it may be begun when no node is lost.
    pub allowed: u32,
    /// Whether it ended, and nobody knows whether it took place.
    pub unknown: bool,
}

/// How an abandoned run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// With the first step that was not begun; or to its end, when there is none.
    GoesOn,
    /// With this step, which was begun and may be called again.
    Again(usize),
    /// It ends: whether this step took place nobody knows.
    Unknown(usize),
    /// It ends: this step was begun too often.
    TooOften(usize),
    /// It ends: the node before wrote down that nobody knows of a step, and was lost before it could end the run.
    WasOver,
}

/// Decides how an abandoned run goes on. A step is begun in the store before its tool is called, so that what stands there
/// as not begun was never called.
#[must_use]
pub fn takeover(steps: &[Found]) -> Takeover {
    if steps.iter().any(|step| step.unknown) {
        return Takeover::WasOver;
    }
    let begun = steps.iter().enumerate().find(|(_, step)| step.status == StepStatus::Running);
    match begun {
        None => Takeover::GoesOn,
        Some((at, step)) if !step.safe => Takeover::Unknown(at),
        Some((at, step)) if step.tries >= step.allowed.saturating_add(TAKEOVERS_MAX) => Takeover::TooOften(at),
        Some((at, _)) => Takeover::Again(at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn found(status: StepStatus, safe: bool, tries: u32) -> Found {
        Found { status, safe, tries, allowed: 1, unknown: false }
    }

    #[test]
    fn only_a_safe_step_is_called_again_and_not_for_ever() {
        let passed = found(StepStatus::Pass, false, 1);
        let waiting = found(StepStatus::Pending, false, 0);
        assert_eq!(takeover(&[passed, waiting]), Takeover::GoesOn);
        assert_eq!(takeover(&[passed, passed]), Takeover::GoesOn);
        assert_eq!(takeover(&[passed, found(StepStatus::Running, false, 1), waiting]), Takeover::Unknown(1));
        assert_eq!(takeover(&[found(StepStatus::Running, true, 1), waiting]), Takeover::Again(0));
        assert_eq!(takeover(&[found(StepStatus::Running, true, TAKEOVERS_MAX)]), Takeover::Again(0));
        assert_eq!(takeover(&[found(StepStatus::Running, true, TAKEOVERS_MAX + 1)]), Takeover::TooOften(0));
        let unknown = Found { unknown: true, ..found(StepStatus::Error, false, 1) };
        assert_eq!(takeover(&[unknown, waiting]), Takeover::WasOver, "required or not");
    }

    #[test]
    fn a_run_whose_nodes_begin_no_step_is_given_up() {
        let most = i64::from(FRUITLESS_MAX);
        let (waits, called, ended) = ((StepStatus::Pending, 0), (StepStatus::Running, 3), (StepStatus::Error, 0));
        assert!(!worn_out(1, [waits]) && !worn_out(most, [waits, waits]) && worn_out(most + 1, [waits, waits]));
        assert!(!worn_out(most + 3, [called, waits]) && worn_out(most + 4, [called, waits]), "each begin is progress");
        assert!(!worn_out(most + 1, [ended, waits]) && worn_out(most + 2, [ended, waits]), "and so is an end");
    }

    proptest! {
        // A run with nodes that are lost at any moment: between a step's begin in the store, its call and its end.
        #[test]
        fn no_step_that_is_not_safe_is_called_twice_whenever_nodes_are_lost(
            safe in prop::collection::vec(any::<bool>(), 1..5),
            lost in prop::collection::vec(0_u8..4, 0..40),
        ) {
            let mut steps: Vec<Found> = safe.iter().map(|safe| found(StepStatus::Pending, *safe, 0)).collect();
            let mut calls = vec![0_u32; steps.len()];
            let mut lost = lost.into_iter();
            let mut over = false;
            while !over {
                // A node takes the run, and is lost after so many writes and calls.
                let mut left = lost.next().map_or(u32::MAX, u32::from);
                let mut lives = || { let alive = left > 0; left = left.saturating_sub(1); alive };
                let mut at = match takeover(&steps) {
                    Takeover::GoesOn => steps.iter().position(|step| step.status == StepStatus::Pending),
                    Takeover::Again(at) => Some(at),
                    Takeover::Unknown(_) | Takeover::TooOften(_) | Takeover::WasOver => break,
                };
                while let Some(step) = at {
                    if !lives() { break; }
                    steps[step].status = StepStatus::Running;
                    steps[step].tries += 1;
                    if !lives() { break; }
                    calls[step] += 1;
                    if !lives() { break; }
                    steps[step].status = StepStatus::Pass;
                    at = steps.iter().position(|step| step.status == StepStatus::Pending);
                }
                over = at.is_none();
            }
            for (step, calls) in steps.iter().zip(calls) {
                let most = if step.safe { 1 + TAKEOVERS_MAX } else { 1 };
                prop_assert!(calls <= most);
                prop_assert!(step.status != StepStatus::Pass || calls > 0, "none is skipped");
            }
        }
    }
}
