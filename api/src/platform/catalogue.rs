//! All tools that a caller has: Keyrack's own, and those of every server that it reaches.

use std::sync::Arc;

use bytes::Bytes;
use domain::access::SystemScope;
use domain::organization::Feature;
use futures_util::future::join_all;
use infra::mcp_client;

use super::caller::{Asker, Caller};
use super::lists::{Listed, ToolLists, Trouble, Wait};
use super::query::Options;
use super::upstream::Reached;
use super::{ready, telemetry, tools};
use crate::problem::Problem;

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
        let tools = match Reached::with_connection(&caller.asker, server.clone()).await {
            Ok(reached) => offered(&caller.asker, lists, &reached, Wait::AWhile).await,
            Err(fault) => Err(Trouble::of(&fault.into())),
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
pub async fn offered(
    asker: &Arc<Asker>,
    lists: &ToolLists,
    reached: &Reached,
    wait: Wait,
) -> Result<Arc<Listed>, Trouble> {
    let listed = lists.of(asker, reached, wait).await?;
    let organization = asker.grant.organization();
    if !organization.features.contains(Feature::ToolApproval) {
        return Ok(listed);
    }
    let scope = SystemScope::new(organization.id, "what is offered is what was approved");
    let kept = asker.services.capabilities.kept(&scope, reached.server.record().id).await;
    let approvals = match kept.map_err(Problem::from) {
        Ok(kept) => kept.map(|kept| kept.approvals).unwrap_or_default(),
        Err(problem) => return Err(Trouble::of(&problem)),
    };
    Ok(Arc::new(listed.only(|tool| approvals.cover(&mcp_client::tool(tool.clone())))))
}

/// The caller's tools, as text: Keyrack's own first, then each server's in its own order, by slug.
///
/// # Errors
/// [`Problem`]
pub async fn tools(caller: &Arc<Caller>) -> Result<Vec<Bytes>, Problem> {
    let own = tools::ALL.iter().filter(|tool| tool.is_for(caller)).map(|tool| telemetry::advertise(tool.described()));
    let mut all: Vec<Bytes> = own.filter_map(|tool| ready::written(&tool)).map(Bytes::from).collect();
    if !caller.options.system_only {
        let asked = ask(caller, &caller.options).await?;
        all.extend(asked.iter().filter_map(|asked| asked.tools.as_ref().ok()).map(|listed| listed.text.clone()));
    }
    Ok(all)
}
