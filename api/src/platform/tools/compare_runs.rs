//! `compare_runs`: what changed from one run to another.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::RunsRead;
use domain::run::service::RunFault;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::runs::compare::{ComparisonShape, with};

pub static TOOL: SystemTool = SystemTool {
    name: "compare_runs",
    title: "Compare runs",
    description: "Compares a run with another of the same workflow, or with the workflow's baseline: what changed in status, \
                  results and durations, by step.",
    permission: Permission::RunsRead,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {
                "runId": {"type": "string", "description": "The run to look at."},
                "with": {"type": "string", "description": "The run to compare it with, or baseline.", "default": "baseline"},
            },
            "required": ["runId"],
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Which {
    run_id: String,
    with: Option<String>,
}

async fn run(caller: &Arc<Caller>, which: Which) -> Result<Value, Problem> {
    let grant = caller.granted::<RunsRead>()?;
    let id = which.run_id.parse().map_err(|_| RunFault::NotFound)?;
    let with = with(which.with.as_deref())?;
    let (other, comparison) = caller.services.runs.compare(&grant, id, with).await?;
    Ok(json!({"comparison": ComparisonShape::new(id, other, comparison)}))
}
