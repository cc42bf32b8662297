//! How a tool's call ends, as the protocol has it.

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ErrorCode};
use serde_json::{Value, json};
use tracing_actix_web::RequestId;

use crate::problem::Problem;

/// A tool that the caller may not use, or that is not there: an error of the protocol. The session goes on.
#[must_use]
pub fn denied(problem: &Problem, request_id: Option<RequestId>) -> ErrorData {
    problem.log(request_id);
    let content = problem.content(request_id);
    let number = i32::try_from(problem.number()).unwrap_or(0);
    let data = json!({"code": content.code, "requestId": content.request_id, "details": content.details});
    ErrorData::new(ErrorCode(number), content.message, Some(data))
}

/// A call that came to nothing, as a result that a model can read and act upon.
#[must_use]
pub fn failed(problem: &Problem, request_id: Option<RequestId>) -> CallToolResult {
    problem.log(request_id);
    CallToolResult::structured_error(json!({"error": problem.content(request_id)}))
}

/// What one of Keyrack's own tools found out.
#[must_use]
pub fn told(value: Value) -> CallToolResult {
    CallToolResult::structured(value)
}
