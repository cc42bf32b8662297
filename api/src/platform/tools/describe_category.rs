//! `describe_category`: what can be done with the servers of a category.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::access::Permission;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Effect, SystemTool, project_argument, read};
use crate::code::Code;
use crate::platform::caller::Caller;
use crate::platform::catalogue;
use crate::platform::lists::Offer;
use crate::platform::upstream::joined;
use crate::problem::Problem;

use super::list_providers::shown;

pub static TOOL: SystemTool = SystemTool {
    name: "describe_category",
    title: "Describe a category",
    description: "Describes what the servers of a category can do: their tools by name and description. Without a \
                  category, lists the categories that there are.",
    permission: Permission::McpConnect,
    effect: Effect::Reads,
    arguments: || {
        json!({
            "type": "object",
            "properties": {"category": {"type": "string", "description": "A category, as list_providers shows them."}, "projectId": project_argument()},
            "additionalProperties": false,
        })
    },
    run: |caller, arguments| Box::pin(async move { run(&caller, read(arguments)?).await }),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    category: Option<String>,
    #[serde(rename = "projectId")]
    project_id: Option<String>,
}

async fn run(caller: &Arc<Caller>, which: Which) -> Result<Value, Problem> {
    let within = caller.options.within(&caller.services, &caller.grant, which.project_id).await?;
    let asked = catalogue::ask(caller, &within).await?;
    let categories: BTreeSet<&String> = asked.iter().flat_map(|asked| &asked.server.record().categories).collect();
    let Some(category) = which.category else { return Ok(json!({"categories": categories})) };
    if !categories.contains(&category) {
        return Err(Problem::because(
            Code::NotFound,
            format!("no server that you reach is of the category {category:?}"),
        ));
    }
    let of_it = asked.iter().filter(|asked| asked.server.record().categories.contains(&category));
    let servers: Vec<Value> = of_it
        .map(|asked| {
            let slug = asked.server.record().slug.as_str();
            let tools = asked.tools.as_ref().map_or_else(
                |_| vec![],
                |listed| {
                    let shown = |tool: &Offer| {
                        json!({"name": joined(slug, &tool.own.name), "description": tool.own.description})
                    };
                    listed.tools.iter().map(shown).collect::<Vec<_>>()
                },
            );
            let mut server = shown(asked);
            server["tools"] = tools.into();
            server
        })
        .collect();
    Ok(json!({"category": category, "providers": servers}))
}
