//! The tools by name, and what each takes.

use rmcp::model::Tool;
use serde_json::{Map, Value, json};

/// Every tool, in the same order each time.
pub fn all() -> Vec<Tool> {
    let plain = PLAIN.iter().map(|(name, does)| tool(name, does, json!({"type": "object", "properties": {}})));
    let more = [
        tool("echo", "Says what it is told.", strings(&["message"], &["message"])),
        tool("test_sampling", "Asks the client's model.", strings(&["prompt"], &["prompt"])),
        tool("test_elicitation", "Asks the client's user.", strings(&["message"], &["message"])),
        tool("greet", "Greets, at once.", strings(&["name"], &["name"])),
        tool("confirm_delete", "Asks before it would delete.", strings(&["filename"], &[])),
        tool(
            "slow_compute",
            "Computes for some seconds.",
            json!({"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}}),
        ),
        tool(
            "test_custom_header",
            "Has an argument that a header repeats.",
            json!({
                "type": "object",
                "properties": {"value": {"type": "string", "x-mcp-header": "Value"}},
                "required": ["value"],
            }),
        ),
        tool("json_schema_2020_12_tool", "Has a schema of many keywords.", many_keywords()),
    ];
    plain.chain(more).collect()
}

/// Those without arguments.
const PLAIN: &[(&str, &str)] = &[
    ("test_simple_text", "Answers with a text."),
    ("test_image_content", "Answers with an image."),
    ("test_audio_content", "Answers with a sound."),
    ("test_embedded_resource", "Answers with a resource."),
    ("test_multiple_content_types", "Answers with a text, an image and a resource."),
    ("test_tool_with_logging", "Logs while it runs."),
    ("test_tool_with_progress", "Tells how far it is."),
    ("test_error_handling", "Fails."),
    ("test_elicitation_sep1034_defaults", "Asks the user for values with defaults."),
    ("test_elicitation_sep1330_enums", "Asks the user to choose."),
    ("test_reconnection", "Closes the stream before it answers."),
    ("test_missing_capability", "Needs a client that samples."),
    ("test_streaming_elicitation", "Needs input of the user."),
    ("test_logging_tool", "Logs if the request asks for it."),
    ("test_trigger_tool_change", "Says that the tools changed."),
    ("test_trigger_prompt_change", "Says that the prompts changed."),
    ("test_input_required_result_elicitation", "Needs a name."),
    ("test_input_required_result_sampling", "Needs the client's model."),
    ("test_input_required_result_list_roots", "Needs the client's roots."),
    ("test_input_required_result_request_state", "Has the client carry a state."),
    ("test_input_required_result_multiple_inputs", "Needs three things at once."),
    ("test_input_required_result_multi_round", "Needs one thing after the other."),
    ("test_input_required_result_tampered_state", "Refuses a state that was changed."),
    ("test_input_required_result_capabilities", "Asks for what the client can do."),
    ("failing_job", "A task that ends with the tool's error."),
    ("protocol_error_job", "A task that ends with an error of the protocol."),
    ("multi_input", "A task that needs two things at once."),
    ("test_tool_with_task", "Needs a name, and then becomes a task."),
];

fn tool(name: &'static str, does: &'static str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else { unreachable!("every schema above is an object") };
    Tool::new(name, does, schema)
}

fn strings(names: &[&str], required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// SEP-1613 and SEP-2106: the suite looks whether each keyword arrives.
fn many_keywords() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            },
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
