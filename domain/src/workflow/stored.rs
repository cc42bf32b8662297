//! A definition as the store keeps it: JSON with the number of its form, so that a later version of Keyrack knows what it
//! reads. Text that is not exactly of that form is unreadable, and not a definition with something left out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::expectation::{Expectation, Op};
use super::model::Definition;
use super::step::Step;

/// The form that is written.
const FORM: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    form: u32,
    steps: Vec<StoredStep>,
    timeout_seconds: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredStep {
    name: String,
    server: String,
    server_slug: String,
    tool: String,
    arguments: Map<String, Value>,
    expect: Vec<StoredExpectation>,
    required: bool,
    safe: bool,
    retries: u8,
    timeout_seconds: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredExpectation {
    path: String,
    op: String,
    value: Value,
}

/// What the store holds is no definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no definition of a workflow: {0}")]
pub struct Unreadable(String);

impl Unreadable {
    pub(super) fn because(what: impl ToString) -> Self {
        Self(what.to_string())
    }
}

/// A definition as text.
///
/// # Panics
/// Never: names are text, and values are JSON.
#[must_use]
pub fn definition_to_json(definition: &Definition) -> String {
    let stored = Stored {
        form: FORM,
        steps: definition.steps.iter().map(StoredStep::from).collect(),
        timeout_seconds: definition.timeout.map(|timeout| timeout.as_secs()),
    };
    serde_json::to_string(&stored).expect("names are text, and values are JSON")
}

/// A definition from its text.
///
/// # Errors
/// [`Unreadable`]
pub fn definition_from_json(text: &str) -> Result<Definition, Unreadable> {
    let stored: Stored = serde_json::from_str(text).map_err(Unreadable::because)?;
    if stored.form != FORM {
        return Err(Unreadable(format!("form {}", stored.form)));
    }
    Ok(Definition {
        steps: stored.steps.into_iter().map(Step::try_from).collect::<Result<_, _>>()?,
        timeout: stored.timeout_seconds.map(Duration::from_secs),
    })
}

impl From<&Step> for StoredStep {
    fn from(step: &Step) -> Self {
        let expectation = |expectation: &Expectation| StoredExpectation {
            path: expectation.path.to_string(),
            op: expectation.op.as_str().to_owned(),
            value: expectation.value.clone(),
        };
        Self {
            name: step.name.to_string(),
            server: step.server.to_string(),
            server_slug: step.server_slug.to_string(),
            tool: step.tool.clone(),
            arguments: step.arguments.clone(),
            expect: step.expect.iter().map(expectation).collect(),
            required: step.required,
            safe: step.safe,
            retries: step.retries,
            timeout_seconds: step.timeout.map(|timeout| timeout.as_secs()),
        }
    }
}

impl TryFrom<StoredStep> for Step {
    type Error = Unreadable;

    fn try_from(stored: StoredStep) -> Result<Self, Unreadable> {
        fn read<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Unreadable> {
            text.parse().map_err(|error| Unreadable(format!("{text:?}: {error}")))
        }
        let expectation = |stored: StoredExpectation| {
            let op = Op::named(&stored.op).ok_or_else(|| Unreadable(format!("{:?} is no operation", stored.op)))?;
            Ok(Expectation { path: read(&stored.path)?, op, value: stored.value })
        };
        Ok(Self {
            name: read(&stored.name)?,
            server: read(&stored.server)?,
            server_slug: read(&stored.server_slug)?,
            tool: stored.tool,
            arguments: stored.arguments,
            expect: stored.expect.into_iter().map(expectation).collect::<Result<_, _>>()?,
            required: stored.required,
            safe: stored.safe,
            retries: stored.retries,
            timeout: stored.timeout_seconds.map(Duration::from_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::ServerId;

    fn definition() -> Definition {
        let expect = Op::ALL.into_iter().map(|op| Expectation {
            path: "/structuredContent/a~1b".parse().expect("a pointer"),
            op,
            value: json!({"deep": [1, 1.5, null, "\u{0}ü"]}),
        });
        let arguments = json!({"text": "{{steps.first.result/x}}", "none": null, "\n": 18_446_744_073_709_551_615_u64});
        let Value::Object(arguments) = arguments else { unreachable!("an object") };
        let step = Step {
            name: "first_one".parse().expect("a name"),
            server: ServerId::new(),
            server_slug: "notes".parse().expect("a slug"),
            tool: "add note".to_owned(),
            arguments,
            expect: expect.collect(),
            required: true,
            safe: true,
            retries: 5,
            timeout: Some(Duration::from_secs(7)),
        };
        let bare = Step { expect: vec![], arguments: Map::new(), timeout: None, required: false, ..step.clone() };
        Definition { steps: vec![step, bare], timeout: Some(Duration::from_mins(3)) }
    }

    #[test]
    fn a_definition_is_read_as_it_was_written() {
        let whole = definition();
        assert_eq!(definition_from_json(&definition_to_json(&whole)), Ok(whole));
        let empty = Definition { steps: vec![], timeout: None };
        assert_eq!(definition_from_json(&definition_to_json(&empty)), Ok(empty));
    }

    #[test]
    fn what_is_not_exactly_of_the_form_is_unreadable() {
        let text = definition_to_json(&definition());
        for (from, to) in [
            ("\"form\":1", "\"form\":2"),
            ("\"form\":1,", ""),
            ("\"form\":1,", "\"form\":1,\"more\":1,"),
            ("\"equals\"", "\"equal\""),
            ("\"first_one\"", "\"First\""),
            ("mcp_", "wf_"),
            ("\"safe\":true", "\"safe\":1"),
            ("/structuredContent", "structuredContent"),
        ] {
            let broken = text.replacen(from, to, 1);
            assert_ne!(broken, text, "{from}");
            assert!(definition_from_json(&broken).is_err(), "{from} → {to}");
        }
    }
}
