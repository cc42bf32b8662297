//! What the tests' upstream offers, to those who ask in the protocol's legacy revisions: `/offer`.

use actix_web::HttpResponse;
use serde_json::{Value, json};

/// The answer to a message. `offer` has the lists `tools`, `prompts`, `resources` and `resourceTemplates`; what it does
/// not have is not known.
pub(crate) fn answer(message: &Value, offer: &Value) -> HttpResponse {
    let list = |name: &str| match offer.get(name) {
        Some(items) => json!({"result": {name: items}}),
        None => json!({"error": {"code": -32601, "message": "Method not found"}}),
    };
    let mut answer = match message["method"].as_str().unwrap_or_default() {
        _ if message["id"].is_null() => return HttpResponse::Accepted().finish(),
        "initialize" => json!({"result": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
            "serverInfo": {"name": "offer", "version": "1"},
        }}),
        "tools/list" => list("tools"),
        "prompts/list" => list("prompts"),
        "resources/list" => list("resources"),
        "resources/templates/list" => list("resourceTemplates"),
        _ => return HttpResponse::BadRequest().body("Bad Request: Server not initialized"),
    };
    answer["jsonrpc"] = "2.0".into();
    answer["id"] = message["id"].clone();
    HttpResponse::Ok().json(answer)
}
