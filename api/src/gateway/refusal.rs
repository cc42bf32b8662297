//! Refusals on MCP paths: a JSON-RPC error with the code's HTTP status (200 when only the message is refused, so that the
//! session survives), the request's id or null, and the same content as REST has.

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing_actix_web::RequestId;

use crate::problem::{ErrorContent, Problem};

#[derive(Serialize)]
struct JsonRpcError<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: JsonRpcErrorContent<'a>,
}

#[derive(Serialize)]
struct JsonRpcErrorContent<'a> {
    code: i64,
    message: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    code: &'static str,
    request_id: &'a str,
    details: &'a crate::problem::Details,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// The answer to a refused message. `body` is the message, as far as it was read.
#[must_use]
pub fn respond(problem: &Problem, request: &HttpRequest, body: Option<&[u8]>) -> HttpResponse {
    let id = request.extensions().get::<RequestId>().copied();
    problem.log(id);
    let content = problem.content(id);
    let mut response = HttpResponse::build(problem.code().mcp_status())
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .body(text(problem, &content, body.and_then(message_id)));
    problem.decorate(&mut response);
    response
}

fn text(problem: &Problem, content: &ErrorContent, id: Option<&RawValue>) -> String {
    let error = JsonRpcError {
        jsonrpc: "2.0",
        id,
        error: JsonRpcErrorContent {
            code: problem.code().number(),
            message: &content.message,
            data: Data { code: problem.code().as_str(), request_id: &content.request_id, details: &content.details },
        },
    };
    serde_json::to_string(&error).unwrap_or_default()
}

/// The id of a JSON-RPC request: a string or a number. Anything else, or no message at all, is answered with null.
fn message_id(body: &[u8]) -> Option<&RawValue> {
    let id = serde_json::from_slice::<Message<'_>>(body).ok()?.id?;
    let first = id.get().as_bytes().first()?;
    (*first == b'"' || *first == b'-' || first.is_ascii_digit()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_messages_own_or_null() {
        let id = |body: &str| message_id(body.as_bytes()).map(|id| id.get().to_owned());
        assert_eq!(id(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).as_deref(), Some("7"));
        assert_eq!(id(r#"{"id":"a\"b"}"#).as_deref(), Some(r#""a\"b""#));
        for none in [r#"{"id":null}"#, r#"{"id":{}}"#, r#"{"id":[1]}"#, r#"{"id":true}"#, "{}", "[]", "no json", ""] {
            assert_eq!(id(none), None, "{none}");
        }
    }
}
