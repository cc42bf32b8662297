//! `connect_provider`: a link on which somebody connects the tenant to a server. It never takes a credential: what an agent
//! is told, its model reads.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::ConnectionsWrite;
use domain::audit::AuditTarget;
use domain::server::port::ServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::authenticate::record;
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::connections::link::link_to;
use crate::v1::time;

pub static TOOL: SystemTool = SystemTool {
    name: "connect_provider",
    title: "Connect a provider",
    description: "Gives a link to show to the user: on the page that it opens they connect themselves to a server, by \
                  giving a credential or their consent there. It works once and for ten minutes. Never ask for the \
                  credential itself.",
    permission: Permission::ConnectionsWrite,
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
    let grant = caller.granted::<ConnectionsWrite>()?;
    let services = &caller.services;
    let server = services.connections.connectable(&grant, ServerName::parse(&which.server).as_ref()).await?;
    let (url, link) = link_to(services, &grant, &server)?;
    record(services, caller.event("connection.link", AuditTarget::Server(server.id))).await?;
    Ok(json!({"url": url, "expiresAt": time(link.ends)}))
}
