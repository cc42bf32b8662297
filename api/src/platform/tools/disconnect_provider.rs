//! `disconnect_provider`: ends one of the tenant's own connections.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::permission::ConnectionsWrite;
use domain::audit::AuditTarget;
use domain::server::port::ServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::connections::ConnectionShape;

pub static TOOL: SystemTool = SystemTool {
    name: "disconnect_provider",
    title: "Disconnect a provider",
    description: "Ends your own connection to a server: its credential is deleted. Nobody else's is touched.",
    permission: Permission::ConnectionsWrite,
    effect: Effect::Destroys,
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
    let event = caller.event("connection.delete", AuditTarget::Tenant);
    let name = ServerName::parse(&which.server);
    let services = Arc::clone(&caller.services);
    // A change goes on when its caller leaves.
    let ended = crate::to_the_end::to_the_end(async move {
        let connected = services.connections.delete(&grant, name.as_ref(), event).await?;
        Ok(ConnectionShape::new(&connected, &grant))
    });
    Ok(json!({"disconnected": ended.await?}))
}
