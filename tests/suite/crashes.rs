//! A node that is killed in the middle of runs: each of them ends once, none is lost, and no step that is not marked safe is
//! called twice. A few kills here; `tests/crashes` does it with twenty, and 200 runs each.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use serde_json::{Value, json};
use support::{Serving, Store, Workbench, postgres};

const KEYRACK: &str = env!("CARGO_BIN_EXE_keyrack_under_test");
const PASSWORD: &str = "correct horse battery";
/// How long each call takes, so that a kill finds some under way.
const CALL: Duration = Duration::from_millis(60);
/// What nobody waits for longer.
const PATIENCE: Duration = Duration::from_mins(2);

fn program(data: &Path, database: Option<&str>) -> Command {
    let mut command = Command::new(KEYRACK);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KEYRACK_DATA_DIR", data)
        .env("KEYRACK_LISTEN", "127.0.0.1:0")
        .env("KEYRACK_LOG", "warn")
        .env("KEYRACK_EGRESS_ALLOW", "127.0.0.0/8");
    if let Some(url) = database {
        command.env("KEYRACK_DATABASE_URL", url).env("KEYRACK_ROOT_SECRET", "a root secret of the tests, long enough");
    }
    command
}

fn serving(data: &Path, database: Option<&str>) -> Command {
    let mut command = program(data, database);
    command.arg("serve");
    command
}

/// The owner, signed in at a node.
struct Owner {
    http: Client,
    base: String,
    token: String,
}

impl Owner {
    async fn at(node: &Serving) -> Self {
        let http = Client::new();
        let body = json!({"email": "ann@example.com", "password": PASSWORD});
        let answer = http.post(format!("{}/api/v1/auth/login", node.base)).json(&body).send().await.expect("an answer");
        let session: Value = answer.json().await.expect("a session");
        let token = session["accessToken"].as_str().unwrap_or_else(|| panic!("{session}")).to_owned();
        Self { http, base: node.base.clone(), token }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
        answer.json().await.expect("JSON")
    }

    async fn get(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        request.send().await.expect("an answer").text().await.expect("text")
    }

    async fn run(&self, id: &str) -> Value {
        serde_json::from_str(&self.get(&format!("/api/v1/runs/{id}")).await).expect("a run")
    }
}

/// A workflow whose calls are told from those of all others by their arguments.
async fn workflow(owner: &Owner, number: usize) -> String {
    let step = |name: &str, safe: bool| json!({"name": name, "server": "bench", "tool": "echo", "safe": safe, "arguments": {"workflow": number, "step": name}});
    let steps = json!([step("first", false), step("second", true), step("third", false)]);
    let made = owner.post("/api/v1/workflows", &json!({"name": format!("number {number}"), "steps": steps})).await;
    made["id"].as_str().expect("an id").to_owned()
}

