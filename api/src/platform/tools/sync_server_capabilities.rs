//! `sync_server_capabilities`: asks a server what it offers now, and tells what changed.

use std::sync::Arc;

use domain::access::permission::ServersSync;
use domain::access::{Denied, Permission};
use domain::audit::AuditTarget;
use domain::server::port::ServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::mcp_servers::sync::{ask_and_keep, credential};

pub static TOOL: SystemTool = SystemTool {
    name: "sync_server_capabilities",
    title: "Sync a server's capabilities",
    description: "Asks a server for its tools, prompts and resources, keeps them, and tells how they differ from the time \
                  before.",
    permission: Permission::ServersSync,
    effect: Effect::Writes,
    arguments: || {
        json!({
            "type": "object",
            "properties": {"server": {"type": "string", "description": "The server's slug or id."}},
            "required": ["server"],
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    server: String,
}

async fn run(caller: &Arc<Caller>, which: Which) -> Result<Value, Problem> {
    let grant = caller.granted::<ServersSync>()?;
    let name = ServerName::parse(&which.server).ok_or(Denied::ServerNotFound)?;
    let server = caller.services.servers.to_sync(&grant, &name).await?;
    let credential = credential(&caller.services, &grant, &server).await?;
    let event = caller.event("server.sync", AuditTarget::Server(server.id));
    let view = ask_and_keep(&caller.services, grant, server, credential, event).await?;
    Ok(json!({"server": view}))
}
