//! All tools that a caller has: Keyrack's own, and those of every server that it reaches.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::access::SystemScope;
use domain::organization::Feature;
use futures_util::future::join_all;
use infra::mcp_client::{self, Tool};
use tokio::time::timeout;

use super::caller::Caller;
use super::lists::{Listed, ToolLists, Trouble};
use super::query::Options;
use super::upstream::{Reached, joined};
use super::{telemetry, tools};
use crate::code::Code;
use crate::problem::Problem;

/// How long a list of tools waits for servers. What is not there then is told of, and is there the next time.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What became of a server when its tools were asked for.
pub struct Asked {
    /// The server.
    pub server: domain::access::decide::ReachableServer,
    /// Its tools, or why there are none.
    pub tools: Result<Arc<Listed>, Trouble>,
}

/// Asks every server that the caller reaches for its tools, side by side: one that is dead costs its own tools only.
///
/// # Errors
/// [`Problem`] when the servers cannot be looked up.
pub async fn ask(caller: &Arc<Caller>, within: &Options) -> Result<Vec<Asked>, Problem> {
    let lists = &caller.services.tool_lists;
    let servers = caller.services.gate.reachable(&caller.grant).await?;
    let asked = servers.into_iter().filter(|server| within.includes(server.record().id)).map(async |server| {
        let tools = match Reached::with_connection(caller, server.clone()).await {
            Ok(reached) => timeout(PATIENCE, offered(caller, lists, &reached)).await.unwrap_or_else(|_| {
                let reason = "the server has not answered yet; its tools are listed as soon as it has".to_owned();
                Err(Trouble { code: Code::UpstreamTimeout, reason })
            }),
            Err(problem) => Err(Trouble { code: problem.code(), reason: problem.message().to_owned() }),
        };
        Asked { server, tools }
    });
    Ok(join_all(asked).await)
}

/// What a server offers to a caller: all that it lists, or, where the organization wants changed tools approved, those that
/// are.
///
/// # Errors
/// [`Trouble`]
pub async fn offered(caller: &Arc<Caller>, lists: &ToolLists, reached: &Reached) -> Result<Arc<Listed>, Trouble> {
    let listed = lists.of(caller, reached).await?;
    let organization = caller.grant.organization();
    if !organization.features.contains(Feature::ToolApproval) {
        return Ok(listed);
    }
    let scope = SystemScope::new(organization.id, "what is offered is what was approved");
    let kept = caller.services.capabilities.kept(&scope, reached.server.record().id).await;
    let approvals = match kept.map_err(Problem::from) {
        Ok(kept) => kept.map(|kept| kept.approvals).unwrap_or_default(),
        Err(problem) => return Err(Trouble::of(&problem)),
    };
    Ok(Arc::new(listed.only(|tool| approvals.cover(&mcp_client::tool(tool.clone())))))
}

/// The caller's tools: Keyrack's own first, then each server's in its own order, by slug.
///
/// # Errors
/// [`Problem`]
pub async fn tools(caller: &Arc<Caller>) -> Result<Vec<Tool>, Problem> {
    let mut all: Vec<Tool> =
        tools::ALL.iter().filter(|tool| tool.is_for(caller)).map(|tool| tool.described()).collect();
    let mut names: HashSet<String> = all.iter().map(|tool| tool.name.to_string()).collect();
    if !caller.options.system_only {
        for Asked { server, tools } in ask(caller, &caller.options).await? {
            let Ok(listed) = tools else { continue };
            for tool in &listed.tools {
                let mut tool = tool.clone();
                tool.name = joined(server.record().slug.as_str(), &tool.name).into();
                // A server cannot put itself in the place of one of Keyrack's own tools.
                if names.insert(tool.name.to_string()) {
                    all.push(tool);
                }
            }
        }
    }
    Ok(all.into_iter().map(telemetry::advertise).collect())
}
