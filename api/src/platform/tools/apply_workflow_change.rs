//! `apply_workflow_change`: makes the change that somebody proposed.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::WorkflowsWrite;
use domain::audit::AuditTarget;
use serde::Deserialize;
use serde_json::{Value, json};

use super::get_workflow::workflow_argument;
use super::{Effect, SystemTool, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::workflows::named;
use crate::v1::workflows::proposals::{self, AppliedShape};

pub static TOOL: SystemTool = SystemTool {
    name: "apply_workflow_change",
    title: "Apply a proposed change of a workflow",
    description: "Makes the change of a workflow that somebody proposed, as if you had sent it. get_workflow tells what is \
                  proposed.",
    permission: Permission::WorkflowsWrite,
    effect: Effect::Writes,
    arguments: || {
        json!({
            "type": "object",
            "properties": {
                "workflow": workflow_argument(),
                "proposal": {"type": "string", "description": "The proposal's id, wfp_…"},
            },
            "required": ["workflow", "proposal"],
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    workflow: String,
    proposal: String,
}

async fn run(caller: Arc<Caller>, which: Which) -> Result<Value, Problem> {
    let (id, proposal) = (named(&which.workflow)?, proposals::named(&which.proposal)?);
    let (proposal, seen, baseline) = to_the_end(async move {
        let grant = caller.granted::<WorkflowsWrite>()?;
        let baseline = caller.services.runs.baselines(&grant, &[id]).await?.remove(&id);
        let event = caller.event("workflow.apply", AuditTarget::Workflow(id));
        let (proposal, seen) = caller.services.proposals.apply(&grant, id, proposal, event).await?;
        Ok::<_, Problem>((proposal, seen, baseline))
    })
    .await?;
    let applied = AppliedShape::new(&proposal, &seen, baseline);
    serde_json::to_value(applied).map_err(Problem::internal)
}
