//! An MCP server with every fixture that the official conformance suite asks for, in both eras of the protocol: what
//! the suite finds here directly, it must find through the gateway as well. It speaks 2025-11-25 with sessions, a GET
//! stream and resumption, and 2026-07-28 without; the protocol is rmcp's, the fixtures are the suite's wording. It knows
//! nothing of Keyrack, and must never be lenient where the specification is not.
//!
//! Usage: `conformance_upstream [PORT]` (none or 0 takes a free port); prints `listening on 127.0.0.1:PORT` when it is
//! ready. Its endpoint is `/mcp`.

#![expect(deprecated, reason = "logging, sampling and roots end with 2026-07-28; the suite asks for them before it")]

mod call;
mod content;
mod listeners;
mod prompts;
mod questions;
mod resources;
mod rounds;
mod sealed;
mod server;
mod sessions;
mod tasks;
mod tools;

use std::sync::Arc;

use actix_web::{App, HttpServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp_actix_web::transport::StreamableHttpService;

use crate::server::Upstream;
use crate::sessions::{RETRY, SessionId};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = Some(RETRY);
    let sessions = Arc::new(sessions);
    let upstream = Upstream::new(Arc::clone(&sessions));
    let service = StreamableHttpService::builder()
        .service_factory(Arc::new(move || Ok(upstream.for_a_session())))
        .session_manager(sessions)
        .sse_retry(RETRY)
        .on_request_fn(|request, extensions| {
            if let Some(id) = request.headers().get("mcp-session-id").and_then(|id| id.to_str().ok()) {
                extensions.insert(SessionId(id.to_owned()));
            }
        })
        .build();
    let server = HttpServer::new(move || App::new().service(service.clone().scope_with_path("/mcp")))
        .workers(1)
        .h1_allow_half_closed(false)
        .shutdown_timeout(1)
        .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("listening on {address}");
    }
    server.run().await?;
    Ok(())
}
