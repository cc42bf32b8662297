//! The MCP server of the samples: one tool, which answers what the layer before it found out about the caller.

use std::sync::Arc;

use actix_web::HttpMessage;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use rmcp_actix_web::transport::{StreamableHttpService, on_request_extensions};
use serde_json::Value;

/// Whom the server takes the caller for.
#[derive(Clone)]
pub struct Caller(pub Value);

#[derive(Clone)]
pub struct Whoami;

fn tool() -> Tool {
    let schema = serde_json::json!({"type": "object", "properties": {}});
    let schema = schema.as_object().expect("an object").clone();
    Tool::new("whoami", "Says whom this server takes you for.", schema)
}

impl ServerHandler for Whoami {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("keyrack-sample", "1"))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == "whoami").then(tool)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![tool()]))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if call.name != "whoami" {
            return Err(ErrorData::invalid_params("there is no such tool", None));
        }
        let caller = on_request_extensions(&context.extensions).and_then(|known| known.get::<Caller>().cloned());
        let Caller(caller) = caller.ok_or_else(|| ErrorData::internal_error("nobody", None))?;
        Ok(CallToolResult::structured(caller).into())
    }
}

/// The service, at `/mcp` of whatever it is mounted in.
pub fn service() -> StreamableHttpService<Whoami, LocalSessionManager> {
    StreamableHttpService::builder()
        .service_factory(Arc::new(|| Ok(Whoami)))
        .session_manager(Arc::new(LocalSessionManager::default()))
        .stateful_mode(false)
        .json_response(true)
        .on_request_fn(|request, known| {
            if let Some(caller) = request.extensions().get::<Caller>() {
                known.insert(caller.clone());
            }
        })
        .build()
}