fn asked(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_loses_no_run_and_repeats_no_unsafe_step_on_sqlite() {
    killed(Store::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_loses_no_run_and_repeats_no_unsafe_step_on_postgres() {
    killed(Store::Postgres).await;
}

async fn killed(store: Store) {
    let (kills, count) = (asked("KEYRACK_TEST_CRASHES", 2), asked("KEYRACK_TEST_CRASH_RUNS", 30));
    let database = match store {
        Store::Sqlite => None,
        Store::Postgres => Some(postgres::database().await),
    };
    let data = tempfile::tempdir().expect("a directory");
    let made = program(data.path(), database.as_deref())
        .args(["admin", "create-owner", "--email", "ann@example.com"])
        .args(["--organization-name", "Acme", "--organization-slug", "acme"])
        .env("KEYRACK_OWNER_PASSWORD", PASSWORD)
        .output()
        .expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let bench = Workbench::start();
    bench.delay(CALL);
    let start = || Serving::start(|| serving(data.path(), database.as_deref()));
    let mut node = start();
    let mut owner = Owner::at(&node).await;
    owner.post("/api/v1/mcp-servers", &json!({"name": "bench", "slug": "bench", "url": bench.url})).await;
    let mut workflows = Vec::new();
    for number in 0..count {
        workflows.push(workflow(&owner, number).await);
    }
    let mut random = StdRng::seed_from_u64(7);
    let (mut unknown, mut passed, began) = (0, 0, Instant::now());
    for kill in 0..kills {
        let before = bench.total();
        let wishes = stream::iter(workflows.iter().enumerate()).map(|(number, id)| {
            let path = format!("/api/v1/workflows/{id}/runs");
            let owner = &owner;
            async move {
                let run = owner.post(&path, &json!({})).await;
                (run["id"].as_str().expect("an id").to_owned(), number)
            }
        });
        let runs: HashMap<String, usize> = wishes.buffer_unordered(8).collect().await;
        // At any moment at which some are done, some are under way, and some wait.
        let moment = before + random.random_range(count..count * 2);
        let deadline = Instant::now() + PATIENCE;
        while bench.total() < moment {
            assert!(Instant::now() < deadline, "only {} calls", bench.total() - before);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        node.kill();
        node = start();
        owner = Owner::at(&node).await;
        let mut ended = BTreeMap::new();
        for id in runs.keys() {
            ended.insert(id.as_str(), over(&owner, id).await);
        }
        let (went_well, in_the_dark) = judge(&runs, &ended, &bench.calls()[before..]);
        assert!(in_the_dark <= 8, "kill {kill}: more than the node had at once");
        passed += went_well;
        unknown += in_the_dark;
        each_ended_once(&owner, &runs).await;
    }
    println!(
        "crashes on {store:?}: {kills} kills in the middle of {count} runs each, {} calls in {:.0} s: {passed} runs passed, \
         {unknown} ended as unknown, none was lost, none ended twice, no unsafe step was called twice",
        bench.total(),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(passed + unknown, kills * count);
}

async fn over(owner: &Owner, id: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let run = owner.run(id).await;
        if !matches!(run["status"].as_str(), Some("pending" | "running")) {
            return run;
        }
        assert!(Instant::now() < deadline, "{id} does not end: {run:#}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// How many runs passed, and of how many nobody knows.
fn judge(runs: &HashMap<String, usize>, ended: &BTreeMap<&str, Value>, calls: &[(String, Value)]) -> (usize, usize) {
    let mut called: HashMap<(usize, &str), usize> = HashMap::new();
    for (_, arguments) in calls {
        let number = arguments["workflow"].as_u64().and_then(|number| usize::try_from(number).ok()).expect("a number");
        *called.entry((number, arguments["step"].as_str().expect("a name"))).or_default() += 1;
    }
    let (mut passed, mut unknown) = (0, 0);
    for (id, number) in runs {
        let run = &ended[id.as_str()];
        let times = |step| called.get(&(*number, step)).copied().unwrap_or_default();
        for step in ["first", "third"] {
            assert!(times(step) <= 1, "{step} of {id} was called {} times: {run:#}", times(step));
        }
        match run["status"].as_str() {
            Some("pass") => {
                assert_eq!((times("first"), times("third")), (1, 1), "{run:#}");
                assert!(times("second") >= 1);
                passed += 1;
            }
            Some("error") => {
                let steps = run["steps"].as_array().expect("steps");
                let dark = steps.iter().find(|step| step["status"] == "error").expect("a step that errs");
                assert_eq!(dark["error"]["code"], "outcome_unknown", "{run:#}");
                assert_ne!(dark["name"], "second", "a safe step is called again");
                unknown += 1;
            }
            other => panic!("{id} ended as {other:?}: {run:#}"),
        }
    }
    (passed, unknown)
}

/// The audit log has one end of each run.
async fn each_ended_once(owner: &Owner, runs: &HashMap<String, usize>) {
    let log = owner.get("/api/v1/audit-events/export").await;
    let mut ends: HashMap<String, usize> = HashMap::new();
    for line in log.lines().filter(|line| line.contains("run.finish")) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        *ends.entry(event["target"]["id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    for id in runs.keys() {
        assert_eq!(ends.get(id), Some(&1), "{id}");
    }
}
