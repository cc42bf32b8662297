//! From the verdicts of steps to the status of their run.

use super::judge::Judged;
use super::status::{RunStatus, StepStatus};

/// A step that is over, as far as its run's status goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Whether the run goes wrong with it.
    pub required: bool,
    /// How it ended.
    pub status: StepStatus,
}

/// Whether a step that was answered passed.
#[must_use]
pub fn verdict(judged: &[Judged]) -> StepStatus {
    if judged.iter().all(|judged| judged.passed) { StepStatus::Pass } else { StepStatus::Fail }
}

/// Whether the steps after this one are begun.
#[must_use]
pub const fn goes_on(step: Ended) -> bool {
    match step.status {
        StepStatus::Pass => true,
        StepStatus::Fail | StepStatus::Error => !step.required,
        StepStatus::Pending | StepStatus::Running | StepStatus::Skipped | StepStatus::Cancelled => false,
    }
}

/// The status of a run whose steps are over. The first required step that went wrong decides; without one, whether any
/// went wrong.
#[must_use]
pub fn status(steps: impl IntoIterator<Item = Ended>) -> RunStatus {
    let mut status = RunStatus::Pass;
    for step in steps {
        match (step.status, step.required) {
            (StepStatus::Cancelled, _) => return RunStatus::Cancelled,
            (StepStatus::Fail, true) => return RunStatus::Fail,
            (StepStatus::Error, true) => return RunStatus::Error,
            (StepStatus::Fail | StepStatus::Error, false) => status = RunStatus::Partial,
            (StepStatus::Pass | StepStatus::Skipped | StepStatus::Pending | StepStatus::Running, _) => {}
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ended(required: bool, status: StepStatus) -> Ended {
        Ended { required, status }
    }

    #[test]
    fn a_run_ends_as_its_steps_did() {
        use StepStatus::{Cancelled, Error, Fail, Pass, Skipped};
        for (steps, run) in [
            (vec![], RunStatus::Pass),
            (vec![(true, Pass), (false, Pass)], RunStatus::Pass),
            (vec![(true, Pass), (false, Fail), (true, Pass)], RunStatus::Partial),
            (vec![(false, Error), (true, Pass)], RunStatus::Partial),
            (vec![(true, Fail), (true, Skipped)], RunStatus::Fail),
            (vec![(false, Error), (true, Fail), (true, Skipped)], RunStatus::Fail),
            (vec![(false, Fail), (true, Error), (false, Skipped)], RunStatus::Error),
            (vec![(true, Pass), (true, Cancelled), (true, Cancelled)], RunStatus::Cancelled),
        ] {
            assert_eq!(status(steps.iter().map(|(required, status)| ended(*required, *status))), run, "{steps:?}");
        }
    }

    fn verdicts() -> impl Strategy<Value = (bool, StepStatus)> {
        let status = prop_oneof![Just(StepStatus::Pass), Just(StepStatus::Fail), Just(StepStatus::Error)];
        (any::<bool>(), status)
    }

    proptest! {
        // The steps as a run would go through them: what comes after a required step that went wrong is skipped.
        #[test]
        fn a_run_passes_exactly_when_every_step_did(steps in prop::collection::vec(verdicts(), 0..8)) {
            let mut on = true;
            let gone: Vec<Ended> = steps
                .iter()
                .map(|(required, status)| {
                    let step = ended(*required, if on { *status } else { StepStatus::Skipped });
                    on = on && goes_on(step);
                    step
                })
                .collect();
            let run = status(gone.clone());
            prop_assert_eq!(run == RunStatus::Pass, steps.iter().all(|(_, status)| *status == StepStatus::Pass));
            prop_assert_eq!(matches!(run, RunStatus::Fail | RunStatus::Error), !on);
            let skipped = gone.iter().filter(|step| step.status == StepStatus::Skipped).count();
            prop_assert!(on || skipped < steps.len(), "the step that went wrong is not skipped itself");
        }
    }
}
