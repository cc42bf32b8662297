//! Real clients, through the gateway: the official SDKs in three languages, LangChain, Agno and FastMCP, in every mode that
//! they have, on a server that speaks the legacy protocol only and on one that speaks both; and at the platform's own
//! endpoint. `tests/run` installs them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use support::{App, Organization};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
const MESSAGE: &str = "hello keyrack";
/// The clients give up by themselves after 30 s; what comes before that is loading their packages.
const PATIENCE: Duration = Duration::from_mins(3);

/// A client in one of its modes: the program (a Python environment, or node), its script, its arguments, and whether it
/// speaks the newest protocol with a server that does.
pub(super) type Client = (&'static str, &'static str, &'static [&'static str], bool);

const CLIENTS: &[Client] = &[
    ("mcp2", "mcp_client.py", &["--mode", "auto"], true),
    ("mcp2", "mcp_client.py", &["--mode", "legacy"], false),
    ("langchain", "mcp1_client.py", &[], false),
    ("langchain", "langchain_client.py", &[], false),
    ("agno", "agno_client.py", &["--mode", "legacy"], false),
    ("agno", "agno_client.py", &["--mode", "auto"], true),
    ("agno", "fastmcp_client.py", &["--mode", "auto"], true),
    ("agno", "fastmcp_client.py", &["--mode", "legacy"], false),
    ("node", "node_client.cjs", &["--sdk", "1"], false),
    ("node", "node_client.cjs", &["--sdk", "2", "--mode", "legacy"], false),
    ("node", "node_client.cjs", &["--sdk", "2", "--mode", "auto"], true),
];
/// Fails with a server of the legacy protocol, as it must.
const MODERN_ONLY: Client = ("mcp2", "mcp_client.py", &["--mode", MODERN], true);

pub(super) fn tools() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-tools").to_owned();
    let tools = PathBuf::from(std::env::var("KEYRACK_TEST_TOOLS").unwrap_or(default));
    assert!(
        tools.join("agno/bin/python").exists(),
        "the clients are not installed in {}: run `tests/run`",
        tools.display()
    );
    tools
}

pub(super) fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/clients")).join(name)
}

/// Starts a server that says where it listens; its endpoint.
pub(super) async fn start(program: PathBuf) -> (Child, String) {
    start_with(program, &[]).await
}

/// Starts one with more in its environment.
pub(super) async fn start_with(program: PathBuf, environment: &[(&str, &str)]) -> (Child, String) {
    let mut child = Command::new(program)
        .envs(environment.iter().copied())
        .env("PORT", "0")
        .env("KEYRACK_TEST_TOOLS", tools())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the server can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(address) = line.strip_prefix("listening on ") {
                return address.to_owned();
            }
        }
        panic!("the server ended before it listened");
    });
    let address = found.await.expect("the server listens in time");
    // It goes on printing; nobody reading would block it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, format!("http://{address}/mcp"))
}

