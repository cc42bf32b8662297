//! `list_providers`: the servers that the tenant reaches, and how each stands.

use std::sync::Arc;

use domain::access::Permission;
use domain::server::AuthScope;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, project_argument, read};
use crate::code::Code;
use crate::platform::caller::Caller;
use crate::platform::catalogue::{self, Asked};
use crate::problem::Problem;

pub static TOOL: SystemTool = SystemTool {
    name: "list_providers",
    title: "List providers",
    description: "Lists the MCP servers that you reach: what each is for, whether it must be connected first, whether it \
                  answers now, and how many tools it has. Tools of a server are named <slug>_<tool>.",
    permission: Permission::McpConnect,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {"category": {"type": "string", "description": "Only servers of this category."}, "projectId": project_argument()},
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    category: Option<String>,
    #[serde(rename = "projectId")]
    project_id: Option<String>,
}

async fn run(caller: &Arc<Caller>, filter: Filter) -> Result<Value, Problem> {
    let within = caller.options.within(&caller.services, &caller.grant, filter.project_id).await?;
    let asked = catalogue::ask(caller, &within).await?;
    let of_category = |asked: &Asked| match &filter.category {
        Some(category) => asked.server.record().categories.contains(category),
        None => true,
    };
    let providers: Vec<Value> = asked.iter().filter(|asked| of_category(asked)).map(shown).collect();
    Ok(json!({"providers": providers}))
}

/// A server and what became of it when its tools were asked for.
pub fn shown(asked: &Asked) -> Value {
    let record = asked.server.record();
    let (status, reason, tools) = match &asked.tools {
        Ok(listed) => ("ready", None, Some(listed.tools.len())),
        Err(trouble) if trouble.code == Code::ConnectionRequired => {
            ("connection_required", Some(&trouble.reason), None)
        }
        Err(trouble) => ("unavailable", Some(&trouble.reason), None),
    };
    json!({
        "slug": record.slug.to_string(),
        "id": record.id.to_string(),
        "name": record.name.to_string(),
        "description": record.description.as_ref().map(ToString::to_string),
        "categories": record.categories,
        "auth": {"kind": record.auth.kind().as_str(), "scope": record.auth.scope().as_str()},
        "needsConnection": record.auth.scope() == AuthScope::Tenant,
        "status": status,
        "reason": reason,
        "toolCount": tools,
    })
}
