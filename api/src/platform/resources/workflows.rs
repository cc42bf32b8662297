//! `keyrack://workflows/{id}` and `keyrack://workflows/{id}/versions/{version}`.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::WorkflowsRead;
use domain::id::WorkflowId;
use domain::page::{LIMIT_MAX, Limit, PageRequest};
use domain::project::Narrowing;
use domain::workflow::check::Seen;
use domain::workflow::port::WorkflowFilter;
use rmcp::model::{Resource, ResourceTemplate};
use serde_json::Value;

use super::{JSON, Listed, ResourceKind};
use crate::code::Code;
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::workflows::{VersionShape, WorkflowShape, named};

const PREFIX: &str = "keyrack://workflows/";

pub static KIND: ResourceKind = ResourceKind {
    prefix: PREFIX,
    permission: Permission::WorkflowsRead,
    media_type: JSON,
    list: |caller, position| Box::pin(async move { list(&caller, position).await }),
    templates: || {
        let workflow = ResourceTemplate::new(format!("{PREFIX}{{id}}"), "workflow")
            .with_title("A workflow")
            .with_description("The workflow with its newest version.");
        let version = ResourceTemplate::new(format!("{PREFIX}{{id}}/versions/{{version}}"), "workflow-version")
            .with_title("A version of a workflow")
            .with_description("One version, which never changes, by its number.");
        vec![workflow, version]
    },
    read: |caller, rest| Box::pin(async move { read(&caller, &rest).await }),
};

async fn list(caller: &Arc<Caller>, position: Option<String>) -> Result<Listed, Problem> {
    let grant = caller.granted::<WorkflowsRead>()?;
    let after = position.map(|id| named(&id)).transpose()?;
    let page = PageRequest { limit: Limit::new(LIMIT_MAX).unwrap_or_default(), after };
    let project = caller.options.narrowing().map(Narrowing::project);
    let found = caller.services.workflows.list(&grant, WorkflowFilter { project, archived: false }, page).await?;
    let resource = |seen: &Seen| {
        let workflow = &seen.workflow;
        let resource = Resource::new(format!("{PREFIX}{}", workflow.id), workflow.id.to_string())
            .with_title(workflow.name.as_str());
        match &workflow.description {
            Some(description) => resource.with_description(description.as_str()),
            None => resource,
        }
    };
    let next = found.next.map(|id: WorkflowId| id.to_string());
    Ok(Listed { resources: found.items.iter().map(resource).collect(), next })
}

async fn read(caller: &Arc<Caller>, rest: &str) -> Result<Value, Problem> {
    let grant = caller.granted::<WorkflowsRead>()?;
    let written = |written: Result<Value, serde_json::Error>| written.map_err(Problem::internal);
    match rest.split_once("/versions/") {
        None => {
            let id = named(rest)?;
            let seen = caller.services.workflows.get(&grant, id).await?;
            let baseline = caller.services.runs.baselines(&grant, &[id]).await?.remove(&id);
            written(serde_json::to_value(WorkflowShape::new(&seen, baseline)))
        }
        Some((id, number)) => {
            let number = number.parse().map_err(|_| Problem::new(Code::NotFound))?;
            let made = caller.services.workflows.version(&grant, named(id)?, number).await?;
            written(serde_json::to_value(VersionShape::from(&made)))
        }
    }
}
