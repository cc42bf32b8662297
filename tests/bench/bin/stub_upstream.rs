//! The upstream of the load bench: the cheapest MCP server that can stand behind a proxy.
//!
//! It answers every POST with one constant `tools/call` result and counts it, so that the bench can prove that each
//! answer its load generator saw was really fetched from upstream. A POST with `Mcp-Method: initialize` also begins a
//! session. It must never look at anything else of what it is sent, hold state beside those two numbers, or become slower
//! than the proxies measured in front of it.
//!
//! Usage: `stub_upstream PORT` (0 takes a free one); prints `http://127.0.0.1:PORT` when it is ready.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, CONTENT_TYPE};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::StreamExt as _;

/// The body of every answer to a POST. The bench compares it byte for byte before it measures.
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}]}}"#;

/// Idle connections outlive the turns of the other targets, so that no run starts on a dead pool.
const KEEP_ALIVE: Duration = Duration::from_mins(10);

static ANSWERED: AtomicU64 = AtomicU64::new(0);
static SESSIONS: AtomicU64 = AtomicU64::new(0);

async fn answer(request: HttpRequest, mut body: web::Payload) -> HttpResponse {
    if request.method() != Method::POST {
        // As a server answers GET and DELETE that has neither a stream of its own nor sessions.
        return HttpResponse::MethodNotAllowed().insert_header((ALLOW, "POST")).finish();
    }
    // Read to the end, or the connection could not carry a next request.
    while let Some(chunk) = body.next().await {
        if chunk.is_err() {
            return HttpResponse::BadRequest().finish();
        }
    }
    ANSWERED.fetch_add(1, Ordering::Relaxed);
    let mut response = HttpResponse::Ok();
    if request.headers().get("mcp-method").is_some_and(|method| method == "initialize") {
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
        response.insert_header(("mcp-session-id", format!("session-{session:016}")));
    }
    response.insert_header((CONTENT_TYPE, "application/json")).body(RESULT)
}

/// How many POSTs have been answered since the start.
async fn answered() -> String {
    ANSWERED.load(Ordering::Relaxed).to_string()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: stub_upstream PORT")?.parse()?;
    let server = HttpServer::new(|| {
        App::new().route("/bench/answered", web::get().to(answered)).default_service(web::to(answer))
    })
    .workers(1)
    .keep_alive(KEEP_ALIVE)
    .tcp_nodelay(true)
    .shutdown_timeout(1)
    .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("http://{address}");
    }
    server.run().await?;
    Ok(())
}
