//! Two runs side by side: what changed.

use std::time::Duration;

use serde_json::Value;

use super::evidence::Evidence;
use super::model::{Run, RunStep};
use super::status::{RunStatus, StepStatus};

/// Most places of a result that are named.
pub const PLACES_MAX: usize = 20;

/// Something before and after; none where one of the runs does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Both<T> {
    /// In the run that is compared with.
    pub before: Option<T>,
    /// In the run that is looked at.
    pub after: Option<T>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The same status, the same result, the same verdicts.
    Same,
    /// Something of these is another.
    Changed,
    /// The run that is compared with does not have it.
    Added,
    /// The run that is looked at does not have it.
    Removed,
}

impl Change {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
}

/// An expectation whose verdict is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Where.
    pub path: String,
    /// How.
    pub op: String,
    /// Whether it holds.
    pub passed: Both<bool>,
}

/// A step of both runs, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepComparison {
    /// The name.
    pub name: String,
    /// What became of it; none when both runs have it and what it answered is kept back.
    pub change: Option<Change>,
    /// Whether what it answered in one of the runs is kept back from whoever asks.
    pub withheld: bool,
    /// How it ended.
    pub status: Both<StepStatus>,
    /// How long it took.
    pub duration: Both<Duration>,
    /// The places of the result, as it is kept, that differ: JSON Pointers, at most [`PLACES_MAX`].
    pub places: Vec<String>,
    /// Whether more places differ.
    pub more: bool,
    /// The expectations whose verdict is another.
    pub expectations: Vec<Turned>,
}

/// Two runs side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// How they ended.
    pub status: Both<RunStatus>,
    /// The versions of the workflow.
    pub version: Both<u32>,
    /// How long they took.
    pub duration: Both<Duration>,
    /// Their steps: those of the run that is looked at in its order, then those that it does not have.
    pub steps: Vec<StepComparison>,
}

/// Compares `after` with `before`, by what is kept of them.
#[must_use]
pub fn compare(before: &Run, after: &Run) -> Comparison {
    let find = |run: &'_ Run, name: &str| run.steps.iter().position(|step| step.name == name);
    let mut steps: Vec<StepComparison> =
        after.steps.iter().map(|step| both(find(before, &step.name).map(|at| &before.steps[at]), Some(step))).collect();
    let gone = before.steps.iter().filter(|step| find(after, &step.name).is_none());
    steps.extend(gone.map(|step| both(Some(step), None)));
    Comparison {
        status: Both { before: Some(before.status), after: Some(after.status) },
        version: Both { before: Some(before.version), after: Some(after.version) },
        duration: Both { before: before.duration(), after: after.duration() },
        steps,
    }
}

fn both(before: Option<&RunStep>, after: Option<&RunStep>) -> StepComparison {
    let none = Evidence::default();
    let evidence = |step: Option<&RunStep>| step.map_or_else(|| none.clone(), |step| step.evidence.clone());
    let (old, new) = (evidence(before), evidence(after));
    let status = Both { before: before.map(|step| step.status), after: after.map(|step| step.status) };
    let mut places = Places::default();
    let mut expectations = Vec::new();
    let withheld = before.is_some_and(|step| step.withheld) || after.is_some_and(|step| step.withheld);
    if before.is_some() && after.is_some() && !withheld {
        places.differ(old.result.as_ref(), new.result.as_ref(), &mut String::new());
        expectations = turned(&old, &new);
    }
    let change = match (before, after) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        // Of what is not seen nobody can say that it is the same.
        _ if withheld => None,
        _ if status.before == status.after && places.found.is_empty() && expectations.is_empty() => Some(Change::Same),
        _ => Some(Change::Changed),
    };
    StepComparison {
        name: after.or(before).map(|step| step.name.clone()).unwrap_or_default(),
        change,
        withheld,
        status,
        duration: Both { before: before.and_then(|step| step.duration), after: after.and_then(|step| step.duration) },
        more: places.more,
        places: places.found,
        expectations,
    }
}

/// The expectations of both whose verdict is another. The same place and operator count as the same, in their order.
fn turned(old: &Evidence, new: &Evidence) -> Vec<Turned> {
    let mut left: Vec<_> = old.expectations.iter().collect();
    let mut turned = Vec::new();
    for after in &new.expectations {
        let same = left.iter().position(|before| before.path == after.path && before.op == after.op);
        let before = same.map(|at| left.remove(at).passed);
        if before != Some(after.passed) {
            let passed = Both { before, after: Some(after.passed) };
            turned.push(Turned { path: after.path.clone(), op: after.op.clone(), passed });
        }
    }
    turned.extend(left.into_iter().map(|before| Turned {
        path: before.path.clone(),
        op: before.op.clone(),
        passed: Both { before: Some(before.passed), after: None },
    }));
    turned
}

#[derive(Default)]
struct Places {
    found: Vec<String>,
    more: bool,
}

