//! `keyrack://runs/{id}`: a run with its steps, as `GET /runs/{id}` has it. Lists show the newest.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::RunsRead;
use domain::page::{Limit, PageRequest};
use domain::run::port::RunFilter;
use domain::run::service::RunFault;
use domain::run::{Run, RunStatus};
use rmcp::model::{Resource, ResourceTemplate};
use serde_json::Value;

use super::{JSON, Listed, ResourceKind};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::runs::shapes::RunShape;

const PREFIX: &str = "keyrack://runs/";

pub static KIND: ResourceKind = ResourceKind {
    prefix: PREFIX,
    permission: Permission::RunsRead,
    media_type: JSON,
    list: |caller, position| Box::pin(async move { list(&caller, position).await }),
    templates: || {
        let template = ResourceTemplate::new(format!("{PREFIX}{{id}}"), "run");
        vec![template.with_title("A run of a workflow with its steps")]
    },
    read: |caller, id| Box::pin(async move { read(&caller, &id).await }),
};

async fn list(caller: &Arc<Caller>, position: Option<String>) -> Result<Listed, Problem> {
    let grant = caller.granted::<RunsRead>()?;
    let after = position.and_then(|position| position.parse().ok());
    let filter = RunFilter {
        project: caller.options.narrowing().map(domain::project::Narrowing::project),
        ..RunFilter::default()
    };
    let page = caller.services.runs.list(&grant, &filter, PageRequest { limit: Limit::default(), after }).await?;
    let shown = |run: &Run| {
        let title = format!("{} run of {}", RunStatus::as_str(run.status), run.workflow);
        Resource::new(format!("{PREFIX}{}", run.id), run.id.to_string()).with_title(title)
    };
    Ok(Listed { resources: page.items.iter().map(shown).collect(), next: page.next.map(|id| id.to_string()) })
}

async fn read(caller: &Arc<Caller>, id: &str) -> Result<Value, Problem> {
    let grant = caller.granted::<RunsRead>()?;
    let id = id.parse().map_err(|_| RunFault::NotFound)?;
    let run = caller.services.runs.get(&grant, id).await?;
    serde_json::to_value(RunShape::whole(&run)).map_err(Problem::internal)
}
