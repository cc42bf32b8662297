//! The sample MCP server: notes, kept apart per tenant by the verified assertion.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use super::identity::{Caller, Verifier};
use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Data;
use actix_web::{App, Error, HttpMessage, HttpServer, error::ErrorUnauthorized};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use rmcp_actix_web::transport::{StreamableHttpService, on_request_extensions};
use serde::Deserialize;
use serde_json::json;

type Store = Arc<Mutex<HashMap<Caller, Vec<String>>>>;

#[derive(Clone)]
struct Notes {
    store: Store,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct NewNote {
    /// What to write down.
    text: String,
}

#[tool_router]
impl Notes {
    #[tool(description = "Write a note that only you can read.")]
    async fn add_note(
        &self,
        Parameters(note): Parameters<NewNote>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let caller = caller(&context)?;
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = store.entry(caller).or_default();
        notes.push(note.text);
        Ok(CallToolResult::structured(json!({"count": notes.len()})))
    }

    #[tool(description = "Read your notes.")]
    async fn list_notes(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let caller = caller(&context)?;
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(CallToolResult::structured(json!({"notes": store.get(&caller).cloned().unwrap_or_default()})))
    }

    #[tool(description = "Who you are to this server.")]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let caller = caller(&context)?;
        Ok(CallToolResult::structured(json!({
            "organization": caller.organization,
            "tenantOrg": caller.tenant_org,
            "tenantUser": caller.tenant_user,
            "sub": caller.sub,
        })))
    }
}

fn caller(context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
    on_request_extensions(&context.extensions)
        .and_then(|extensions| extensions.get::<Caller>())
        .cloned()
        .ok_or_else(|| ErrorData::internal_error("no verified caller", None))
}

#[tool_handler]
impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_instructions("Notes that nobody but you can read.")
    }
}

/// The running sample server.
pub struct NotesServer {
    /// Its MCP endpoint.
    pub url: String,
    handle: ServerHandle,
}

impl NotesServer {
    /// Stops it.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

/// Starts the sample server, which Keyrack knows by `url`.
///
/// # Errors
/// When the listener cannot be used.
pub fn start(listener: TcpListener, url: String, verifier: Verifier) -> std::io::Result<NotesServer> {
    let verifier = Data::new(verifier);
    let store = Store::default();
    let service = StreamableHttpService::builder()
        .service_factory(Arc::new(move || Ok(Notes { store: Arc::clone(&store) })))
        .session_manager(Arc::new(LocalSessionManager::default()))
        .stateful_mode(false)
        .json_response(true)
        .on_request_fn(|request, extensions| {
            if let Some(caller) = request.extensions().get::<Caller>() {
                extensions.insert(caller.clone());
            }
        })
        .build();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(verifier.clone())
            .wrap(from_fn(only_verified))
            .service(service.clone().scope_with_path("/mcp"))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(NotesServer { url, handle })
}

/// Refuses every request without an assertion that verifies, whatever else it brings.
async fn only_verified(
    verifier: Data<Verifier>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let assertion = request.headers().get("x-keyrack-assertion").and_then(|value| value.to_str().ok());
    let caller = match assertion {
        Some(assertion) => verifier.verify(assertion).await,
        None => None,
    };
    let caller = caller.ok_or_else(|| ErrorUnauthorized("no valid X-Keyrack-Assertion"))?;
    request.extensions_mut().insert(caller);
    next.call(request).await
}
