//! A real MCP client (rmcp), as an agent would use it.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, RunningService, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(15);

/// Which header carries the key.
#[derive(Debug, Clone, Copy)]
pub enum Header {
    /// `X-API-Key`
    ApiKey,
    /// `Authorization: Bearer`
    Bearer,
}

/// Which era of the protocol the client speaks.
#[derive(Debug, Clone, Copy)]
pub enum Era {
    /// `initialize`, 2025-11-25.
    Legacy,
    /// Stateless, 2026-07-28; falls back where a server does not speak it.
    Modern,
}

/// A connected client.
pub struct McpClient(RunningService<RoleClient, ()>);

impl McpClient {
    /// Connects to an endpoint with a key.
    pub async fn connect(endpoint: &str, token: &str, header: Header, era: Era) -> Result<Self, String> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(endpoint);
        config = match header {
            Header::Bearer => config.auth_header(token),
            Header::ApiKey => {
                let value = HeaderValue::from_str(token).map_err(|error| error.to_string())?;
                config.custom_headers(HashMap::from([(HeaderName::from_static("x-api-key"), value)]))
            }
        };
        let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
        let lifecycle = match era {
            Era::Legacy => ClientLifecycleMode::Initialize,
            Era::Modern => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::V_2025_11_25),
            },
        };
        match tokio::time::timeout(PATIENCE, serve_client_with_lifecycle((), transport, lifecycle)).await {
            Ok(Ok(client)) => Ok(Self(client)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("connecting took too long".to_owned()),
        }
    }

    /// The names of the server's tools.
    pub async fn tools(&self) -> Result<Vec<String>, String> {
        let listed = tokio::time::timeout(PATIENCE, self.0.list_all_tools()).await;
        let tools = listed.map_err(|_| "listing took too long".to_owned())?.map_err(|error| error.to_string())?;
        Ok(tools.into_iter().map(|tool| tool.name.into_owned()).collect())
    }

    /// Calls a tool; its structured result.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Result<Value, String> {
        let mut request = CallToolRequestParams::new(tool);
        if let Value::Object(arguments) = arguments {
            request = request.with_arguments(arguments);
        }
        let called = tokio::time::timeout(PATIENCE, self.0.call_tool(request)).await;
        let result = called.map_err(|_| "the call took too long".to_owned())?.map_err(|error| error.to_string())?;
        result.structured_content.ok_or_else(|| "the tool gave no structured result".to_owned())
    }

    /// Disconnects.
    pub async fn close(self) {
        // The demo is over for this client; how its goodbye went does not matter.
        let _ = self.0.cancel().await;
    }
}
