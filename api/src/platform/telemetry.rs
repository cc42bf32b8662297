//! `telemetry`: what a model may say of a call beside the tool's arguments. Every tool advertises it; no tool sees it.

use std::sync::Arc;

use domain::call::Telemetry;
use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde_json::{Value, json};

/// The argument's name.
const NAME: &str = "telemetry";
/// How much of each text is kept, in characters.
const TEXT_MAX: usize = 1000;

#[derive(Deserialize)]
struct Sent {
    intent: Option<Value>,
    context: Option<Value>,
    frustration: Option<Value>,
}

/// Advertises the argument. A tool that has one of that name keeps its own.
#[must_use]
pub fn advertise(mut tool: Tool) -> Tool {
    let mut schema = Arc::unwrap_or_clone(tool.input_schema);
    if let Some(properties) = schema.entry("properties").or_insert_with(|| json!({})).as_object_mut() {
        properties.entry(NAME).or_insert_with(property);
    }
    tool.input_schema = Arc::new(schema);
    tool
}

fn property() -> Value {
    let text = |description: &str| json!({"type": "string", "maxLength": TEXT_MAX, "description": description});
    json!({
        "type": "object",
        "description": "Optional: why you call. The tool does not see it; it helps to make the tools better.",
        "properties": {
            "intent": text("What the person wants in the end."),
            "context": text("What led to this call."),
            "frustration": text("What did not go well until now, if anything."),
        },
    })
}

/// Takes the argument out of a call. What is no telemetry is taken out as well, and dropped: a call does not fail for it.
pub fn take(arguments: &mut JsonObject) -> Option<Telemetry> {
    let sent: Sent = serde_json::from_value(arguments.remove(NAME)?).ok()?;
    let text = |value: Option<Value>| match value {
        // PostgreSQL takes the character nought in no text.
        Some(Value::String(text)) if !text.trim().is_empty() => {
            Some(text.chars().filter(|character| *character != '\0').take(TEXT_MAX).collect())
        }
        // Some models answer with a degree or a flag.
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
        _ => None,
    };
    let telemetry =
        Telemetry { intent: text(sent.intent), context: text(sent.context), frustration: text(sent.frustration) };
    (telemetry != Telemetry::default()).then_some(telemetry)
}

/// Whether a tool has an argument of that name itself, which is then the tool's.
#[must_use]
pub fn is_the_tools_own(schema: &JsonObject) -> bool {
    schema.get("properties").and_then(Value::as_object).is_some_and(|properties| properties.contains_key(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(value: Value) -> JsonObject {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn telemetry_is_taken_out_whatever_it_is_and_the_rest_stays() {
        let mut sent = arguments(json!({"a": 1, "telemetry": {"intent": "book a room", "frustration": 3, "x": []}}));
        let telemetry = take(&mut sent).expect("telemetry");
        assert_eq!((telemetry.intent.as_deref(), telemetry.frustration.as_deref()), (Some("book a room"), Some("3")));
        assert_eq!(sent, arguments(json!({"a": 1})));
        for nothing in [json!({"telemetry": "text"}), json!({"telemetry": {"intent": " "}}), json!({"telemetry": null})]
        {
            let mut sent = arguments(nothing);
            assert_eq!((take(&mut sent), sent), (None, JsonObject::new()));
        }
    }

    #[test]
    fn a_tool_advertises_it_once_and_keeps_what_is_its_own() {
        let tool = |schema| Tool::new("t", "d", Arc::new(arguments(schema)));
        let advertised = advertise(tool(json!({"type": "object"})));
        assert!(is_the_tools_own(&advertised.input_schema));
        let own = json!({"type": "object", "properties": {"telemetry": {"type": "boolean"}}});
        assert_eq!(advertise(tool(own.clone())).input_schema, Arc::new(arguments(own)));
    }
}
