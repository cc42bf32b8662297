//! The API document against the API: schemathesis makes requests of every operation from the document, valid ones and
//! broken ones, and the answers must keep to it. No 5xx, no status that the document does not tell of, no body, header
//! or content type that it does not describe.
//!
//! `tests/run` installs schemathesis. `KEYRACK_TEST_FUZZ_SECONDS` is the time for each caller, and
//! `KEYRACK_TEST_FUZZ_SEED` repeats a run.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use support::App;
use tokio::process::Command;

/// Seconds for each of the two callers, when the environment does not say. They are fuzzed side by side.
const SECONDS: u64 = 150;
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance";

fn schemathesis() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-tools").to_owned();
    let tools = PathBuf::from(std::env::var("KEYRACK_TEST_TOOLS").unwrap_or(default));
    let program = tools.join("schemathesis/bin/schemathesis");
    assert!(program.exists(), "schemathesis is not in {}: run `tests/run`", tools.display());
    program
}

/// What a caller sends besides what the document says: its header, and values that lead somewhere.
struct Caller<'a> {
    name: &'static str,
    header: String,
    organizations: &'a [&'a str],
    users: &'a [&'a str],
}

impl Caller<'_> {
    /// The fuzzer's settings. It must not sign up somebody of its own, nor send a second credential. Asking a server that
    /// is not there has its own answer, which is no fault of ours.
    fn settings(&self) -> String {
        format!(
            "[auth]\nauto-signup = false\n\n[generation]\nwith-security-parameters = false\n\n\
             [dictionaries]\norganizations = {{ values = {:?} }}\nusers = {{ values = {:?} }}\n\
             servers = {{ values = [\"papers\", \"notes\"] }}\nurls = {{ values = [\"https://mcp.example.com/mcp\"] }}\n\n\
             [parameters]\n\"query.org_id\" = {{ dictionary = \"organizations\", probability = 0.7 }}\n\
             \"query.user_id\" = {{ dictionary = \"users\", probability = 0.7 }}\n\
             \"path.server\" = {{ dictionary = \"servers\", probability = 0.7 }}\n\
             \"body.url\" = {{ dictionary = \"urls\", probability = 0.8 }}\n\n\
             [[operations]]\ninclude-operation-id = \"sync_mcp_server\"\n\
             checks.not_a_server_error.expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 502, 504]\n",
            self.organizations, self.users
        )
    }

    /// Fuzzes for a while; at least `let_through` operations must have taken some request.
    async fn fuzz(&self, app: &App, let_through: usize) {
        let set = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u128>().ok());
        let seconds = set("KEYRACK_TEST_FUZZ_SECONDS").and_then(|set| u64::try_from(set).ok()).unwrap_or(SECONDS);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("schemathesis.toml"), self.settings()).expect("written");
        let mut command = Command::new(schemathesis());
        command
            .current_dir(directory.path())
            .env("NO_PROXY", "*")
            .args(["run", &format!("{}/api/v1/openapi.json", app.base), "--url", &app.base])
            .args(["--header", &self.header, "--checks", CHECKS, "--max-time", &seconds.to_string()])
            // More than one worker trips over CPython's parser, which keeps its depth for all threads together.
            .args(["--workers", "1", "--continue-on-failure", "--request-timeout", "20", "--warnings", "off"])
            .args(["--report", "json", "--report-json-path", "report.json"])
            .kill_on_drop(true);
        if let Some(seed) = set("KEYRACK_TEST_FUZZ_SEED") {
            command.args(["--seed", &seed.to_string()]);
        }
        // Its clock is looked at between requests, and it takes a while to start and to shrink what it found.
        let limit = Duration::from_secs(seconds + 120);
        let output = tokio::time::timeout(limit, command.output()).await.expect("in time").expect("schemathesis runs");
        let told = format!(
            "as {}:\n{}\n{}",
            self.name,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{told}\nlog:\n{}", support::logs::tail());
        // A run that asked little, or was let through nowhere, would pass too.
        let report = std::fs::read_to_string(file("report.json")).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["operations"]["tested"], report["operations"]["total"], "{told}");
        assert!(report["test_cases"]["generated"].as_u64().is_some_and(|cases| cases >= 500), "{told}");
        let operations = report["valid_rates"].as_object().expect("the operations");
        let passed = operations.values().filter(|phases| {
            let phases = phases.as_object().expect("phases").values();
            phases.filter_map(|phase| phase["accepted"].as_u64()).sum::<u64>() > 0
        });
        let passed = passed.count();
        assert!(passed >= let_through, "only {passed} operations let {} through: {operations:?}\n{told}", self.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_keep_to_the_api_document_whatever_is_asked() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    for organization in [&acme, &globex] {
        organization.server("papers", "https://mcp.example.com/mcp").await;
    }
    let key = globex.key(json!({"type": "platform", "tenants": {"orgs": "*"}})).await;
    let owner = Caller {
        name: "the owner",
        header: format!("Authorization: Bearer {}", acme.access_token),
        organizations: &[&acme.slug],
        users: &[&acme.owner_id],
    };
    let platform = Caller {
        name: "a platform key",
        header: format!("X-API-Key: {}", key.token),
        organizations: &["initech", "umbrella"],
        users: &["marina"],
    };
    tokio::join!(owner.fuzz(&app, 25), platform.fuzz(&app, 8));
}
