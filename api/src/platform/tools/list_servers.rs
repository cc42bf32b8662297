//! `list_servers`: the organization's servers as those see them who manage them.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::ServersRead;
use domain::page::{LIMIT_MAX, Limit, PageRequest};
use serde_json::{Value, json};

use super::{Effect, Nothing, SystemTool, nothing, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::mcp_servers::ServerShape;

pub static TOOL: SystemTool = SystemTool {
    name: "list_servers",
    title: "List servers",
    description: "Lists the organization's registered servers with their settings and how they do.",
    permission: Permission::ServersRead,
    effect: Effect::Reads,
    arguments: nothing,
    run: |caller, arguments| {
        Box::pin(async move {
            let Nothing {} = read(arguments)?;
            run(&caller).await
        })
    },
};

async fn run(caller: &Arc<Caller>) -> Result<Value, Problem> {
    let grant = caller.granted::<ServersRead>()?;
    let limit = Limit::new(LIMIT_MAX).unwrap_or_default();
    let page = caller.services.servers.list(&grant, false, PageRequest { limit, after: None }).await?;
    let services = &caller.services;
    let shown: Vec<_> =
        page.items.iter().map(|server| ServerShape::new(server, services.health.view(server.id))).collect();
    Ok(json!({"servers": shown, "more": page.next.is_some()}))
}
