//! Why a run ended as it did, in one sentence for a person. What it says of values comes from evidence, which is redacted.

use super::evidence::Evidence;
use super::status::{RunStatus, StepStatus};

/// Most of a value that a sentence tells, in characters.
const VALUE_MAX: usize = 80;

/// A step that is over, as far as a reason tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is required.
    pub required: bool,
    /// How it ended.
    pub status: StepStatus,
    /// What is kept of it.
    pub evidence: &'a Evidence,
}

/// The sentence for a run whose steps are over.
#[must_use]
pub fn reason<'a>(status: RunStatus, steps: impl IntoIterator<Item = Told<'a>>) -> String {
    let steps: Vec<Told<'_>> = steps.into_iter().collect();
    let wrong: Vec<&Told<'_>> =
        steps.iter().filter(|step| matches!(step.status, StepStatus::Fail | StepStatus::Error)).collect();
    match (status, wrong.as_slice()) {
        (RunStatus::Cancelled, _) => "the run was cancelled".to_owned(),
        (RunStatus::Partial, [step]) => format!("a step that is not required went wrong: {}", sentence(step)),
        (RunStatus::Partial, [first, ..]) => {
            format!("{} steps that are not required went wrong; the first: {}", wrong.len(), sentence(first))
        }
        // It ended with the last of them, whether that is required or not; it went on after the others.
        (_, [.., last]) => sentence(last),
        (_, []) => match steps.len() {
            1 => "the step passed".to_owned(),
            many => format!("all {many} steps passed"),
        },
    }
}

fn sentence(step: &Told<'_>) -> String {
    if let Some(error) = &step.evidence.error {
        return format!("step {}: {}", step.name, error.message);
    }
    let failed = step.evidence.expectations.iter().find(|judged| !judged.passed);
    let Some(judged) = failed else { return format!("step {} went wrong", step.name) };
    let actual = judged.actual.as_ref().map_or_else(|| "not there".to_owned(), |value| short(&value.to_string()));
    let place = if judged.path.is_empty() { "the answer" } else { &judged.path };
    let expected = match judged.op.as_str() {
        "exists" | "absent" => judged.op.clone(),
        op => format!("{op} {}", short(&judged.value.to_string())),
    };
    format!("step {}: {place} is {actual}, expected: {}", step.name, expected.replace('_', " "))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::evidence::{JudgedEvidence, StepError};
    use super::*;

    fn told<'a>(name: &'a str, required: bool, status: StepStatus, evidence: &'a Evidence) -> Told<'a> {
        Told { name, required, status, evidence }
    }

    #[test]
    fn a_person_reads_which_step_and_what_was_expected() {
        let judged = JudgedEvidence {
            path: "/structuredContent/total".to_owned(),
            op: "not_equals".to_owned(),
            value: json!(4),
            passed: false,
            actual: Some(json!(4)),
        };
        let nothing = JudgedEvidence { op: "exists".to_owned(), actual: None, ..judged.clone() };
        let failed = Evidence { expectations: vec![judged], ..Evidence::default() };
        let missing = Evidence { expectations: vec![nothing], ..Evidence::default() };
        let error = StepError { code: "upstream_timeout".to_owned(), message: "the server did not answer".to_owned() };
        let silent = Evidence { error: Some(error), ..Evidence::default() };
        let good = Evidence::default();
        let pass = told("a", true, StepStatus::Pass, &good);
        for (status, steps, sentence) in [
            (RunStatus::Pass, vec![pass, pass], "all 2 steps passed"),
            (
                RunStatus::Fail,
                vec![pass, told("sum", true, StepStatus::Fail, &failed)],
                "step sum: /structuredContent/total is 4, expected: not equals 4",
            ),
            (
                RunStatus::Error,
                vec![told("opt", false, StepStatus::Fail, &failed), told("b", true, StepStatus::Error, &silent)],
                "step b: the server did not answer",
            ),
            (
                RunStatus::Partial,
                vec![told("opt", false, StepStatus::Fail, &missing), pass],
                "a step that is not required went wrong: step opt: /structuredContent/total is not there, expected: exists",
            ),
            (RunStatus::Cancelled, vec![pass], "the run was cancelled"),
            (
                RunStatus::Cancelled,
                vec![told("opt", false, StepStatus::Fail, &failed), told("b", true, StepStatus::Cancelled, &good)],
                "the run was cancelled",
            ),
            // The run's time was over, or nobody stood behind it any more: that is an end with every step.
            (
                RunStatus::Error,
                vec![told("opt", false, StepStatus::Fail, &failed), told("b", false, StepStatus::Error, &silent)],
                "step b: the server did not answer",
            ),
        ] {
            assert_eq!(reason(status, steps), sentence);
        }
    }
}
