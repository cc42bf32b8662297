//! The API document against the API: schemathesis makes requests of every operation from the document, valid ones and
//! broken ones, and the answers must keep to it. No 5xx, no status that the document does not tell of, no body or
//! content type that it does not describe.
//!
//! `tests/run` installs schemathesis. `KEYRACK_TEST_FUZZ_SECONDS` is the time for each caller, and
//! `KEYRACK_TEST_FUZZ_SEED` repeats a run.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use support::App;
use tokio::process::Command;

/// Seconds for each of the two callers, when the environment does not say.
const SECONDS: u64 = 25;

fn schemathesis() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-tools").to_owned();
    let tools = PathBuf::from(std::env::var("KEYRACK_TEST_TOOLS").unwrap_or(default));
    let program = tools.join("schemathesis/bin/schemathesis");
    assert!(program.exists(), "schemathesis is not in {}: run `tests/run`", tools.display());
    program
}

async fn fuzz(app: &App, who: &str, header: &str) {
    let set = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seconds = set("KEYRACK_TEST_FUZZ_SECONDS").unwrap_or(SECONDS);
    let mut command = Command::new(schemathesis());
    command
        .current_dir(app.data.path())
        .env("NO_PROXY", "*")
        .env("NO_COLOR", "1")
        .args(["run", &format!("{}/api/v1/openapi.json", app.base), "--url", &app.base])
        .args(["--header", header])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_schema_conformance,response_headers_conformance"])
        .args(["--max-time", &seconds.to_string(), "--workers", "2", "--continue-on-failure"])
        .args(["--request-timeout", "10", "--warnings", "off", "--output-sanitize", "true"])
        .kill_on_drop(true);
    if let Some(seed) = set("KEYRACK_TEST_FUZZ_SEED") {
        command.args(["--seed", &seed.to_string()]);
    }
    // Its clock is looked at between requests, and it takes a while to start and to shrink what it found.
    let limit = Duration::from_secs(seconds + 120);
    let output = tokio::time::timeout(limit, command.output()).await.expect("in time").expect("schemathesis runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "as {who}:\n{told}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        support::logs::tail()
    );
    // A run that tested nothing would pass too.
    assert!(told.contains("test cases") || told.contains("Test cases"), "as {who}:\n{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_keep_to_the_api_document_whatever_is_asked() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("notes", "https://mcp.example.com/mcp").await;
    let key = acme.key(json!({"type": "platform", "tenants": {"orgs": "*"}})).await;
    fuzz(&app, "the owner", &format!("Authorization: Bearer {}", acme.access_token)).await;
    fuzz(&app, "a platform key", &format!("X-API-Key: {}", key.token)).await;
}
