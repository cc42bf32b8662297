//! An upstream MCP server with tools of its own choosing, in the protocol's legacy revisions. A call is answered with what
//! the server saw of it: the credential, the claims of the assertion, and the arguments.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::{self, Data, Json};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};

/// The server.
pub struct Toolbox {
    /// Its MCP endpoint.
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    tools: Mutex<Vec<Value>>,
    listed: AtomicUsize,
    called: AtomicUsize,
    delay: Mutex<Duration>,
}

impl Toolbox {
    /// Starts one on a free loopback port, with tools of these names.
    #[must_use]
    pub fn start(names: &[&str]) -> Self {
        let tool = |name: &&str| {
            let schema =
                json!({"type": "object", "properties": {"text": {"type": "string"}}, "x-kept": [1, {"a": null}]});
            json!({"name": name, "description": format!("Does {name}."), "inputSchema": schema})
        };
        Self::with(names.iter().map(tool).collect())
    }

    /// The same, with these tools.
    #[must_use]
    pub fn with(tools: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let state = Arc::new(State { tools: Mutex::new(tools), ..State::default() });
        let shared = Data::new(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/mcp", web::post().to(answer))
                .app_data(web::JsonConfig::default())
        })
        .workers(1)
        // Longer than any client keeps a connection: whoever closes an idle one may do so under a request.
        .keep_alive(Duration::from_mins(10))
        .h1_allow_half_closed(false)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .expect("listening")
        .run();
        tokio::spawn(server);
        Self { url, state }
    }

    /// What it offers from now on.
    pub fn offer(&self, tools: Vec<Value>) {
        *self.state.tools.lock().unwrap_or_else(PoisonError::into_inner) = tools;
    }

    /// How long each answer takes from now on.
    pub fn delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    /// How often its list was asked for.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.state.listed.load(Ordering::SeqCst)
    }

    /// How often a tool was called.
    #[must_use]
    pub fn called(&self) -> usize {
        self.state.called.load(Ordering::SeqCst)
    }
}

async fn answer(request: HttpRequest, message: Json<Value>, state: Data<Arc<State>>) -> HttpResponse {
    let delay = *state.delay.lock().unwrap_or_else(PoisonError::into_inner);
    let tools = state.tools.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut answer = match message["method"].as_str().unwrap_or_default() {
        _ if message["id"].is_null() => return HttpResponse::Accepted().finish(),
        "initialize" => json!({"result": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "toolbox", "version": "1"},
        }}),
        "tools/list" => {
            state.listed.fetch_add(1, Ordering::SeqCst);
            json!({"result": {"tools": tools}})
        }
        // An error of the protocol, as servers answer with to arguments that their schema does not have.
        "tools/call" if message["params"]["name"] == "refuse" => {
            json!({"error": {"code": -32602, "message": "no such argument", "data": {"argument": "text"}}})
        }
        "tools/call" => {
            state.called.fetch_add(1, Ordering::SeqCst);
            let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
            let claims: Value = header("x-keyrack-assertion")
                .and_then(|assertion| jsonwebtoken::dangerous::insecure_decode_claims(assertion).ok())
                .unwrap_or_default();
            let saw = json!({
                "tool": message["params"]["name"],
                "arguments": message["params"]["arguments"],
                "authorization": header("authorization"),
                "claims": claims,
            });
            json!({"result": {"content": [{"type": "text", "text": saw.to_string()}], "structuredContent": saw}})
        }
        // What a server of these revisions says to a method that is asked for before the handshake.
        _ => return HttpResponse::BadRequest().body("Bad Request: Server not initialized"),
    };
    // After it was counted, so that a test knows that the call is under way.
    tokio::time::sleep(delay).await;
    answer["jsonrpc"] = "2.0".into();
    answer["id"] = message["id"].clone();
    HttpResponse::Ok().json(answer)
}
