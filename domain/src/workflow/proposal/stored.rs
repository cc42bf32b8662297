//! A change as the store keeps it. A part that is not there is not to be changed, which null does not say.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::workflow::change::WorkflowChange;
use crate::workflow::{Definition, Schedule, Unreadable, definition_from_json, definition_to_json};

/// The form that is written.
const FORM: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    form: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    description: Option<Option<String>>,
    /// The text of a definition that has the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    timeout_seconds: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    schedule: Option<Option<(String, String)>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    project: Option<Option<String>>,
}

fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// A change as text.
///
/// # Panics
/// Never: it has texts and numbers.
#[must_use]
pub fn change_to_json(change: &WorkflowChange) -> String {
    let stored = Stored {
        form: FORM,
        name: change.name.as_ref().map(ToString::to_string),
        description: change.description.as_ref().map(|text| text.as_ref().map(ToString::to_string)),
        definition: change
            .steps
            .as_ref()
            .map(|steps| definition_to_json(&Definition { steps: steps.clone(), timeout: None })),
        timeout_seconds: change.timeout.map(|timeout| timeout.map(|timeout| timeout.as_secs())),
        schedule: change
            .schedule
            .as_ref()
            .map(|schedule| schedule.as_ref().map(|schedule| (schedule.cron.clone(), schedule.time_zone.clone()))),
        project: change.project.map(|project| project.map(|project| project.to_string())),
    };
    serde_json::to_string(&stored).expect("texts and numbers")
}

/// A change from its text.
///
/// # Errors
/// [`Unreadable`]
pub fn change_from_json(text: &str) -> Result<WorkflowChange, Unreadable> {
    fn read<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Unreadable> {
        text.parse().map_err(|error| Unreadable::because(format!("{text:?}: {error}")))
    }
    let stored: Stored = serde_json::from_str(text).map_err(Unreadable::because)?;
    if stored.form != FORM {
        return Err(Unreadable::because(format!("form {}", stored.form)));
    }
    Ok(WorkflowChange {
        name: stored.name.as_deref().map(read).transpose()?,
        description: stored.description.map(|text| text.as_deref().map(read).transpose()).transpose()?,
        steps: stored.definition.as_deref().map(definition_from_json).transpose()?.map(|definition| definition.steps),
        timeout: stored.timeout_seconds.map(|seconds| seconds.map(Duration::from_secs)),
        schedule: stored.schedule.map(|schedule| schedule.map(|(cron, time_zone)| Schedule { cron, time_zone })),
        project: stored.project.map(|project| project.as_deref().map(read).transpose()).transpose()?,
        archived: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ProjectId;

    #[test]
    fn a_change_is_read_as_it_was_written_and_null_is_not_nothing() {
        let schedule = Schedule { cron: "0 6 * * *".to_owned(), time_zone: "UTC".to_owned() };
        let some = WorkflowChange {
            name: Some("Nightly".parse().expect("a name")),
            description: Some(Some("x\ny".parse().expect("a text"))),
            steps: Some(vec![]),
            timeout: Some(Some(Duration::from_secs(9))),
            schedule: Some(Some(schedule)),
            project: Some(Some(ProjectId::new())),
            archived: None,
        };
        let none = WorkflowChange {
            description: Some(None),
            timeout: Some(None),
            schedule: Some(None),
            project: Some(None),
            ..WorkflowChange::default()
        };
        for change in [some, none, WorkflowChange::default()] {
            assert_eq!(change_from_json(&change_to_json(&change)), Ok(change));
        }
    }

    #[test]
    fn what_is_not_exactly_of_the_form_is_unreadable() {
        for text in [
            "",
            "{}",
            r#"{"form":2}"#,
            r#"{"form":1,"more":1}"#,
            r#"{"form":1,"name":""}"#,
            r#"{"form":1,"definition":"{}"}"#,
        ] {
            assert!(change_from_json(text).is_err(), "{text}");
        }
    }
}