/// What a client is to call: tools with their arguments.
pub(super) type Calls = [(&'static str, Value)];

fn echo(tool: &'static str) -> (&'static str, Value) {
    (tool, json!({"message": MESSAGE}))
}

/// A key of each type, with what its calls name.
async fn keys(organization: &Organization) -> [(String, &'static str); 3] {
    let platform = organization.key(json!({"type": "platform", "tenants": {"orgs": "*"}})).await;
    [
        (organization.solo().await.token, ""),
        (organization.client().await.token, "?user_id=marina"),
        (platform.token, "?org_id=globex&user_id=marina"),
    ]
}

pub(super) async fn run(
    (program, file, arguments, _): &Client,
    url: &str,
    header: &str,
    token: &str,
    calls: &Calls,
) -> Value {
    let tools = tools();
    let mut command = match *program {
        "node" => {
            let path = std::env::var("PATH").unwrap_or_default();
            let mut node = Command::new("env");
            node.arg(format!("PATH={}:{path}", tools.join("node-runtime/bin").display())).arg("node");
            node
        }
        python => Command::new(tools.join(python).join("bin/python")),
    };
    let output = command
        .arg(script(file))
        .args(*arguments)
        .args(["--url", url, "--header", header, "--calls", &json!(calls).to_string()])
        .env("KEYRACK_TOKEN", token)
        .env("KEYRACK_TEST_TOOLS", &tools)
        // Installing does not compile the packages; the first use does, for all that come after.
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("in time").expect("the client runs");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{file} {arguments:?} {url}: {errors}\n{}", support::logs::tail());
    let last = out.trim().lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{file}: {error}: {out}"))
}

/// What was called was listed; the first of them is an echo.
fn check(client: &str, seen: &Value, protocol: &str, calls: &Calls) {
    assert_eq!(seen["answers"][0], format!("Echo: {MESSAGE}"), "{client}: {seen}");
    let listed = |name: &str| seen["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool == name));
    assert!(calls.iter().all(|(name, _)| listed(name)), "{client}: {seen}");
    assert_eq!(seen["protocol"], protocol, "{client}: {seen}");
}

/// Every client lists and calls. Types of keys and headers take turns, so that one after the other sees all of them.
async fn every_client(slug: &str, program: PathBuf, speaks: &str, more: &[Client]) {
    let (_server, endpoint) = start(program).await;
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server(slug, &endpoint).await;
    let (keys, calls) = (keys(&acme).await, [echo("echo")]);
    let mut turns = keys.iter().cycle().zip(["x-api-key", "bearer"].iter().cycle());
    for client in CLIENTS.iter().chain(more) {
        let Some(((token, query), header)) = turns.next() else { unreachable!("a cycle has no end") };
        let url = format!("{}/mcp-connect/{slug}/mcp{query}", app.base);
        let seen = run(client, &url, header, token, &calls).await;
        check(&format!("{client:?}"), &seen, if client.3 { speaks } else { LEGACY }, &calls);
    }
    for modern in [false, true] {
        let Some(((token, query), _)) = turns.next() else { unreachable!("a cycle has no end") };
        let url = format!("{}/mcp-connect/{slug}/mcp{query}", app.base);
        check("rmcp", &rust(&url, token, modern, &calls).await, if modern { speaks } else { LEGACY }, &calls);
    }
}

/// The Rust SDK, which the other clients' programs stand beside.
async fn rust(url: &str, token: &str, modern: bool, calls: &Calls) -> Value {
    let value = HeaderValue::from_str(token).expect("a token is a header's value");
    let headers = HashMap::from([(HeaderName::from_static("x-api-key"), value)]);
    let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
    let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
    let lifecycle = if modern {
        ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        }
    } else {
        ClientLifecycleMode::Initialize
    };
    let whole = async {
        let client = serve_client_with_lifecycle((), transport, lifecycle).await.expect("it connects");
        let tools = client.list_all_tools().await.expect("it lists");
        let mut answers = Vec::new();
        for (name, arguments) in calls {
            let arguments = arguments.as_object().cloned().unwrap_or_default();
            let result = client.call_tool(CallToolRequestParams::new(*name).with_arguments(arguments)).await;
            let text = result.expect("it calls").content.iter().find_map(|block| block.as_text()).cloned();
            answers.push(text.map(|text| text.text));
        }
        let protocol = client.peer().peer_info().map(|server| server.protocol_version.as_str().to_owned());
        client.cancel().await.expect("it leaves");
        let tools: Vec<_> = tools.iter().map(|tool| tool.name.clone()).collect();
        json!({"tools": tools, "answers": answers, "protocol": protocol})
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("in time")
}

#[tokio::test]
async fn every_client_lists_and_calls_on_a_legacy_server() {
    every_client("everything", script("everything.sh"), LEGACY, &[]).await;
}

#[tokio::test]
async fn every_client_lists_and_calls_on_a_server_of_both_eras() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_conformance_upstream"));
    every_client("both", program, MODERN, &[MODERN_ONLY]).await;
}

#[tokio::test]
async fn every_client_lists_and_calls_at_the_platforms_own_endpoint() {
    let (_server, endpoint) = start(script("everything.sh")).await;
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("everything", &endpoint).await;
    let token = acme.client().await.token;
    let url = format!("{}/mcp?user_id=marina", app.base);
    // The server speaks the legacy protocol only; the endpoint before it speaks both.
    let calls = [echo("everything_echo"), ("list_providers", json!({}))];
    let check = |client: &str, seen: &Value, modern: bool| {
        check(client, seen, if modern { MODERN } else { LEGACY }, &calls);
        let providers = seen["answers"][1].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let provider = providers.as_ref().map(|told| &told["providers"][0]).expect("the providers");
        assert_eq!((&provider["slug"], &provider["status"]), (&json!("everything"), &json!("ready")), "{client}");
    };
    for (client, header) in CLIENTS.iter().chain([&MODERN_ONLY]).zip(["x-api-key", "bearer"].iter().cycle()) {
        check(&format!("{client:?}"), &run(client, &url, header, &token, &calls).await, client.3);
    }
    for modern in [false, true] {
        check("rmcp", &rust(&url, &token, modern, &calls).await, modern);
    }
}
