//! An upstream MCP server for runs: its tools echo, fail, tell secrets, hang and break, and every call is written down.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::{self, Data, Json};
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::{Value, json};

/// What the tool `leak` tells.
pub const LEAKED: &str = "hunter2-of-the-workbench";

/// The server.
pub struct Workbench {
    /// Its MCP endpoint.
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    calls: Mutex<Vec<(String, Value)>>,
    dropped: AtomicUsize,
    broken: AtomicUsize,
    delay: Mutex<Duration>,
    said: Mutex<String>,
}

impl Workbench {
    /// Starts one on a free loopback port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let shared = Data::new(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/mcp", web::post().to(answer))
                .app_data(web::JsonConfig::default().limit(1 << 24))
        })
        .workers(1)
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

    /// Every call so far: the tool and its arguments.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.state.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls there were.
    #[must_use]
    pub fn total(&self) -> usize {
        self.state.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How often a tool was called.
    #[must_use]
    pub fn called(&self, tool: &str) -> usize {
        self.calls().iter().filter(|(called, _)| called == tool).count()
    }

    /// Returns when a tool was called so often.
    pub async fn until_called(&self, tool: &str, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.called(tool) < times {
            assert!(Instant::now() < deadline, "{tool} was called {} times: {:?}", self.called(tool), self.calls());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns when so many calls of `hang` were dropped by their caller.
    pub async fn until_dropped(&self, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.state.dropped.load(Ordering::SeqCst) < times {
            assert!(Instant::now() < deadline, "no call was dropped");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The next so many calls of `flaky` are answered with HTTP 500.
    pub fn breaks(&self, times: usize) {
        self.state.broken.store(times, Ordering::SeqCst);
    }

    /// What the tool `say` says from now on.
    pub fn says(&self, text: &str) {
        text.clone_into(&mut self.state.said.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How long each call takes from now on.
    pub fn delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }
}

/// Counts a call of `hang` when nobody waits for it any more.
struct Dropped(Arc<State>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn tools() -> Vec<Value> {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    ["echo", "sum", "fail", "refuse", "leak", "hang", "flaky", "say"].iter().map(|name| tool(name)).collect()
}

async fn answer(message: Json<Value>, state: Data<Arc<State>>) -> HttpResponse {
    let mut answer = match message["method"].as_str().unwrap_or_default() {
        _ if message["id"].is_null() => return HttpResponse::Accepted().finish(),
        "initialize" => json!({"result": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "workbench", "version": "1"},
        }}),
        "tools/list" => json!({"result": {"tools": tools()}}),
        "tools/call" => match call(&message["params"], &state).await {
            Some(answer) => answer,
            None => return HttpResponse::InternalServerError().body("out of order"),
        },
        _ => return HttpResponse::BadRequest().body("Bad Request: Server not initialized"),
    };
    answer["jsonrpc"] = "2.0".into();
    answer["id"] = message["id"].clone();
    HttpResponse::Ok().json(answer)
}

async fn call(params: &Value, state: &Arc<State>) -> Option<Value> {
    let (tool, arguments) = (params["name"].as_str().unwrap_or_default(), params["arguments"].clone());
    state.calls.lock().unwrap_or_else(PoisonError::into_inner).push((tool.to_owned(), arguments.clone()));
    let delay = *state.delay.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::time::sleep(delay).await;
    let said = |content: Value| {
        let text = json!([{"type": "text", "text": content.to_string()}]);
        Some(json!({"result": {"content": text, "structuredContent": content}}))
    };
    match tool {
        "sum" => {
            let numbers = arguments["numbers"].as_array().cloned().unwrap_or_default();
            said(json!({"total": numbers.iter().filter_map(Value::as_i64).sum::<i64>()}))
        }
        "fail" => Some(json!({"result": {"content": [{"type": "text", "text": "no luck"}], "isError": true}})),
        "refuse" => Some(json!({"error": {"code": -32602, "message": "no such argument"}})),
        "leak" => said(json!({"user": {"name": "ann", "password": LEAKED}, "greeting": "hello"})),
        "say" => said(json!({"said": *state.said.lock().unwrap_or_else(PoisonError::into_inner)})),
        "hang" => {
            let _dropped = Dropped(Arc::clone(state));
            std::future::pending().await
        }
        "flaky"
            if state.broken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() =>
        {
            None
        }
        _ => said(arguments),
    }
}
