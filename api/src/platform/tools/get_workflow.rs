//! `get_workflow`: all of a workflow, or of one of its versions, and what is proposed for it.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::WorkflowsRead;
use domain::page::PageRequest;
use domain::workflow::proposal::ProposalState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::workflows::proposals::ProposalShape;
use crate::v1::workflows::{VersionShape, WorkflowShape, named};

pub static TOOL: SystemTool = SystemTool {
    name: "get_workflow",
    title: "Get a workflow",
    description: "Tells a workflow's steps with their arguments and expectations, its schedule, and the changes that are \
                  proposed for it; or the steps of an earlier version.",
    permission: Permission::WorkflowsRead,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {
                "workflow": workflow_argument(),
                "version": {"type": "integer", "minimum": 1, "description": "That version's steps instead."},
            },
            "required": ["workflow"],
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

/// The schema of a workflow's argument.
pub fn workflow_argument() -> Value {
    json!({"type": "string", "description": "The workflow's id, wf_…; list_workflows tells it."})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    workflow: String,
    version: Option<u32>,
}

async fn run(caller: &Arc<Caller>, which: Which) -> Result<Value, Problem> {
    let grant = caller.granted::<WorkflowsRead>()?;
    let id = named(&which.workflow)?;
    if let Some(number) = which.version {
        let made = caller.services.workflows.version(&grant, id, number).await?;
        return Ok(json!({"version": VersionShape::from(&made)}));
    }
    let seen = caller.services.workflows.get(&grant, id).await?;
    let first = PageRequest::default();
    let open = caller.services.proposals.list(&grant, id, Some(ProposalState::Open), first).await?;
    let proposals: Vec<_> = open.items.iter().map(ProposalShape::from).collect();
    let baseline = caller.services.runs.baselines(&grant, &[id]).await?.remove(&id);
    Ok(json!({"workflow": WorkflowShape::new(&seen, baseline), "proposals": proposals}))
}
