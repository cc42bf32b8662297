//! Putting what earlier steps answered into arguments and expected values, and keeping what later steps refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::workflow::{Expectation, InvalidReference, Part, Pointer, Reference, References, Step, StepName};

/// Why a text has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Nothing stands there, or the step has no answer.
    #[error("{{{{steps.{}.result{}}}}} finds nothing in the result of the step {}", .0.step, .0.at, .0.step)]
    Nothing(Reference),
    /// The text is none that a workflow can have.
    #[error(transparent)]
    Invalid(#[from] InvalidReference),
}

/// What steps answered, as far as other steps refer to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers(BTreeMap<(StepName, String), Value>);

impl Answers {
    /// Takes from a step's answer what `wanted` points at; what is not there is left out.
    pub fn keep(&mut self, step: &StepName, wanted: &[Pointer], answer: &Value) {
        for at in wanted {
            if let Some(found) = at.find(answer) {
                self.0.insert((step.clone(), at.as_str().to_owned()), found.clone());
            }
        }
    }

    /// What stands there.
    #[must_use]
    pub fn find(&self, Reference { step, at }: &Reference) -> Option<&Value> {
        self.0.get(&(step.clone(), at.as_str().to_owned()))
    }

    /// What is kept of a step, by pointer.
    #[must_use]
    pub fn of(&self, step: &StepName) -> Map<String, Value> {
        let own = self.0.iter().filter(|((name, _), _)| name == step);
        own.map(|((_, at), value)| (at.clone(), value.clone())).collect()
    }

    /// Takes back what [`Answers::of`] gave.
    pub fn restore(&mut self, step: &StepName, kept: Map<String, Value>) {
        self.0.extend(kept.into_iter().map(|(at, value)| ((step.clone(), at), value)));
    }

    /// The value with its references replaced: a text that is one reference takes the value with its type, within a longer
    /// text a reference becomes text.
    ///
    /// # Errors
    /// [`Unresolved`] for the first that has no value.
    pub fn resolve(&self, value: &Value) -> Result<Value, Unresolved> {
        Ok(match value {
            Value::String(text) => self.text(text)?,
            Value::Array(items) => Value::Array(items.iter().map(|item| self.resolve(item)).collect::<Result<_, _>>()?),
            Value::Object(fields) => Value::Object(self.fields(fields)?),
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain.clone(),
        })
    }

    /// A step's arguments with their references replaced.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub fn fields(&self, fields: &Map<String, Value>) -> Result<Map<String, Value>, Unresolved> {
        fields.iter().map(|(name, value)| Ok((name.clone(), self.resolve(value)?))).collect()
    }

    /// What is expected, with references replaced.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub fn expected(&self, expect: &[Expectation]) -> Result<Vec<Expectation>, Unresolved> {
        let resolved = |one: &Expectation| {
            Ok(Expectation { path: one.path.clone(), op: one.op, value: self.resolve(&one.value)? })
        };
        expect.iter().map(resolved).collect()
    }

    fn text(&self, text: &str) -> Result<Value, Unresolved> {
        let parts: Vec<Part<'_>> = References::of(text).collect::<Result<_, _>>()?;
        let value = |reference: &Reference| self.find(reference).ok_or_else(|| Unresolved::Nothing(reference.clone()));
        if let [Part::Reference(reference)] = parts.as_slice() {
            return value(reference).cloned();
        }
        let mut out = String::with_capacity(text.len());
        for part in &parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Reference(reference) => match value(reference)? {
                    Value::String(text) => out.push_str(text),
                    other => out.push_str(&other.to_string()),
                },
            }
        }
        Ok(Value::String(out))
    }
}

/// What the steps of a workflow refer to in the answer of one of them.
#[must_use]
pub fn wanted(steps: &[Step], name: &StepName) -> Vec<Pointer> {
    let mut found = Vec::new();
    for step in steps {
        step.arguments.values().for_each(|value| collect(value, &mut found));
        step.expect.iter().for_each(|expectation| collect(&expectation.value, &mut found));
    }
    let mut wanted: Vec<Pointer> =
        found.into_iter().filter(|reference| reference.step == *name).map(|reference| reference.at).collect();
    wanted.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    wanted.dedup();
    wanted
}

