//! `keyrack://schemas/…`: what Keyrack takes, as JSON Schema, so that whoever proposes a change knows its form.

use std::sync::LazyLock;

use domain::access::Permission;
use rmcp::model::Resource;
use serde_json::{Map, Value};

use super::{Listed, ResourceKind};
use crate::code::Code;
use crate::openapi;
use crate::problem::Problem;

pub static KIND: ResourceKind = ResourceKind {
    prefix: "keyrack://schemas/",
    permission: Permission::WorkflowsRead,
    media_type: "application/schema+json",
    list: |_, _| {
        let resources = SCHEMAS
            .iter()
            .map(|(name, _, title)| Resource::new(format!("keyrack://schemas/{name}"), *name).with_title(*title));
        let listed = Listed { resources: resources.collect(), next: None };
        Box::pin(async move { Ok(listed) })
    },
    templates: Vec::new,
    read: |_, name| {
        Box::pin(async move {
            let known = SCHEMAS.iter().find(|(known, _, _)| *known == name);
            let (_, component, _) = known.ok_or_else(|| Problem::new(Code::NotFound))?;
            Ok(schema(component))
        })
    },
};

/// By name: the component of the API document, and what it is.
const SCHEMAS: [(&str, &str, &str); 2] = [
    ("workflow", "NewWorkflow", "A workflow, as POST /workflows takes it"),
    ("workflow-change", "Changes", "A change of a workflow, as propose_workflow_change takes it"),
];

/// The components of the API document: the one place that says what is taken.
static COMPONENTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let document = serde_json::to_value(openapi::document()).unwrap_or_default();
    match document.pointer("/components/schemas") {
        Some(Value::Object(components)) => components.clone(),
        _ => Map::new(),
    }
});

/// A component of the API document as a JSON Schema of its own, with those that it refers to under `$defs`.
#[must_use]
pub fn schema(component: &str) -> Value {
    let mut definitions = Map::new();
    let mut schema = own(component, &mut definitions);
    if let (Some(schema), false) = (schema.as_object_mut(), definitions.is_empty()) {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

/// A component with its references turned, and what it refers to put among the definitions.
fn own(component: &str, definitions: &mut Map<String, Value>) -> Value {
    fn turn(value: &Value, definitions: &mut Map<String, Value>) -> Value {
        match value {
            Value::Object(fields) => {
                let turned = fields.iter().map(|(name, value)| {
                    let component = value.as_str().and_then(|text| text.strip_prefix("#/components/schemas/"));
                    let value = match component {
                        Some(component) if name == "$ref" => {
                            if !definitions.contains_key(component) {
                                // Before it is read, so that one that refers to itself ends.
                                definitions.insert(component.to_owned(), Value::Null);
                                let definition = own(component, definitions);
                                definitions.insert(component.to_owned(), definition);
                            }
                            format!("#/$defs/{component}").into()
                        }
                        _ => turn(value, definitions),
                    };
                    (name.clone(), value)
                });
                Value::Object(turned.collect())
            }
            Value::Array(items) => items.iter().map(|item| turn(item, definitions)).collect(),
            other => other.clone(),
        }
    }
    COMPONENTS.get(component).map(|schema| turn(schema, definitions)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_there_and_every_reference_in_it_leads_somewhere() {
        for (name, component, _) in SCHEMAS {
            let schema = schema(component);
            assert_eq!(schema["type"], "object", "{name}");
            let text = schema.to_string();
            assert!(!text.contains("#/components"), "{name}");
            let mut references = 0;
            for reference in text.split("\"$ref\":\"#").skip(1) {
                let pointer = reference.split('"').next().unwrap_or_default();
                assert!(schema.pointer(pointer).is_some_and(Value::is_object), "{name}: {pointer}");
                references += 1;
            }
            assert!(references > 0, "{name}");
        }
    }
}
