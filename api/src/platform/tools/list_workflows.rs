//! `list_workflows`: the organization's workflows, without the steps' arguments, which get_workflow has.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::WorkflowsRead;
use domain::page::{LIMIT_DEFAULT, Limit, PageRequest};
use domain::project::Narrowing;
use domain::workflow::check::Seen;
use domain::workflow::port::WorkflowFilter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, project_argument, read};
use crate::code::Code;
use crate::extract::{decode_cursor, encode_cursor};
use crate::platform::caller::Caller;
use crate::problem::Problem;

pub static TOOL: SystemTool = SystemTool {
    name: "list_workflows",
    title: "List workflows",
    description: "Lists the organization's workflows: ordered calls of servers' tools with what is expected of each answer. \
                  get_workflow tells all of one.",
    permission: Permission::WorkflowsRead,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {
                "projectId": project_argument(),
                "archived": {"type": "boolean", "description": "The archived ones instead of the others."},
                "cursor": {"type": "string", "description": "nextCursor of the page before."},
            },
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    project_id: Option<String>,
    #[serde(default)]
    archived: bool,
    cursor: Option<String>,
}

async fn run(caller: &Arc<Caller>, filter: Filter) -> Result<Value, Problem> {
    let within = caller.options.within(&caller.services, &caller.grant, filter.project_id).await?;
    let grant = caller.granted::<WorkflowsRead>()?;
    let wrong = || Problem::field(Code::ValidationFailed, "cursor", "must be the nextCursor of an earlier page");
    let position = |cursor: String| decode_cursor(&cursor).and_then(|id| id.parse().ok()).ok_or_else(wrong);
    let after = filter.cursor.map(position).transpose()?;
    let page = PageRequest { limit: Limit::new(LIMIT_DEFAULT).unwrap_or_default(), after };
    let filter = WorkflowFilter { project: within.narrowing().map(Narrowing::project), archived: filter.archived };
    let found = caller.services.workflows.list(&grant, filter, page).await?;
    let next = found.next.map(|id| encode_cursor(&id.to_string()));
    Ok(json!({"workflows": found.items.iter().map(line).collect::<Vec<_>>(), "nextCursor": next}))
}

/// A workflow in a list.
fn line(seen: &Seen) -> Value {
    let workflow = &seen.workflow;
    let steps = workflow.definition.steps.iter();
    let steps = steps.map(|step| json!({"name": step.name.as_str(), "server": step.server_slug, "tool": step.tool}));
    json!({
        "id": workflow.id,
        "name": workflow.name,
        "description": workflow.description,
        "version": workflow.version,
        "steps": steps.collect::<Vec<_>>(),
        "scheduled": workflow.schedule.is_some(),
        "projectId": workflow.project,
        "unreachableServers": seen.unreachable.iter().map(|server| server.slug.as_str()).collect::<Vec<_>>(),
    })
}
