//! `run_workflow_now`: asks for a run of a workflow.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::RunsDispatch;
use domain::audit::AuditTarget;
use domain::id::WorkflowId;
use domain::idempotency::IdempotencyKey;
use domain::run::Trigger;
use domain::run::service::RunFault;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::code::Code;
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::runs::dispatch::ask_for;
use crate::v1::runs::shapes::RunShape;

pub static TOOL: SystemTool = SystemTool {
    name: "run_workflow_now",
    title: "Run a workflow now",
    description: "Runs a workflow's newest version in the background, on your behalf, and answers with the run. Look at it \
                  with inspect_run until its status is pass, partial, fail, error or cancelled.",
    permission: Permission::RunsDispatch,
    effect: Effect::Writes,
    arguments: || {
        json!({
            "type": "object",
            "properties": {
                "workflowId": {"type": "string", "description": "The workflow's id."},
                "idempotencyKey": {"type": "string", "minLength": 1, "maxLength": 255, "description": "A name of your own for this wish: asking again under it gives the same run."},
            },
            "required": ["workflowId"],
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wish {
    workflow_id: String,
    idempotency_key: Option<String>,
}

async fn run(caller: Arc<Caller>, wish: Wish) -> Result<Value, Problem> {
    let grant = caller.granted::<RunsDispatch>()?;
    let workflow: WorkflowId = wish.workflow_id.parse().map_err(|_| RunFault::NotFound)?;
    let wrong = |fault| Problem::field(Code::ValidationFailed, "idempotencyKey", fault);
    let key = wish.idempotency_key.map(|key| key.parse::<IdempotencyKey>()).transpose().map_err(wrong)?;
    let event = caller.event("run.dispatch", AuditTarget::Organization);
    let asked = crate::to_the_end::to_the_end(async move {
        Ok(ask_for(&caller.services, &grant, workflow, Trigger::Tool, key.as_ref(), event).await?)
    });
    let (run, again) = asked.await?;
    Ok(json!({"run": RunShape::whole(&run), "again": again}))
}
