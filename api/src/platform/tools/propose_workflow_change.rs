//! `propose_workflow_change`: says what should be different; nothing is until an editor applies it.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::WorkflowsRead;
use domain::audit::AuditTarget;
use serde_json::{Value, json};

use super::get_workflow::workflow_argument;
use super::{Effect, SystemTool, read};
use crate::code::Code;
use crate::platform::caller::Caller;
use crate::platform::resources::schema;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::workflows::named;
use crate::v1::workflows::proposals::{NewProposal, ProposalShape};

pub static TOOL: SystemTool = SystemTool {
    name: "propose_workflow_change",
    title: "Propose a change of a workflow",
    description: "Proposes a change of a workflow, such as other steps. Nothing changes until an editor applies it, within 14 \
                  days and while the workflow is at the version that the change is of. No secrets in arguments.",
    permission: Permission::WorkflowsRead,
    effect: Effect::Writes,
    arguments: || {
        // `$defs` belong to the root.
        let mut change = schema("Changes");
        let definitions = change.as_object_mut().and_then(|change| change.remove("$defs"));
        json!({
            "type": "object",
            "properties": {
                "workflow": workflow_argument(),
                "change": change,
                "note": {"type": "string", "maxLength": 1000, "description": "Why, for whoever decides."},
            },
            "required": ["workflow", "change"],
            "additionalProperties": false,
            "$defs": definitions,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(caller, arguments).await }),
};

async fn run(caller: Arc<Caller>, mut arguments: rmcp::model::JsonObject) -> Result<Value, Problem> {
    let Some(Value::String(workflow)) = arguments.remove("workflow") else {
        return Err(Problem::field(Code::ValidationFailed, "workflow", "must be a workflow's id"));
    };
    let request = read::<NewProposal>(arguments)?.read()?;
    let id = named(&workflow)?;
    let proposal = to_the_end(async move {
        let grant = caller.granted::<WorkflowsRead>()?;
        let event = caller.event("workflow.propose", AuditTarget::Workflow(id));
        Ok::<_, Problem>(caller.services.proposals.propose(&grant, id, request, event).await?)
    })
    .await?;
    Ok(json!({"proposal": ProposalShape::from(&proposal)}))
}
