//! Until 2025-11-25 a server asks its client by requests of its own, on the stream of the call.

use rmcp::model::{
    CallToolResult, ClientResult, CreateMessageRequestParams, ElicitRequest, SamplingMessage, ServerRequest,
};
use rmcp::{ErrorData, Peer, RoleServer};
use serde_json::{Value, json};

use crate::content::{failed, from_json, text};

/// `test_sampling`
pub async fn sample(peer: &Peer<RoleServer>, prompt: &str) -> Result<CallToolResult, ErrorData> {
    let asked = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    Ok(match peer.create_message(asked).await {
        Ok(answer) => {
            let said = answer.message.content.first().and_then(|content| content.as_text());
            text(format!("LLM response: {}", said.map_or("", |said| &said.text)))
        }
        Err(fault) => failed(fault.to_string()),
    })
}

/// `test_elicitation`
pub async fn elicit(peer: &Peer<RoleServer>, message: &str) -> Result<CallToolResult, ErrorData> {
    let properties = json!({
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    });
    ask(peer, "User response", message, properties, &["username", "email"]).await
}

/// `test_elicitation_sep1034_defaults`
pub async fn defaults(peer: &Peer<RoleServer>) -> Result<CallToolResult, ErrorData> {
    let properties = json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    });
    ask(peer, "Elicitation completed", "Everything has a default.", properties, &[]).await
}

/// `test_elicitation_sep1330_enums`
pub async fn choices(peer: &Peer<RoleServer>) -> Result<CallToolResult, ErrorData> {
    let titled = json!([
        {"const": "value1", "title": "First Option"},
        {"const": "value2", "title": "Second Option"},
        {"const": "value3", "title": "Third Option"},
    ]);
    let untitled = json!({"type": "string", "enum": ["option1", "option2", "option3"]});
    let properties = json!({
        "untitledSingle": untitled,
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": untitled},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    });
    ask(peer, "Elicitation completed", "Choose.", properties, &[]).await
}

async fn ask(
    peer: &Peer<RoleServer>,
    done: &str,
    message: &str,
    properties: Value,
    required: &[&str],
) -> Result<CallToolResult, ErrorData> {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    let asked = from_json(json!({"mode": "form", "message": message, "requestedSchema": schema}))?;
    Ok(match peer.send_request(ServerRequest::ElicitRequest(ElicitRequest::new(asked))).await {
        Ok(ClientResult::ElicitResult(answer)) => {
            let answer = json!(answer);
            let (action, content) = (answer["action"].as_str().unwrap_or_default(), &answer["content"]);
            text(format!("{done}: action={action}, content={content}"))
        }
        Ok(_) => failed("The client answered something else."),
        Err(fault) => failed(fault.to_string()),
    })
}