impl Places {
    fn differ(&mut self, before: Option<&Value>, after: Option<&Value>, at: &mut String) {
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                let gone = before.keys().filter(|name| !after.contains_key(*name));
                for name in after.keys().chain(gone) {
                    let step = name.replace('~', "~0").replace('/', "~1");
                    self.within(&step, before.get(name), after.get(name), at);
                }
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                for index in 0..before.len().max(after.len()) {
                    self.within(&index.to_string(), before.get(index), after.get(index), at);
                }
            }
            (None, None) => {}
            _ if self.found.len() < PLACES_MAX => self.found.push(at.clone()),
            _ => self.more = true,
        }
    }

    fn within(&mut self, step: &str, before: Option<&Value>, after: Option<&Value>, at: &mut String) {
        let length = at.len();
        at.push('/');
        at.push_str(step);
        self.differ(before, after, at);
        at.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::evidence::JudgedEvidence;
    use super::super::testing::run;
    use super::*;

    fn with(steps: &[(&str, StepStatus, Value)]) -> Run {
        let mut run = run(&steps.iter().map(|(name, _, _)| *name).collect::<Vec<_>>());
        for (step, (_, status, result)) in run.steps.iter_mut().zip(steps) {
            step.status = *status;
            step.evidence.result = Some(result.clone());
        }
        run
    }

    #[test]
    fn what_changed_is_told_by_step_and_place() {
        let before = with(&[
            ("find", StepStatus::Pass, json!({"a": {"b": [1, 2]}, "c/d": 1})),
            ("old", StepStatus::Pass, json!({})),
            ("same", StepStatus::Fail, json!({"x": 1})),
        ]);
        let after = with(&[
            ("new", StepStatus::Pass, json!({})),
            ("same", StepStatus::Fail, json!({"x": 1})),
            ("find", StepStatus::Fail, json!({"a": {"b": [1, 3, 4]}, "e": 1})),
        ]);
        let comparison = compare(&before, &after);
        let seen: Vec<_> =
            comparison.steps.iter().filter_map(|step| Some((step.name.as_str(), step.change?))).collect();
        assert_eq!(
            seen,
            [("new", Change::Added), ("same", Change::Same), ("find", Change::Changed), ("old", Change::Removed)]
        );
        let find = &comparison.steps[2];
        assert_eq!(find.places, ["/a/b/1", "/a/b/2", "/e", "/c~1d"]);
        assert_eq!(find.status, Both { before: Some(StepStatus::Pass), after: Some(StepStatus::Fail) });
    }

    #[test]
    fn an_expectation_that_turned_is_told_and_the_others_are_not() {
        let judged = |path: &str, passed| JudgedEvidence {
            path: path.to_owned(),
            op: "exists".to_owned(),
            value: json!(null),
            passed,
            actual: None,
        };
        let (mut before, mut after) = (run(&["a"]), run(&["a"]));
        before.steps[0].evidence.expectations = vec![judged("/x", true), judged("/y", true), judged("/gone", true)];
        after.steps[0].evidence.expectations = vec![judged("/y", false), judged("/x", true)];
        let comparison = compare(&before, &after);
        let turned: Vec<_> = comparison.steps[0].expectations.iter().map(|it| (it.path.as_str(), it.passed)).collect();
        assert_eq!(
            turned,
            [
                ("/y", Both { before: Some(true), after: Some(false) }),
                ("/gone", Both { before: Some(true), after: None })
            ]
        );
        assert_eq!(comparison.steps[0].change, Some(Change::Changed));
    }

    #[test]
    fn of_what_is_kept_back_nothing_is_said_but_how_it_ended() {
        let mut before = with(&[("a", StepStatus::Pass, json!({"x": 1})), ("b", StepStatus::Pass, json!({}))]);
        let mut after = with(&[("a", StepStatus::Fail, json!({"x": 2})), ("c", StepStatus::Pass, json!({}))]);
        let seen = |before: &Run, after: &Run| {
            let steps = compare(before, after).steps.into_iter();
            steps.map(|step| (step.change, step.withheld, step.places)).collect::<Vec<_>>()
        };
        assert_eq!(seen(&before, &after)[0], (Some(Change::Changed), false, vec!["/x".to_owned()]));
        after.steps[0].withheld = true;
        after.steps[1].withheld = true;
        assert_eq!(seen(&before, &after)[0], (None, true, vec![]));
        assert_eq!(seen(&before, &after)[1], (Some(Change::Added), true, vec![]), "that it is new is seen");
        before.steps[0].withheld = true;
        assert_eq!(seen(&before, &after)[0], (None, true, vec![]));
        assert_eq!(compare(&before, &after).steps[0].status.after, Some(StepStatus::Fail));
    }

    #[test]
    fn only_so_many_places_are_named() {
        let before = with(&[("a", StepStatus::Pass, json!((0..100).collect::<Vec<_>>()))]);
        let after = with(&[("a", StepStatus::Pass, json!((1..101).collect::<Vec<_>>()))]);
        let step = &compare(&before, &after).steps[0];
        assert!(step.places.len() == PLACES_MAX && step.more);
    }

    proptest! {
        #[test]
        fn a_run_is_the_same_as_itself(results in prop::collection::vec("[a-z]{0,5}", 0..6)) {
            let names: Vec<String> = (0..results.len()).map(|at| format!("s{at}")).collect();
            let steps: Vec<_> =
                names.iter().zip(&results).map(|(name, result)| (name.as_str(), StepStatus::Pass, json!(result))).collect();
            let run = with(&steps);
            prop_assert!(compare(&run, &run).steps.iter().all(|step| step.change == Some(Change::Same)));
        }
    }
}
