//! What `tools/list` of the platform's own endpoint costs when a tenant reaches very many servers.
//!
//! `tests/bench/tool_lists` runs it and writes the result down. Keyrack, the servers and the one who asks are threads of
//! this process. `KEYRACK_TEST_ROUNDS` is how many first answers are measured, each of a Keyrack that knows nothing yet.
//! The last line on standard output is the result as JSON; a list that is not complete ends the program.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mimalloc::MiMalloc;
use reqwest::Method;
use serde_json::{Value, json};
use support::tool_servers::{Ailment, ToolServers};
use support::{Actor, App};

// As in the product.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SERVERS: usize = 50;
const TOOLS: usize = 40;
/// Answers from memory that are measured in each round.
const CACHED: usize = 200;
/// How long servers that are not well are asked again and again: longer than any of them is given up for.
const UNWELL: Duration = Duration::from_secs(18);
const PATH: &str = "/mcp?user_id=marina";

#[tokio::main]
async fn main() {
    support::logs::keep_nothing();
    let rounds: usize = std::env::var("KEYRACK_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let servers = ToolServers::start(TOOLS);
    let (mut well, mut unwell) = (Measured::default(), Measured::default());
    for _ in 0..rounds {
        for (ill, measured) in [(&[][..], &mut well), (&Ailment::ALL[..], &mut unwell)] {
            let (_app, mut caller) = scene(&servers, ill).await;
            measured.first.push(caller.timed().await);
            caller.told_of(ill).await;
            for _ in 0..CACHED {
                measured.cached.push(caller.timed().await);
            }
            measured.bytes = caller.seen.len();
        }
    }
    // All the while that they are asked again: some of it is waited for.
    let (_app, mut caller) = scene(&servers, &Ailment::ALL).await;
    let (began, mut later) = (Instant::now(), Vec::new());
    while began.elapsed() < UNWELL {
        later.push(caller.timed().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "{}",
        json!({
            "servers": SERVERS, "tools": TOOLS, "rounds": rounds, "cached": CACHED, "ill": Ailment::ALL.len(),
            "well": well.shown(), "unwell": unwell.shown(),
            "later": {"seconds": UNWELL.as_secs(), "answers": later.len(), "medianMs": at(&mut later, 50), "worstMs": at(&mut later, 100)},
        })
    );
}

#[derive(Default)]
struct Measured {
    first: Vec<Duration>,
    cached: Vec<Duration>,
    bytes: usize,
}

impl Measured {
    fn shown(mut self) -> Value {
        json!({
            "firstMedianMs": at(&mut self.first, 50),
            "firstWorstMs": at(&mut self.first, 100),
            "cachedMedianMs": at(&mut self.cached, 50),
            "cachedP99Ms": at(&mut self.cached, 99),
            "cachedWorstMs": at(&mut self.cached, 100),
            "bytes": self.bytes,
        })
    }
}

/// A Keyrack that has asked nobody yet, with all servers, and one who reaches them. Each server has a credential.
async fn scene(servers: &ToolServers, ill: &[Ailment]) -> (App, Caller) {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let well = (0..SERVERS).map(slug).map(|slug| (servers.well(&slug), slug));
    let ill = ill.iter().map(|ill| (servers.ill(*ill), ill.name().to_owned()));
    for (url, slug) in well.chain(ill) {
        let auth = json!({"kind": "bearer", "secret": format!("the secret of {slug}")});
        acme.server_with(json!({"name": slug, "slug": slug, "url": url, "auth": auth})).await;
    }
    let actor = app.key(&acme.client().await.token);
    (app, Caller { actor, seen: Bytes::new() })
}

fn slug(number: usize) -> String {
    format!("server-{number}")
}

/// Who asks, and the last list that was looked at.
struct Caller {
    actor: Actor,
    seen: Bytes,
}

impl Caller {
    async fn ask(&self, message: &Value) -> Bytes {
        let request = self
            .actor
            .request(Method::POST, PATH)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(message);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        response.bytes().await.expect("the answer to its end")
    }

    /// How long a list took, to its last byte. It must be complete.
    async fn timed(&mut self) -> Duration {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        let began = Instant::now();
        let body = self.ask(&message).await;
        let took = began.elapsed();
        // What is the same to the byte needs no second look.
        if body != self.seen {
            complete(&body);
            self.seen = body;
        }
        took
    }

    /// The well are shown as ready, the others each with a reason.
    async fn told_of(&self, ill: &[Ailment]) {
        let call = json!({"name": "list_providers", "arguments": {}});
        let body = self.ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})).await;
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let providers = answer["result"]["structuredContent"]["providers"].as_array().expect("providers");
        assert_eq!(providers.len(), SERVERS + ill.len());
        for provider in providers {
            let slug = provider["slug"].as_str().expect("a slug");
            let (status, reason) = (&provider["status"], provider["reason"].as_str().unwrap_or_default());
            if ill.iter().any(|ill| ill.name() == slug) {
                assert!(status == "unavailable" && !reason.is_empty(), "{provider}");
                eprintln!("{slug}: {reason}");
            } else {
                assert_eq!((status, &provider["toolCount"]), (&json!("ready"), &json!(TOOLS)), "{provider}");
            }
        }
    }
}

fn complete(body: &[u8]) {
    let answer: Value = serde_json::from_slice(body).expect("JSON");
    let tools = answer["result"]["tools"].as_array().expect("tools");
    let mut of: HashMap<&str, usize> = HashMap::new();
    for name in tools.iter().filter_map(|tool| tool["name"].as_str()) {
        if let Some((slug, _)) = name.split_once("_search_records_") {
            *of.entry(slug).or_default() += 1;
        }
    }
    for number in 0..SERVERS {
        let slug = slug(number);
        assert_eq!(of.get(slug.as_str()), Some(&TOOLS), "the list of {slug} is not complete");
    }
}

/// In milliseconds.
fn at(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times
        .get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
