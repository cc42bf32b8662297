//! Arguments that a modern server wants to see in headers as well: those that its tool's schema annotates with
//! `x-mcp-header` go along as `Mcp-Param-…`. rmcp does this for tools that were listed in the same session; a call is
//! mostly made in another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonObject, Tool};
use serde_json::Value;

/// The schemas of tools by name, as far as the session was told of them.
#[derive(Default)]
pub(super) struct Schemas(Mutex<HashMap<String, Arc<JsonObject>>>);

impl Schemas {
    /// Keeps a tool's.
    pub(super) fn keep(&self, tool: &Tool) {
        let mut schemas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(tool.name.to_string(), Arc::clone(&tool.input_schema));
    }

    /// The headers of a message: none unless it calls a tool that is known.
    pub(super) fn headers(&self, message: &ClientJsonRpcMessage) -> Vec<(HeaderName, HeaderValue)> {
        let ClientJsonRpcMessage::Request(request) = message else { return Vec::new() };
        let ClientRequest::CallToolRequest(call) = &request.request else { return Vec::new() };
        let schema = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&*call.params.name).cloned();
        match (schema, &call.params.arguments) {
            (Some(schema), Some(arguments)) => mirrored(&schema, arguments),
            (None, _) | (_, None) => Vec::new(),
        }
    }
}

/// The annotated arguments. Annotations count along `properties`, at any depth; what is no text, number or flag has no
/// header.
fn mirrored(schema: &JsonObject, arguments: &JsonObject) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let (Some(property), Some(argument)) = (property.as_object(), arguments.get(name)) else { continue };
        let header = property.get("x-mcp-header").and_then(Value::as_str).filter(|header| !header.is_empty());
        headers.extend(header.and_then(|header| Some((named(header)?, valued(argument)?))));
        if let Some(inner) = argument.as_object() {
            headers.extend(mirrored(property, inner));
        }
    }
    headers
}

fn named(header: &str) -> Option<HeaderName> {
    HeaderName::try_from(format!("mcp-param-{header}")).ok()
}

fn valued(argument: &Value) -> Option<HeaderValue> {
    let text = match argument {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => argument.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    HeaderValue::try_from(encoded(text)).ok()
}

/// As it can stand in a header: what is not plain ASCII, is padded, or looks encoded already is encoded.
fn encoded(text: String) -> String {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim_matches(' ') == text;
    if plain && !(text.starts_with("=?base64?") && text.ends_with("?=")) {
        text
    } else {
        format!("=?base64?{}?=", STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(properties: &Value, arguments: &Value) -> Vec<(String, String)> {
        let schema = json!({"type": "object", "properties": properties});
        let object = |value: &Value| value.as_object().expect("an object").clone();
        let headers = mirrored(&object(&schema), &object(arguments));
        let text = |value: HeaderValue| value.to_str().expect("ASCII").to_owned();
        headers.into_iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn annotated_arguments_are_mirrored_at_any_depth_and_no_others() {
        let region = json!({"type": "string", "x-mcp-header": "Region"});
        let properties = json!({
            "region": region, "count": {"x-mcp-header": "Count"}, "flag": {"x-mcp-header": "Flag"}, "plain": {},
            "list": {"x-mcp-header": "List"}, "none": {"x-mcp-header": "None"}, "absent": {"x-mcp-header": "Absent"},
            "bad": {"x-mcp-header": "no token"}, "empty": {"x-mcp-header": ""},
            "deep": {"properties": {"inner": {"x-mcp-header": "Inner"}}},
        });
        let arguments = json!({
            "region": "eu", "count": 3, "flag": true, "plain": "p", "list": [1], "none": null, "bad": "b", "empty": "e",
            "deep": {"inner": "i"}, "unknown": 1,
        });
        let mut found = headers(&properties, &arguments);
        found.sort();
        let expected = [("count", "3"), ("flag", "true"), ("inner", "i"), ("region", "eu")];
        assert_eq!(found, expected.map(|(name, value)| (format!("mcp-param-{name}"), value.to_owned())));
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_encoded() {
        for (text, expected) in [
            ("a b", "a b"),
            ("", ""),
            (" a", "=?base64?IGE=?="),
            ("世界", "=?base64?5LiW55WM?="),
            ("a\nb", "=?base64?YQpi?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("SGVsbG8=", "SGVsbG8="),
        ] {
            assert_eq!(encoded(text.to_owned()), expected, "{text:?}");
        }
    }
}