fn collect(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::String(text) => found.extend(References::of(text).filter_map(|part| match part {
            Ok(Part::Reference(reference)) => Some(reference),
            Ok(Part::Text(_)) | Err(_) => None,
        })),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::run::testing::step;

    fn name(text: &str) -> StepName {
        text.parse().expect("a name")
    }

    fn answers(step: &str, answer: &Value, at: &[&str]) -> Answers {
        let wanted: Vec<Pointer> = at.iter().map(|at| at.parse().expect("a pointer")).collect();
        let mut answers = Answers::default();
        answers.keep(&name(step), &wanted, answer);
        answers
    }

    #[test]
    fn a_reference_alone_keeps_its_type_and_within_a_text_becomes_text() {
        let answer = json!({"structuredContent": {"id": 7, "tags": ["a"], "name": "Ann", "none": null}});
        let at =
            ["/structuredContent/id", "/structuredContent/tags", "/structuredContent/name", "/structuredContent/none"];
        let answers = answers("find", &answer, &at);
        let refer = |at: &str| format!("{{{{steps.find.result/structuredContent/{at}}}}}");
        for (text, value) in [
            (refer("id"), json!(7)),
            (refer("tags"), json!(["a"])),
            (refer("none"), json!(null)),
            (format!("#{}", refer("id")), json!("#7")),
            (format!("{} {}", refer("name"), refer("tags")), json!("Ann [\"a\"]")),
        ] {
            assert_eq!(answers.resolve(&json!({"x": [text]})), Ok(json!({"x": [value]})));
        }
    }

    #[test]
    fn what_is_not_there_is_told_by_its_reference() {
        let answers = answers("find", &json!({"a": 1}), &["/a", "/b"]);
        let nothing = answers.resolve(&json!("{{steps.find.result/b}}")).expect_err("nothing there");
        assert_eq!(nothing.to_string(), "{{steps.find.result/b}} finds nothing in the result of the step find");
        assert!(matches!(answers.resolve(&json!("{{steps.other.result/a}}")), Err(Unresolved::Nothing(_))));
        assert!(matches!(answers.resolve(&json!("{{x}}")), Err(Unresolved::Invalid(_))));
    }

    #[test]
    fn what_a_result_says_is_no_reference_itself() {
        let said = "{{steps.find.result/secret}}";
        let answers = answers("find", &json!({"a": said, "secret": "x"}), &["/a", "/secret"]);
        assert_eq!(answers.resolve(&json!("{{steps.find.result/a}}")), Ok(json!(said)));
    }

    #[test]
    fn what_later_steps_refer_to_is_wanted_once() {
        let mut one = step("one");
        one.arguments =
            Map::from_iter([("q".to_owned(), json!(["{{steps.find.result/b}}", "{{steps.find.result/a}}"]))]);
        let mut two = step("two");
        two.expect = vec![Expectation {
            path: Pointer::default(),
            op: crate::workflow::Op::Equals,
            value: json!("{{steps.find.result/a}} {{steps.one.result/c}}"),
        }];
        let steps = [step("find"), one, two];
        let texts = |of: &str| wanted(&steps, &name(of)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts("find"), ["/a", "/b"]);
        assert_eq!(texts("one"), ["/c"]);
        assert!(texts("two").is_empty());
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let before = answers("find", &json!({"a": {"b": [1]}}), &["/a/b", "", "/c"]);
        let mut after = Answers::default();
        after.restore(&name("find"), before.of(&name("find")));
        assert_eq!(after, before);
    }

    proptest! {
        #[test]
        fn a_text_without_braces_stays_as_it_is(text in "[^{]*") {
            prop_assert_eq!(Answers::default().resolve(&json!(text)), Ok(json!(text)));
        }
    }
}
