//! `inspect_run`: shows a run with its steps.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::RunsRead;
use domain::run::service::RunFault;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::runs::shapes::RunShape;

pub static TOOL: SystemTool = SystemTool {
    name: "inspect_run",
    title: "Inspect a run",
    description: "Shows a run of a workflow with its steps: what each tool was given and answered, how that was judged, and \
                  why the run ended as it did.",
    permission: Permission::RunsRead,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {"runId": {"type": "string", "description": "The run's id."}},
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
}

async fn run(caller: &Arc<Caller>, which: Which) -> Result<Value, Problem> {
    let grant = caller.granted::<RunsRead>()?;
    let id = which.run_id.parse().map_err(|_| RunFault::NotFound)?;
    let run = caller.services.runs.get(&grant, id).await?;
    Ok(json!({"run": RunShape::whole(&run)}))
}
