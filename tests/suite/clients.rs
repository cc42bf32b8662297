//! Real clients, against a real server, through the gateway: python's `mcp` in both modes and LangChain's adapters,
//! with each header. `tests/run` installs them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::App;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

fn tools() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-tools").to_owned();
    let tools = PathBuf::from(std::env::var("KEYRACK_TEST_TOOLS").unwrap_or(default));
    assert!(
        tools.join("mcp2/bin/python").exists(),
        "the clients are not installed in {}: run `tests/run`",
        tools.display()
    );
    tools
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/clients")).join(name)
}

/// Starts server-everything on a free loopback port; its endpoint.
async fn everything() -> (Child, String) {
    let mut child = Command::new(script("everything.sh"))
        .env("PORT", "0")
        .env("KEYRACK_TEST_TOOLS", tools())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("server-everything can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(address) = line.strip_prefix("listening on ") {
                return address.to_owned();
            }
        }
        panic!("server-everything ended before it listened");
    });
    let address = found.await.expect("server-everything listens in time");
    // It goes on printing; nobody reading would block it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, format!("http://{address}/mcp"))
}

async fn run(python: &str, file: &str, arguments: &[&str], token: &str) -> Value {
    let output = Command::new(tools().join(python).join("bin/python"))
        .arg(script(file))
        .args(arguments)
        .env("KEYRACK_TOKEN", token)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_mins(1), output).await.expect("in time").expect("python runs");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{file} {arguments:?}: {errors}\n{}", support::logs::tail());
    serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[tokio::test]
async fn python_and_langchain_clients_list_and_call_with_each_header() {
    let (_server, endpoint) = everything().await;
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("everything", &endpoint).await;
    let (solo, client) = (acme.solo().await.token, acme.client().await.token);
    let url = format!("{}/mcp-connect/everything/mcp", app.base);
    for (token, url) in [(&solo, url.clone()), (&client, format!("{url}?user_id=marina"))] {
        for header in ["x-api-key", "bearer"] {
            for mode in ["auto", "legacy"] {
                let seen =
                    run("mcp2", "mcp_client.py", &["--url", &url, "--mode", mode, "--header", header], token).await;
                check(&seen);
            }
            check(&run("langchain", "langchain_client.py", &["--url", &url, "--header", header], token).await);
        }
    }
}

fn check(seen: &Value) {
    assert_eq!(seen["echo"], "Echo: hello keyrack", "{seen}");
    let has_echo = seen["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool == "echo"));
    assert!(has_echo, "{seen}");
}
