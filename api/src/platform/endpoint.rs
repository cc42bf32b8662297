//! The endpoint as rmcp sees it: one for each request, with its caller.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse, Implementation,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, model::ErrorCode};

use super::caller::Caller;
use super::upstream::{self, NotCalled};
use super::{catalogue, outcome, resources, tools};

/// Answers one caller.
#[derive(Clone)]
pub struct Endpoint {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The tools of a list that was asked for, which rmcp's answer has none of.
    pub listed: Arc<OnceLock<Vec<Bytes>>>,
    /// The tool of a server that the message calls, where headers repeat what the message says: rmcp holds them against
    /// its schema before it hands the message on.
    pub called: Option<Tool>,
}

const INSTRUCTIONS: &str = "The tools of all MCP servers that you reach, named <server>_<tool>, and Keyrack's own. A \
     server that is missing may need to be connected first: list_providers tells, connect_provider gives a link for the \
     person.";

impl ServerHandler for Endpoint {
    fn get_info(&self) -> ServerConfig {
        // Prompts are declared although there are none: clients ask for them in any case.
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("keyrack", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = catalogue::tools(&self.caller).await;
        let tools = tools.map_err(|problem| outcome::denied(&problem, self.caller.id))?;
        let _ = self.listed.set(tools);
        Ok(ListToolsResult::with_all_items(vec![]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = &self.caller;
        if let Some(tool) = tools::named(&request.name) {
            return tools::call(caller, tool, request.arguments.unwrap_or_default()).await;
        }
        let unknown = ErrorData::new(ErrorCode::INVALID_PARAMS, format!("unknown tool: {}", request.name), None);
        if caller.options.system_only {
            return Err(unknown);
        }
        match upstream::call(caller, &caller.services.tool_lists, request, &context.ct).await {
            Ok(response) => Ok(response),
            Err(NotCalled::Unknown) => Err(unknown),
            Err(NotCalled::Answered(error)) => Err(error),
            Err(NotCalled::Denied(problem)) => Err(outcome::denied(&problem, self.caller.id)),
            Err(NotCalled::Failed(problem)) => Ok(outcome::failed(&problem, self.caller.id).into()),
        }
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.called.clone().filter(|tool| tool.name == name)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Err(ErrorData::invalid_params(format!("unknown prompt: {}", request.name), None))
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        resources::list(&self.caller, request.and_then(|request| request.cursor)).await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(resources::templates(&self.caller))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(resources::read(&self.caller, request.uri).await?.into())
    }
}
