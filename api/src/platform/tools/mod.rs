//! Keyrack's own tools. Each has the permission that it takes: a tool is listed exactly for those who may call it.

mod apply_workflow_change;
mod compare_runs;
mod connect_provider;
mod describe_category;
mod disconnect_provider;
mod get_usage;
mod get_workflow;
mod inspect_run;
mod list_connections;
mod list_providers;
mod list_servers;
mod list_workflows;
mod propose_workflow_change;
mod report_issue;
mod run_workflow_now;
mod search_runs;
mod sync_server_capabilities;

use std::sync::Arc;

use domain::access::Permission;
use futures_util::future::BoxFuture;
use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, JsonObject, Tool, ToolAnnotations};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::caller::Caller;
use super::{outcome, telemetry};
use crate::code::Code;
use crate::problem::Problem;

/// One of Keyrack's own tools.
pub struct SystemTool {
    /// What it is called by.
    pub name: &'static str,
    /// What it is called for people.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What it takes to see and to call it.
    pub permission: Permission,
    /// What it does to things.
    pub effect: Effect,
    /// Its arguments, as JSON Schema.
    pub arguments: fn() -> Value,
    /// It.
    pub run: fn(Arc<Caller>, JsonObject) -> BoxFuture<'static, Result<Value, Problem>>,
}

/// What a tool does to things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It looks.
    Reads,
    /// It adds or changes.
    Writes,
    /// It takes something away.
    Destroys,
}

/// All of them.
pub static ALL: [&SystemTool; 17] = [
    &list_providers::TOOL,
    &list_connections::TOOL,
    &connect_provider::TOOL,
    &disconnect_provider::TOOL,
    &describe_category::TOOL,
    &get_usage::TOOL,
    &report_issue::TOOL,
    &list_servers::TOOL,
    &sync_server_capabilities::TOOL,
    &list_workflows::TOOL,
    &get_workflow::TOOL,
    &propose_workflow_change::TOOL,
    &apply_workflow_change::TOOL,
    &run_workflow_now::TOOL,
    &search_runs::TOOL,
    &inspect_run::TOOL,
    &compare_runs::TOOL,
];

/// The tool with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static SystemTool> {
    ALL.into_iter().find(|tool| tool.name == name)
}

impl SystemTool {
    /// Whether a caller may see and call it.
    #[must_use]
    pub fn is_for(&self, caller: &Caller) -> bool {
        caller.grant.may(self.permission).is_ok()
    }

    /// The tool as lists have it.
    #[must_use]
    pub fn described(&self) -> Tool {
        let schema = match (self.arguments)() {
            Value::Object(schema) => schema,
            _ => JsonObject::new(),
        };
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(self.effect == Effect::Reads)
            .destructive(self.effect == Effect::Destroys)
            .open_world(false);
        Tool::new(self.name, self.description, Arc::new(schema)).with_title(self.title).with_annotations(annotations)
    }
}

/// Calls one for a caller.
///
/// # Errors
/// An error of the protocol when the caller may not.
pub async fn call(
    caller: &Arc<Caller>,
    tool: &'static SystemTool,
    mut arguments: JsonObject,
) -> Result<CallToolResponse, ErrorData> {
    if let Err(denied) = caller.grant.may(tool.permission) {
        let problem = Problem::from(denied);
        let problem = caller.refused(tool.permission.as_str(), &problem).await.err().unwrap_or(problem);
        return Err(outcome::denied(&problem, caller.id));
    }
    let _ = telemetry::take(&mut arguments);
    let result = match (tool.run)(Arc::clone(caller), arguments).await {
        Ok(value) => outcome::told(value),
        Err(problem) => outcome::failed(&problem, caller.id),
    };
    Ok(result.into())
}

/// Reads a tool's arguments.
///
/// # Errors
/// [`Problem`] that names the place.
fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let place = error.path().to_string();
        let field = if place == "." { "arguments" } else { &place };
        Problem::field(Code::ValidationFailed, field, error.inner())
    })
}

/// The schema of a project's argument.
fn project_argument() -> Value {
    let description = "Only what is in this project, by id or slug; wins over the address's projectId.";
    serde_json::json!({"type": "string", "description": description})
}

/// The schema of a tool that takes nothing.
fn nothing() -> Value {
    serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false})
}

/// What a tool without arguments reads.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}
