//! `search_runs`: finds runs of workflows.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::RunsRead;
use domain::page::{Limit, PageRequest};
use domain::project::Narrowing;
use domain::run::port::RunFilter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, project_argument, read};
use crate::code::Code;
use crate::extract::{decode_cursor, encode_cursor};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::runs::list::RunQuery;
use crate::v1::runs::shapes::RunShape;

/// Runs on a page when the model does not say.
const SOME: u16 = 20;

pub static TOOL: SystemTool = SystemTool {
    name: "search_runs",
    title: "Search runs",
    description: "Lists runs of workflows, newest first and without their steps: how they stand, and why they ended so.",
    permission: Permission::RunsRead,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {
                "workflowId": {"type": "string", "description": "Of this workflow."},
                "status": {"type": "string", "enum": ["pending", "running", "pass", "partial", "fail", "error", "cancelled"]},
                "trigger": {"type": "string", "enum": ["api", "tool", "schedule"]},
                "from": {"type": "string", "description": "RFC 3339: asked for at this time or later."},
                "to": {"type": "string", "description": "RFC 3339: asked for before this time."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": SOME},
                "cursor": {"type": "string", "description": "nextCursor of the page before."},
                "projectId": project_argument(),
            },
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Search {
    workflow_id: Option<String>,
    status: Option<String>,
    trigger: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<u16>,
    cursor: Option<String>,
    project_id: Option<String>,
}

async fn run(caller: &Arc<Caller>, search: Search) -> Result<Value, Problem> {
    let grant = caller.granted::<RunsRead>()?;
    let Search { workflow_id, status, trigger, from, to, limit, cursor, project_id } = search;
    let filter = RunQuery { workflow_id, status, trigger, from, to }.filter()?;
    let within = caller.options.within(&caller.services, &caller.grant, project_id).await?;
    let filter = RunFilter { project: within.narrowing().map(Narrowing::project), ..filter };
    let wrong = |error| Problem::field(Code::ValidationFailed, "limit", error);
    let limit = Limit::new(limit.unwrap_or(SOME)).map_err(wrong)?;
    let after = match cursor {
        None => None,
        Some(cursor) => Some(decode_cursor(&cursor).and_then(|key| key.parse().ok()).ok_or_else(|| {
            Problem::field(Code::ValidationFailed, "cursor", "must be the nextCursor of an earlier page")
        })?),
    };
    let page = caller.services.runs.list(&grant, &filter, PageRequest { limit, after }).await?;
    let runs: Vec<_> = page.items.iter().map(RunShape::listed).collect();
    Ok(json!({"runs": runs, "nextCursor": page.next.map(|id| encode_cursor(&id.to_string()))}))
}
