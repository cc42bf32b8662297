//! `list_connections`: the tenant's own connections.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::ConnectionsRead;
use domain::page::{LIMIT_MAX, Limit, PageRequest};
use serde_json::{Value, json};

use super::{Effect, Nothing, SystemTool, nothing, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::connections::ConnectionShape;

pub static TOOL: SystemTool = SystemTool {
    name: "list_connections",
    title: "List connections",
    description: "Lists your own connections to servers and whether each still works. Credentials are never shown.",
    permission: Permission::ConnectionsRead,
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
    let grant = caller.granted::<ConnectionsRead>()?;
    let limit = Limit::new(LIMIT_MAX).unwrap_or_default();
    let page = caller.services.connections.list(&grant, PageRequest { limit, after: None }).await?;
    let shown = page.items.iter().map(|connected| ConnectionShape::new(connected, &grant)).collect::<Vec<_>>();
    Ok(json!({"connections": shown, "more": page.next.is_some()}))
}
