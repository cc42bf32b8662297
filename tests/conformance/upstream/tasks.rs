//! The tasks extension (SEP-2663): calls that answer with a task, for clients that declared the extension.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, CreateTaskResult, JsonObject,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskFuture, TaskOptions};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::call::argument;
use crate::content::{failed, text};
use crate::rounds::{answer, elicitation, name, needs, said};
use crate::server::Upstream;

/// Calls a tool that can become a task; none if it is no such tool.
pub async fn call(
    upstream: &Upstream,
    call: &CallToolRequestParams,
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Result<Option<CallToolResponse>, ErrorData> {
    let declared = context.client_capabilities().is_some_and(|client| client.supports_tasks());
    let become_task = |work: fn(TaskContext) -> TaskFuture| {
        if declared { Ok(Some(spawn(upstream, work))) } else { Err(undeclared()) }
    };
    match call.name.as_ref() {
        "greet" => Ok(Some(text(format!("Hello, {}!", argument(arguments, "name")?)).into())),
        "slow_compute" => {
            let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or_default();
            let length = Duration::try_from_secs_f64(seconds)
                .map_err(|fault| ErrorData::invalid_params(fault.to_string(), None))?;
            if declared && !length.is_zero() {
                return Ok(Some(spawn(upstream, move |task| Box::pin(compute(task, length)))));
            }
            tokio::time::sleep(length).await;
            Ok(Some(text("Computed.").into()))
        }
        "failing_job" => become_task(|_| Box::pin(async { Ok(failed("The job failed.")) })),
        "protocol_error_job" => {
            become_task(|_| Box::pin(async { Err(ErrorData::internal_error("The job broke.", None).into()) }))
        }
        "confirm_delete" => become_task(|task| Box::pin(confirm(task))),
        "multi_input" => become_task(|task| Box::pin(two_questions(task))),
        "test_tool_with_task" => match answer(call.input_responses.as_ref(), "user_name") {
            _ if !declared => Err(undeclared()),
            None => Ok(Some(needs([("user_name", name()?)], None))),
            Some(given) => {
                let greeting = format!("Hello, {}!", said(given, "/content/name"));
                Ok(Some(spawn(upstream, move |_| Box::pin(async move { Ok(text(greeting)) }))))
            }
        },
        _ => Ok(None),
    }
}

fn spawn(upstream: &Upstream, work: impl FnOnce(TaskContext) -> TaskFuture) -> CallToolResponse {
    let options = TaskOptions::new().with_poll_interval_ms(50);
    CreateTaskResult::new(upstream.tasks.spawn(options, work)).into()
}

fn undeclared() -> ErrorData {
    ErrorData::missing_required_client_capability(ClientCapabilities::builder().enable_tasks().build())
}

async fn compute(task: TaskContext, length: Duration) -> Result<CallToolResult, TaskExit> {
    tokio::select! {
        () = tokio::time::sleep(length) => Ok(text("Computed.")),
        () = task.cancelled() => Err(TaskExit::Cancelled),
    }
}

async fn confirm(task: TaskContext) -> Result<CallToolResult, TaskExit> {
    let question = elicitation("Delete it?", json!({"confirm": {"type": "boolean"}}))?;
    let answer = task.request_input("confirm", question).await?;
    Ok(text(format!("Confirmed: {}", answer["content"]["confirm"])))
}

async fn two_questions(task: TaskContext) -> Result<CallToolResult, TaskExit> {
    let sure = elicitation("Are you sure?", json!({"confirm": {"type": "boolean"}}))?;
    tokio::try_join!(task.request_input("name", name()?), task.request_input("confirm", sure))?;
    Ok(text("Both were answered."))
}
