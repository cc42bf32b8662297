//! Contents of every kind, and how fixtures are made from the JSON of the suite's documents.

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// One red pixel.
pub const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
/// A WAV file without samples.
pub const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// A value of the protocol from its JSON.
pub fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value)
        .map_err(|fault| ErrorData::internal_error(format!("a fixture is wrong: {fault}"), None))
}

/// A complete result from its JSON; rmcp leaves the type away for clients of 2025-11-25.
pub fn complete<T: DeserializeOwned>(mut result: Value) -> Result<T, ErrorData> {
    result["resultType"] = json!("complete");
    from_json(result)
}

/// A result of one text.
pub fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

/// A failed result of one text.
pub fn failed(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// A result of these contents.
pub fn contents(contents: Value) -> Result<CallToolResult, ErrorData> {
    from_json(contents).map(CallToolResult::success)
}

/// `test_image_content`
pub fn image() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": "image/png"})
}

/// `test_audio_content`
pub fn audio() -> Value {
    json!({"type": "audio", "data": WAV, "mimeType": "audio/wav"})
}

/// A text resource inside a content.
pub fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}})
}
