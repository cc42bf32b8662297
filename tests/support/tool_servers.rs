//! Very many upstream MCP servers in one process, each with many tools; and some that are not well, each in its own way.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::web::{self, Data, Json, Path};
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::{Value, json};

/// How long the slow one takes for each answer.
const SLOW: Duration = Duration::from_secs(5);

/// The servers.
pub struct ToolServers {
    base: String,
}

/// A server that is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// It takes no connection.
    Refuses,
    /// It takes requests, and answers none.
    Hangs,
    /// It answers 500.
    Fails,
    /// It answers what is not JSON.
    Garbage,
    /// It answers as it should, five seconds later.
    Slow,
}

impl Ailment {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Refuses, Self::Hangs, Self::Fails, Self::Garbage, Self::Slow];

    /// A name for it, which can be a slug.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuses => "refuses",
            Self::Hangs => "hangs",
            Self::Fails => "fails",
            Self::Garbage => "garbage",
            Self::Slow => "slow",
        }
    }
}

impl ToolServers {
    /// Starts them on a free loopback port, each with this many tools.
    #[must_use]
    pub fn start(tools: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let tools = Data::new((0..tools).map(tool).collect::<Vec<Value>>());
        let server =
            HttpServer::new(move || App::new().app_data(tools.clone()).route("/{server}/mcp", web::post().to(answer)))
                .workers(1)
                .h1_allow_half_closed(false)
                .disable_signals()
                .shutdown_timeout(0)
                .listen(listener)
                .expect("listening")
                .run();
        tokio::spawn(server);
        Self { base }
    }

    /// The endpoint of one that is well. Any name will do.
    #[must_use]
    pub fn well(&self, name: &str) -> String {
        format!("{}/{name}/mcp", self.base)
    }

    /// The endpoint of one that is not.
    #[must_use]
    pub fn ill(&self, ailment: Ailment) -> String {
        match ailment {
            // Nothing listens there.
            Ailment::Refuses => "http://127.0.0.1:1/mcp".to_owned(),
            Ailment::Hangs | Ailment::Fails | Ailment::Garbage | Ailment::Slow => self.well(ailment.name()),
        }
    }
}

/// A tool of the size that tools have: some hundred bytes of schema.
fn tool(number: usize) -> Value {
    json!({
        "name": format!("search_records_{number}"),
        "title": format!("Search records, way {number}"),
        "description": "Searches the records of the workspace and returns the best matches first. Use it before you \
                        answer a question about what was written down.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for, in plain words."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
                "since": {"type": "string", "format": "date-time", "description": "Nothing older than this."},
                "kinds": {"type": "array", "items": {"type": "string", "enum": ["note", "task", "mail", "file"]}},
                "archived": {"type": "boolean", "default": false},
            },
            "required": ["query"],
            "additionalProperties": false,
        },
        "annotations": {"readOnlyHint": true, "openWorldHint": false},
    })
}

async fn answer(server: Path<String>, message: Json<Value>, tools: Data<Vec<Value>>) -> HttpResponse {
    match server.as_str() {
        "hangs" => std::future::pending::<()>().await,
        "fails" => return HttpResponse::InternalServerError().body("out of order"),
        "garbage" => return HttpResponse::Ok().content_type("application/json").body("{\"jsonrpc\": \"2."),
        "slow" => tokio::time::sleep(SLOW).await,
        _ => (),
    }
    let result = match message["method"].as_str().unwrap_or_default() {
        _ if message["id"].is_null() => return HttpResponse::Accepted().finish(),
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": server.as_str(), "version": "1"},
        }),
        "tools/list" => json!({"tools": &**tools}),
        // What a server of these revisions says to a method that is asked for before the handshake.
        _ => return HttpResponse::BadRequest().body("Bad Request: Server not initialized"),
    };
    HttpResponse::Ok().json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
}
