//! What a proposal changes, part by part: what a person reads before applying it.

use std::collections::BTreeSet;

use domain::workflow::Step;
use domain::workflow::change::WorkflowChange;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::v1::workflows::shapes::{ScheduleShape, WorkflowStepShape};

/// One part of a workflow that a proposal changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferenceShape {
    /// `name`, `description`, `timeoutSeconds`, `schedule`, `projectId`, `steps` (the order of their names), `steps.NAME` (a
    /// step that comes or goes), or a part of a step, such as `steps.NAME.arguments`.
    #[schema(example = "steps.find.arguments")]
    pub field: String,
    /// As it was when the change was proposed; null for what was not there.
    #[schema(value_type = Value)]
    pub before: Value,
    /// As it would be; null for what would go.
    #[schema(value_type = Value)]
    pub after: Value,
}

/// What is different between the same parts of a workflow.
pub fn differences(before: &WorkflowChange, after: &WorkflowChange) -> Vec<DifferenceShape> {
    let (was, will) = (parts(before), parts(after));
    let mut found = Vec::new();
    for (field, after) in &will {
        note(&mut found, field, was.get(field).unwrap_or(&Value::Null), after);
    }
    if let Some(after) = &after.steps {
        steps(&mut found, before.steps.as_deref().unwrap_or_default(), after);
    }
    found
}

/// The parts beside the steps that a change has.
fn parts(change: &WorkflowChange) -> Map<String, Value> {
    let text = |text: &Option<domain::text::Description>| json!(text);
    let parts = [
        ("name", change.name.as_ref().map(|name| json!(name))),
        ("description", change.description.as_ref().map(text)),
        ("timeoutSeconds", change.timeout.map(|timeout| json!(timeout.map(|timeout| timeout.as_secs())))),
        ("schedule", change.schedule.as_ref().map(|schedule| json!(schedule.as_ref().map(ScheduleShape::from)))),
        ("projectId", change.project.map(|project| json!(project))),
    ];
    parts.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect()
}

fn steps(found: &mut Vec<DifferenceShape>, before: &[Step], after: &[Step]) {
    let names = |steps: &[Step]| steps.iter().map(|step| step.name.to_string()).collect::<Vec<_>>();
    let (was, will) = (names(before), names(after));
    note(found, "steps", &json!(was), &json!(will));
    let find = |steps: &[Step], name: &str| steps.iter().find(|step| step.name.as_str() == name).map(shown);
    let all: BTreeSet<&String> = was.iter().chain(&will).collect();
    for name in all {
        let field = format!("steps.{name}");
        match (find(before, name), find(after, name)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                for (part, after) in &after {
                    note(found, &format!("{field}.{part}"), before.get(part).unwrap_or(&Value::Null), after);
                }
            }
            (before, after) => note(found, &field, &before.unwrap_or_default(), &after.unwrap_or_default()),
        }
    }
}

/// A step as answers have it.
fn shown(step: &Step) -> Value {
    serde_json::to_value(WorkflowStepShape::from(step)).unwrap_or_default()
}

fn note(found: &mut Vec<DifferenceShape>, field: &str, before: &Value, after: &Value) {
    if before != after {
        found.push(DifferenceShape { field: field.to_owned(), before: before.clone(), after: after.clone() });
    }
}
