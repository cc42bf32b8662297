//! `list_servers`: the organization's servers as those see them who manage them.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::ServersRead;
use domain::page::{LIMIT_MAX, Limit, PageRequest};
use domain::server::model::SharedServer;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, project_argument, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::mcp_servers::ServerShape;

pub static TOOL: SystemTool = SystemTool {
    name: "list_servers",
    title: "List servers",
    description: "Lists the organization's registered servers with their settings and how they do.",
    permission: Permission::ServersRead,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {"projectId": project_argument()},
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(rename = "projectId")]
    project_id: Option<String>,
}

async fn run(caller: &Arc<Caller>, filter: Filter) -> Result<Value, Problem> {
    let within = caller.options.within(&caller.services, &caller.grant, filter.project_id).await?;
    let grant = caller.granted::<ServersRead>()?;
    let limit = Limit::new(LIMIT_MAX).unwrap_or_default();
    let page =
        caller.services.servers.list(&grant, within.narrowing(), false, PageRequest { limit, after: None }).await?;
    let services = &caller.services;
    let ids: Vec<_> = page.items.iter().map(|server| server.id).collect();
    let offers = services.capabilities.offers(&grant, &ids).await?;
    let shape = |server: &SharedServer| {
        ServerShape::new(server, services.health.view(server.id)).offering(&grant, offers.get(&server.id))
    };
    let shown: Vec<_> = page.items.iter().map(shape).collect();
    Ok(json!({"servers": shown, "more": page.next.is_some()}))
}
