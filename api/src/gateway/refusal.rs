//! Refusals on MCP paths: a JSON-RPC error with the code's HTTP status (200 when only the message is refused, so that the
//! session survives), the request's id or null, and the same content as REST has.

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use domain::mcp::{Envelope, Kind};
use serde::Serialize;
use serde_json::value::RawValue;
use tracing_actix_web::RequestId;

use crate::problem::{ErrorContent, Problem};

#[derive(Serialize)]
struct JsonRpcError<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: &'a JsonRpcErrorContent<'a>,
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

/// The answer to a refused message. `body` is the message, as far as it was read.
#[must_use]
pub fn respond(problem: &Problem, request: &HttpRequest, body: Option<&[u8]>) -> HttpResponse {
    let id = request.extensions().get::<RequestId>().copied();
    problem.log(id);
    let content = problem.content(id);
    let code = problem.code();
    let message = body.and_then(|body| Envelope::read(body).ok());
    // Only a request is answered in the protocol; of a refused notification nobody would hear.
    let in_protocol = message.as_ref().is_some_and(awaits_answer) && code.mcp_status() != code.status();
    let (status, text) = match &message {
        Some(message) if in_protocol => (code.mcp_status(), text(problem, &content, message)),
        Some(message) if message.kind != Kind::Batch => (code.status(), text(problem, &content, message)),
        _ => (code.status(), error(problem, &content, None)),
    };
    let mut response = HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .body(text);
    problem.decorate(&mut response);
    response
}

fn awaits_answer(message: &Envelope<'_>) -> bool {
    message.messages().iter().any(|message| message.kind == Kind::Request)
}

/// One error; for a batch one for each of its requests, so that none of them waits for ever.
fn text(problem: &Problem, content: &ErrorContent, message: &Envelope<'_>) -> String {
    if message.kind != Kind::Batch {
        return error(problem, content, message.id);
    }
    let requests = message.messages().iter().filter(|message| message.kind == Kind::Request);
    let errors: Vec<_> = requests.map(|request| error(problem, content, request.id)).collect();
    format!("[{}]", errors.join(","))
}

fn error(problem: &Problem, content: &ErrorContent, id: Option<&RawValue>) -> String {
    let data = Data { code: problem.code().as_str(), request_id: &content.request_id, details: &content.details };
    let error = JsonRpcErrorContent { code: problem.number(), message: &content.message, data };
    serde_json::to_string(&JsonRpcError { jsonrpc: "2.0", id, error: &error }).unwrap_or_default()
}
