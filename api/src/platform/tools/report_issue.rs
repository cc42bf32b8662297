//! `report_issue`: a word from a model or its person to those who run the servers. It stands in the audit log.

use std::sync::Arc;

use domain::access::Permission;
use domain::access::decide::ReachableServer;
use domain::audit::{AuditEvent, AuditTarget};
use domain::redact;
use domain::server::port::ServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, read};
use crate::authenticate::record;
use crate::code::Code;
use crate::platform::caller::Caller;
use crate::problem::Problem;

/// How long a report may be, in characters.
const MESSAGE_MAX: usize = 2000;

pub static TOOL: SystemTool = SystemTool {
    name: "report_issue",
    title: "Report an issue",
    description: "Tells the organization's admins that something does not work or is missing. Do not put secrets or \
                  personal data into it.",
    permission: Permission::McpConnect,
    effect: Effect::Writes,
    arguments: || {
        json!({
            "type": "object",
            "properties": {
                "message": {"type": "string", "minLength": 1, "maxLength": MESSAGE_MAX, "description": "What is wrong."},
                "server": {"type": "string", "description": "The slug or id of the server that it is about, if any."},
            },
            "required": ["message"],
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    message: String,
    server: Option<String>,
}

async fn run(caller: &Arc<Caller>, report: Report) -> Result<Value, Problem> {
    let length = report.message.chars().count();
    if report.message.trim().is_empty() || length > MESSAGE_MAX {
        let why = format!("must be 1 to {MESSAGE_MAX} characters");
        return Err(Problem::field(Code::ValidationFailed, "message", why));
    }
    let server: Option<ReachableServer> = match &report.server {
        None => None,
        Some(name) => Some(caller.services.gate.reach(&caller.grant, ServerName::parse(name).as_ref().into()).await?),
    };
    let target = server.map_or(AuditTarget::Organization, |server| AuditTarget::Server(server.record().id));
    let event = caller.event("issue.report", target);
    let id = event.id.to_string();
    record(&caller.services, AuditEvent { reason: Some(redact::text(&report.message).into_owned()), ..event }).await?;
    Ok(json!({"reported": true, "eventId": id}))
}
