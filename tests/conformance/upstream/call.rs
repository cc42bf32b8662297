//! `tools/call`, by name.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, JsonObject, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::content::{audio, contents, embedded, failed, image, text};
use crate::server::Upstream;
use crate::{questions, rounds, sessions, tasks};

/// Between two messages of a tool that sends several, as the suite's documents have it.
const PAUSE: Duration = Duration::from_millis(50);

/// An argument that is a text.
pub fn argument<'a>(arguments: &'a JsonObject, name: &str) -> Result<&'a str, ErrorData> {
    let value = arguments.get(name).and_then(Value::as_str);
    value.ok_or_else(|| ErrorData::invalid_params(format!("{name} must be a string"), None))
}

/// Calls a tool.
pub async fn call(
    upstream: &Upstream,
    mut call: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = call.arguments.take().unwrap_or_default();
    let result = match call.name.as_ref() {
        "echo" => Ok(text(format!("Echo: {}", argument(&arguments, "message")?))),
        "test_simple_text" => Ok(text("This is a simple text response for testing.")),
        "test_image_content" => contents(json!([image()])),
        "test_audio_content" => contents(json!([audio()])),
        "test_embedded_resource" => contents(json!([embedded(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content."
        )])),
        "test_multiple_content_types" => contents(json!([
            {"type": "text", "text": "Multiple content types test:"},
            image(),
            embedded("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ])),
        "test_error_handling" => Ok(failed("This tool intentionally returns an error for testing")),
        "test_custom_header" => Ok(text(argument(&arguments, "value")?)),
        "json_schema_2020_12_tool" => Ok(text("The schema is what counts.")),
        "test_tool_with_logging" => logging(upstream, &context).await,
        "test_tool_with_progress" => progress(&context).await,
        "test_logging_tool" => log_if_asked(&context).await,
        "test_reconnection" => {
            sessions::close_streams(&upstream.sessions, &context).await?;
            Ok(text("This came after the stream was closed."))
        }
        "test_missing_capability" => sampling_only(&context),
        "test_trigger_tool_change" => {
            upstream.listeners.tools_changed().await;
            Ok(text("The tools changed."))
        }
        "test_trigger_prompt_change" => {
            upstream.listeners.prompts_changed().await;
            Ok(text("The prompts changed."))
        }
        "test_sampling" => questions::sample(&context.peer, argument(&arguments, "prompt")?).await,
        "test_elicitation" => questions::elicit(&context.peer, argument(&arguments, "message")?).await,
        "test_elicitation_sep1034_defaults" => questions::defaults(&context.peer).await,
        "test_elicitation_sep1330_enums" => questions::choices(&context.peer).await,
        _ => {
            return match tasks::call(upstream, &call, &arguments, &context).await? {
                Some(response) => Ok(response),
                None => rounds::call(&upstream.seal, &call, &context.meta),
            };
        }
    };
    result.map(Into::into)
}

async fn logging(upstream: &Upstream, context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        if upstream.wants(LoggingLevel::Info) {
            log(context, LoggingLevel::Info, message).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(text("Three messages were logged."))
}

async fn log_if_asked(context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    if let Some(level) = context.meta.log_level() {
        log(context, level, "A level was asked for.").await;
    }
    Ok(text("Logged if asked."))
}

async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, message: &str) {
    // A client that left does not fail the call; there is nobody to tell.
    let _ = context.peer.notify_logging_message(LoggingMessageNotificationParam::new(level, json!(message))).await;
}

async fn progress(context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    for done in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let told = ProgressNotificationParam::new(token, done).with_total(100.0);
            let _ = context.peer.notify_progress(told).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(text("All of it is done."))
}

fn sampling_only(context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    if context.client_capabilities().is_some_and(|client| client.sampling.is_some()) {
        return Ok(text("The client samples."));
    }
    let needed = ClientCapabilities::builder().enable_sampling().build();
    Err(ErrorData::missing_required_client_capability(needed))
}
