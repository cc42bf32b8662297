//! Runs of workflows: what they do, what is kept of them, and on whose behalf they act.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support::workbench::LEAKED;
use support::{Actor, App, AppOptions, Organization, Store, Toolbox, Workbench};

use super::schedules::{come, scheduled, until_over, until_runs};

on_both! {
    a_run_takes_results_along_and_shows_what_was_expected_and_found
    only_a_required_step_that_went_wrong_ends_a_run
    asking_again_under_a_name_gives_the_same_run
    a_run_that_waits_is_cancelled_at_once_and_one_under_way_drops_its_call
    a_key_that_is_revoked_ends_its_run_in_the_middle_of_a_call
    a_run_is_compared_with_another_and_with_the_baseline
    a_workflow_whose_time_has_come_runs_once_on_behalf_of_whoever_set_the_schedule
    a_caller_that_speaks_for_a_tenant_sees_that_tenants_runs_alone
}

const WORKFLOWS: &str = "/api/v1/workflows";

/// An organization with the server `bench`.
pub(super) struct Scene {
    pub app: App,
    pub acme: Organization,
    pub bench: Workbench,
}

pub(super) async fn scene(store: Store, settings: &[(&'static str, &str)]) -> Scene {
    let mut all = vec![("signup", "open".to_owned())];
    all.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let app = App::with(AppOptions { store, settings: all }).await;
    let acme = app.organization("acme").await;
    let bench = Workbench::start();
    acme.server("bench", &bench.url).await;
    Scene { app, acme, bench }
}

pub(super) fn step(name: &str, tool: &str, changes: Value) -> Value {
    let mut step = json!({"name": name, "server": "bench", "tool": tool});
    if let (Some(step), Some(changes)) = (step.as_object_mut(), changes.as_object()) {
        step.extend(changes.clone());
    }
    step
}

/// A workflow of these steps; its id.
pub(super) async fn workflow(acme: &Organization, steps: Value) -> String {
    let made = acme.owner().post(WORKFLOWS, &json!({"name": "a workflow", "steps": steps})).await.expect(201);
    made["id"].as_str().expect("an id").to_owned()
}

/// Asks for a run; its id.
pub(super) async fn dispatched(actor: &Actor, workflow: &str) -> String {
    let run = actor.post(&format!("{WORKFLOWS}/{workflow}/runs"), &json!({})).await.expect(202);
    run["id"].as_str().expect("an id").to_owned()
}

pub(super) fn is_over(run: &Value) -> bool {
    !matches!(run["status"].as_str(), Some("pending" | "running"))
}

/// The run when it is over.
pub(super) async fn over(actor: &Actor, id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let run = actor.get(&format!("/api/v1/runs/{id}")).await.expect(200);
        if is_over(&run) {
            return run;
        }
        assert!(Instant::now() < deadline, "the run does not end: {run:#}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Asks for a run of these steps; it when it is over.
async fn ran(scene: &Scene, steps: Value) -> Value {
    let id = dispatched(&scene.acme.owner(), &workflow(&scene.acme, steps).await).await;
    over(&scene.acme.owner(), &id).await
}

fn statuses(run: &Value) -> Vec<&str> {
    run["steps"].as_array().expect("steps").iter().filter_map(|step| step["status"].as_str()).collect()
}

async fn a_run_takes_results_along_and_shows_what_was_expected_and_found(store: Store) {
    let scene = scene(store, &[]).await;
    let run = ran(
        &scene,
        json!([
            step("add", "sum", json!({"arguments": {"numbers": [1, 2, 4]}})),
            step("say", "echo", json!({
                "arguments": {"number": "{{steps.add.result/structuredContent/total}}", "text": "all {{steps.add.result/structuredContent/total}}"},
                "expect": [
                    {"path": "/structuredContent/number", "op": "equals", "value": 7},
                    {"path": "/structuredContent/text", "op": "equals", "value": "all {{steps.add.result/structuredContent/total}}"},
                    {"path": "/structuredContent/none", "op": "absent"},
                ],
            })),
        ]),
    )
    .await;
    assert_eq!((run["status"].as_str(), run["reason"].as_str()), (Some("pass"), Some("all 2 steps passed")), "{run:#}");
    assert_eq!(scene.bench.calls()[1], ("echo".to_owned(), json!({"number": 7, "text": "all 7"})));
    let say = &run["steps"][1];
    assert_eq!(say["arguments"], json!({"number": 7, "text": "all 7"}));
    assert_eq!(say["result"]["structuredContent"]["number"], 7);
    assert_eq!(
        say["expectations"][1],
        json!({
            "path": "/structuredContent/text", "op": "equals", "value": "all 7", "passed": true, "actual": "all 7",
        })
    );
    assert_eq!((&run["trigger"], &run["actor"]["kind"], &run["version"]), (&json!("api"), &json!("member"), &json!(1)));
    assert!(run["finishedAt"].is_string() && say["durationMs"].is_u64() && say["tries"] == 1);
    let steps = scene.acme.owner().get(&format!("/api/v1/runs/{}/steps", run["id"].as_str().expect("an id"))).await;
    assert_eq!(steps.expect(200)["items"], run["steps"]);
    let listed = scene.acme.owner().get("/api/v1/runs?status=pass&trigger=api").await.expect(200);
    assert_eq!((&listed["items"][0]["id"], listed["items"][0].get("steps")), (&run["id"], None));
    assert!(
        scene.acme.owner().get("/api/v1/runs?status=fail").await.expect(200)["items"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
}

async fn only_a_required_step_that_went_wrong_ends_a_run(store: Store) {
    let scene = scene(store, &[]).await;
    let hopeless = json!({"expect": [{"path": "/structuredContent/x", "op": "exists"}]});
    let mut optional = hopeless.clone();
    optional["required"] = false.into();
    for (steps, status, each) in [
        (json!([step("a", "echo", optional.clone()), step("b", "echo", json!({}))]), "partial", vec!["fail", "pass"]),
        (json!([step("a", "echo", hopeless.clone()), step("b", "echo", json!({}))]), "fail", vec!["fail", "skipped"]),
        (json!([step("a", "fail", json!({})), step("b", "echo", json!({}))]), "fail", vec!["fail", "skipped"]),
        (
            json!([step("a", "fail", json!({"expect": [{"path": "/isError", "op": "equals", "value": true}]}))]),
            "pass",
            vec!["pass"],
        ),
        (json!([step("a", "refuse", json!({})), step("b", "echo", json!({}))]), "error", vec!["error", "skipped"]),
        (
            json!([step("a", "missing", json!({"required": false})), step("b", "echo", json!({}))]),
            "partial",
            vec!["error", "pass"],
        ),
        (
            json!([
                step("a", "echo", json!({})),
                step("b", "echo", json!({"arguments": {"x": "{{steps.a.result/structuredContent/none}}"}}))
            ]),
            "error",
            vec!["pass", "error"],
        ),
    ] {
        let run = ran(&scene, steps.clone()).await;
        assert_eq!((run["status"].as_str(), statuses(&run)), (Some(status), each), "{steps:#} {run:#}");
        assert!(run["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    let run = ran(&scene, json!([step("late", "hang", json!({"timeoutSeconds": 1}))])).await;
    assert_eq!(run["steps"][0]["error"]["code"], "upstream_timeout", "{run:#}");
    scene.bench.until_dropped(1).await;
}

async fn asking_again_under_a_name_gives_the_same_run(store: Store) {
    let scene = scene(store, &[]).await;
    let owner = scene.acme.owner();
    let one = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let two = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let (path, other) = (format!("{WORKFLOWS}/{one}/runs"), format!("{WORKFLOWS}/{two}/runs"));
    let body = json!({"idempotencyKey": "nightly"});
    // At once: one of them makes it.
    let (first, second) = tokio::join!(owner.post(&path, &body), owner.post(&path, &body));
    let (first, second) = (first.expect(202), second.expect(202));
    assert_eq!(first["id"], second["id"]);
    let header = owner.clone().and("idempotency-key", "nightly").post(&path, &json!({})).await;
    assert_eq!(header.expect(202)["id"], first["id"]);
    assert_eq!(header.headers["idempotent-replayed"], "true");
    owner.post(&other, &body).await.refused(409, "idempotency_conflict");
    let twice = owner.clone().and("idempotency-key", "another").post(&path, &body).await;
    twice.refused(400, "validation_failed").names_field("idempotencyKey");
    let somebody = scene.app.key(&scene.acme.solo().await.token);
    assert_ne!(somebody.post(&path, &body).await.expect(202)["id"], first["id"], "a name is its caller's own");
    over(&owner, first["id"].as_str().expect("an id")).await;
    // Without a body as well.
    owner.send("POST".to_owned(), owner.request(Method::POST, &path)).await.expect(202);
    owner.post(&path, &json!({"idempotencyKey": ""})).await.refused(400, "validation_failed");
    owner.post(&format!("{WORKFLOWS}/{one}/archive"), &json!({})).await.expect(200);
    owner.post(&path, &json!({})).await.refused(409, "conflict");
    // A workflow that is put away makes no new run, and those that it made are still found by their names.
    let again = owner.post(&path, &body).await;
    assert_eq!(
        (again.expect(202)["id"].clone(), &again.headers["idempotent-replayed"]),
        (first["id"].clone(), &"true".parse().expect("a value"))
    );
    owner.post(&path, &json!({"idempotencyKey": "new"})).await.refused(409, "conflict");
    owner.post(&format!("{WORKFLOWS}/{two}/archive"), &json!({})).await.expect(200);
    owner.post(&other, &body).await.refused(409, "idempotency_conflict");
}

async fn a_run_that_waits_is_cancelled_at_once_and_one_under_way_drops_its_call(store: Store) {
    let scene = scene(store, &[("runs-at-once", "1")]).await;
    let owner = scene.acme.owner();
    let hangs = workflow(&scene.acme, json!([step("a", "hang", json!({})), step("b", "echo", json!({}))])).await;
    let running = dispatched(&owner, &hangs).await;
    scene.bench.until_called("hang", 1).await;
    let waiting = dispatched(&owner, &hangs).await;
    let cancel = async |id: &str| owner.post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await;
    let cancelled = cancel(&waiting).await.expect(200);
    assert_eq!(
        (cancelled["status"].as_str(), statuses(&cancelled)),
        (Some("cancelled"), vec!["cancelled", "cancelled"])
    );
    let asked = Instant::now();
    assert_eq!(cancel(&running).await.expect(200)["cancelling"], true);
    scene.bench.until_dropped(1).await;
    let run = over(&owner, &running).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(
        (run["status"].as_str(), statuses(&run)),
        (Some("cancelled"), vec!["cancelled", "cancelled"]),
        "{run:#}"
    );
    cancel(&running).await.expect(200);
    let quick = ran(&scene, json!([step("a", "echo", json!({}))])).await;
    cancel(quick["id"].as_str().expect("an id")).await.refused(409, "conflict");
    assert_eq!(scene.bench.called("hang"), 1, "what waited was never called");
    scene.app.settled().await;
    let events = owner.get("/api/v1/audit-events?targetKind=run&limit=200").await.expect(200);
    let actions = |id: &str| {
        let events = events["items"].as_array().expect("events").iter().filter(|event| event["target"]["id"] == id);
        let mut actions: Vec<_> = events.filter_map(|event| event["action"].as_str()).collect();
        actions.sort_unstable();
        actions.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(actions(&running), ["run.cancel", "run.dispatch", "run.finish"], "{events:#}");
    assert_eq!(actions(&waiting), ["run.cancel", "run.dispatch", "run.finish"]);
}

async fn a_key_that_is_revoked_ends_its_run_in_the_middle_of_a_call(store: Store) {
    let scene = scene(store, &[]).await;
    let key = scene.acme.solo().await;
    let hangs =
        workflow(&scene.acme, json!([step("a", "hang", json!({"required": false})), step("b", "echo", json!({}))]))
            .await;
    let id = dispatched(&scene.app.key(&key.token), &hangs).await;
    scene.bench.until_called("hang", 1).await;
    scene.acme.revoke(&key.id).await;
    scene.bench.until_dropped(1).await;
    let run = over(&scene.acme.owner(), &id).await;
    assert_eq!((run["status"].as_str(), statuses(&run)), (Some("error"), vec!["error", "skipped"]), "{run:#}");
    assert_eq!(run["steps"][0]["error"]["code"], "unauthenticated");
    assert!(run["reason"].as_str().is_some_and(|reason| reason.contains("revoked")), "{run:#}");
    assert_eq!(scene.bench.called("echo"), 0);
}

#[tokio::test]
async fn before_each_step_it_is_decided_anew_what_whoever_began_the_run_may_do() {
    let scene = scene(Store::Sqlite, &[]).await;
    let (acme, owner) = (&scene.acme, scene.acme.owner());
    let steps = json!([step("a", "echo", json!({"required": false}))]);
    let ends = async |actor: &Actor, steps: &Value| {
        let id = dispatched(actor, &workflow(acme, steps.clone()).await).await;
        let run = over(&owner, &id).await;
        (run["status"].as_str().map(str::to_owned), run["steps"][0]["error"]["code"].as_str().map(str::to_owned))
    };
    let ok = || (Some("pass".to_owned()), None);
    let refused = |code: &str| (Some("partial".to_owned()), Some(code.to_owned()));
    // A key without mcp:connect, and one whose list of servers lacks this one.
    let other = acme.server("other", "https://x.example.com/mcp").await;
    let narrow = acme.key(json!({"permissions": ["runs:dispatch"]})).await;
    assert_eq!(ends(&scene.app.key(&narrow.token), &steps).await, refused("forbidden_permission"));
    let elsewhere = acme.key(json!({"servers": [other["id"]]})).await;
    assert_eq!(ends(&scene.app.key(&elsewhere.token), &steps).await, refused("server_not_allowed"));
    // A member whose role is lowered between two steps.
    let editor = acme.member("eve", "editor").await;
    assert_eq!(ends(&editor.actor(), &steps).await, ok());
    scene.bench.delay(Duration::from_secs(1));
    let two = workflow(acme, json!([step("a", "echo", json!({})), step("b", "echo", json!({}))])).await;
    let id = dispatched(&editor.actor(), &two).await;
    scene.bench.until_called("echo", 2).await;
    let demoted =
        owner.with_body(Method::PATCH, &format!("/api/v1/org/members/{}", editor.id), &json!({"role": "viewer"})).await;
    demoted.expect(200);
    let run = over(&owner, &id).await;
    assert_eq!(statuses(&run), ["pass", "error"], "{run:#}");
    assert_eq!(run["steps"][1]["error"]["code"], "forbidden_role");
    // A server that is put away while its run waits for nothing but its turn.
    scene.bench.delay(Duration::ZERO);
    let late = workflow(acme, steps.clone()).await;
    owner.post("/api/v1/mcp-servers/bench/archive", &json!({})).await.expect(200);
    let id = dispatched(&owner, &late).await;
    assert_eq!(over(&owner, &id).await["steps"][0]["error"]["code"], "server_not_found");
    assert_eq!(scene.bench.called("echo"), 2);
}

#[tokio::test]
async fn no_secret_that_a_tool_tells_is_kept_whatever_becomes_of_it() {
    let mut scene = scene(Store::Sqlite, &[]).await;
    let run = ran(
        &scene,
        json!([
            step(
                "tell",
                "leak",
                json!({"expect": [
                    {"path": "/structuredContent/user/password", "op": "exists"},
                    {"path": "/structuredContent/greeting", "op": "equals", "value": "hello"},
                ]})
            ),
            // Under a harmless name, and said again by the tool.
            step(
                "say",
                "echo",
                json!({
                    "arguments": {"text": "it is {{steps.tell.result/structuredContent/user/password}}"},
                    "expect": [{"path": "/structuredContent/text", "op": "matches", "value": "nothing of the kind"}],
                })
            ),
        ]),
    )
    .await;
    assert_eq!(run["status"], "fail", "{run:#}");
    assert_eq!(scene.bench.calls()[1].1["text"], format!("it is {LEAKED}"), "the tool got what it was meant to get");
    assert!(!run.to_string().contains(LEAKED), "{run:#}");
    assert_eq!(run["steps"][1]["arguments"]["text"], "it is [redacted:name]");
    assert_eq!(run["steps"][0]["expectations"][1]["actual"], "hello", "what is no secret stays readable");
    scene.app.stop().await;
    let mut bytes = 0;
    for (path, content) in scene.app.files() {
        bytes += content.len();
        let found = content.windows(LEAKED.len()).any(|window| window == LEAKED.as_bytes());
        assert!(!found, "{} has it", path.display());
    }
    assert!(bytes > 50_000);
}

#[tokio::test]
async fn while_a_run_goes_on_what_it_carries_is_sealed_and_at_its_end_it_is_gone() {
    let scene = scene(Store::Sqlite, &[]).await;
    let steps = json!([
        step("tell", "leak", json!({})),
        step("wait", "hang", json!({"arguments": {"text": "{{steps.tell.result/structuredContent/user/password}}"}})),
    ]);
    let owner = scene.acme.owner();
    let id = dispatched(&owner, &workflow(&scene.acme, steps).await).await;
    scene.bench.until_called("hang", 1).await;
    let carried = async || {
        use sea_orm::{ConnectionTrait, Statement};
        let sql = scene.app.sql().await;
        let ask = "SELECT COUNT(*) AS n FROM run_steps WHERE carried IS NOT NULL";
        let row = sql.query_one_raw(Statement::from_string(sql.get_database_backend(), ask)).await.expect("an answer");
        let number: i64 = row.expect("a row").try_get("", "n").expect("a number");
        sql.close().await.expect("closed");
        number
    };
    assert_eq!(carried().await, 1, "the answer of the first step");
    let file = std::fs::read(scene.app.data.path().join("keyrack.db-wal")).expect("the log");
    assert!(!file.windows(LEAKED.len()).any(|window| window == LEAKED.as_bytes()));
    owner.post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
    over(&owner, &id).await;
    assert_eq!(carried().await, 0);
}

#[tokio::test]
async fn a_key_of_ours_that_a_result_brings_along_is_not_passed_on() {
    let scene = scene(Store::Sqlite, &[]).await;
    let token = scene.acme.solo().await.token;
    scene.bench.says(&token);
    let run = ran(
        &scene,
        json!([
            step("ask", "say", json!({})),
            step("pass_on", "echo", json!({"arguments": {"text": "{{steps.ask.result/structuredContent/said}}"}})),
        ]),
    )
    .await;
    assert_eq!(run["steps"][1]["error"]["code"], "secret_argument", "{run:#}");
    assert_eq!(run["steps"][1]["tries"], 0);
    assert_eq!(scene.bench.called("echo"), 0);
    assert!(!run.to_string().contains(&token));
}

#[tokio::test]
async fn only_a_step_that_is_marked_safe_is_tried_again() {
    let scene = scene(Store::Sqlite, &[]).await;
    scene.bench.breaks(1);
    let run = ran(&scene, json!([step("a", "flaky", json!({"safe": true, "retries": 2}))])).await;
    assert_eq!((run["status"].as_str(), &run["steps"][0]["tries"]), (Some("pass"), &json!(2)), "{run:#}");
    scene.bench.breaks(1);
    let run = ran(&scene, json!([step("a", "flaky", json!({}))])).await;
    assert_eq!((run["status"].as_str(), &run["steps"][0]["tries"]), (Some("error"), &json!(1)), "{run:#}");
    assert_eq!(scene.bench.called("flaky"), 3);
    // What is stored decides, also when it says what nobody could have written: retries of a step that is not safe.
    let id = workflow(&scene.acme, json!([step("a", "flaky", json!({"safe": true, "retries": 2}))])).await;
    let unsafe_now = "UPDATE workflow_versions SET definition = REPLACE(definition, '\"safe\":true', '\"safe\":false')";
    scene.app.run_sql(unsafe_now).await;
    scene.bench.breaks(1);
    let owner = scene.acme.owner();
    let run = over(&owner, &dispatched(&owner, &id).await).await;
    assert_eq!((run["status"].as_str(), &run["steps"][0]["tries"]), (Some("error"), &json!(1)), "{run:#}");
    // An answer that is not what was expected is an answer.
    let fails = step("a", "fail", json!({"safe": true, "retries": 3}));
    assert_eq!(ran(&scene, json!([fails])).await["steps"][0]["tries"], 1);
}

#[tokio::test]
async fn a_run_that_takes_longer_than_it_may_is_an_error() {
    let scene = scene(Store::Sqlite, &[("run-timeout", "1")]).await;
    let run = ran(&scene, json!([step("a", "hang", json!({"required": false})), step("b", "echo", json!({}))])).await;
    assert_eq!((run["status"].as_str(), statuses(&run)), (Some("error"), vec!["error", "skipped"]), "{run:#}");
    assert_eq!(run["steps"][0]["error"]["code"], "run_timeout");
}

#[tokio::test]
async fn a_workflow_says_how_long_a_run_of_it_may_take() {
    let scene = scene(Store::Sqlite, &[]).await;
    let steps = json!([step("a", "hang", json!({})), step("b", "echo", json!({}))]);
    let body = json!({"name": "in a hurry", "steps": steps, "timeoutSeconds": 1});
    let made = scene.acme.owner().post(WORKFLOWS, &body).await.expect(201);
    let began = Instant::now();
    let id = dispatched(&scene.acme.owner(), made["id"].as_str().expect("an id")).await;
    let run = over(&scene.acme.owner(), &id).await;
    assert_eq!((run["status"].as_str(), statuses(&run)), (Some("error"), vec!["error", "skipped"]), "{run:#}");
    assert_eq!(run["steps"][0]["error"]["code"], "run_timeout");
    assert!(began.elapsed() < Duration::from_secs(10), "and no minute, as a step may: {:?}", began.elapsed());
}

#[tokio::test]
async fn numbers_are_compared_and_what_is_not_to_stand_there_is_told() {
    let scene = scene(Store::Sqlite, &[]).await;
    let expect = json!([
        {"path": "/structuredContent/total", "op": "less", "value": 8},
        {"path": "/structuredContent/total", "op": "less", "value": 7},
        {"path": "/structuredContent/total", "op": "greater", "value": 7},
        {"path": "/structuredContent/total", "op": "not_equals", "value": 8},
        {"path": "/structuredContent/total", "op": "not_equals", "value": 7.0},
        {"path": "/structuredContent/none", "op": "not_equals", "value": 7},
        {"path": "/structuredContent/none", "op": "less", "value": 7},
    ]);
    let add = json!({"arguments": {"numbers": [1, 2, 4]}, "expect": expect});
    let run = ran(&scene, json!([step("add", "sum", add)])).await;
    let judged = run["steps"][0]["expectations"].as_array().expect("verdicts").iter();
    let judged: Vec<bool> = judged.filter_map(|judged| judged["passed"].as_bool()).collect();
    assert_eq!(judged, [true, false, false, true, false, true, false], "{run:#}");
    assert_eq!(run["reason"], "step add: /structuredContent/total is 7, expected: less 7");
}

async fn a_run_is_compared_with_another_and_with_the_baseline(store: Store) {
    let scene = scene(store, &[]).await;
    let owner = scene.acme.owner();
    let id = workflow(&scene.acme, json!([step("a", "echo", json!({"arguments": {"x": 1}}))])).await;
    let before = over(&owner, &dispatched(&owner, &id).await).await;
    let change = json!({"steps": [
        step("a", "echo", json!({"arguments": {"x": 2}, "expect": [{"path": "/structuredContent/x", "op": "equals", "value": 1}]})),
        step("b", "echo", json!({})),
    ]});
    owner.with_body(Method::PATCH, &format!("{WORKFLOWS}/{id}"), &change).await.expect(200);
    let after = over(&owner, &dispatched(&owner, &id).await).await;
    let text = |run: &Value| run["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/runs/{}/compare", text(&after));
    owner.get(&path).await.refused(409, "conflict");
    let baseline = format!("{WORKFLOWS}/{id}/baseline");
    let set = async |run: &Value| owner.with_body(Method::PUT, &baseline, &json!({"runId": run["id"]})).await;
    set(&after).await.refused(409, "conflict");
    let shown = async || owner.get(&format!("{WORKFLOWS}/{id}")).await.expect(200)["baselineRunId"].clone();
    assert_eq!(shown().await, Value::Null);
    set(&before).await.expect(200);
    assert_eq!(shown().await, before["id"]);
    assert_eq!(owner.get(WORKFLOWS).await.expect(200)["items"][0]["baselineRunId"], before["id"]);
    let renamed = owner.with_body(Method::PATCH, &format!("{WORKFLOWS}/{id}"), &json!({"name": "renamed"})).await;
    assert_eq!(renamed.expect(200)["baselineRunId"], before["id"]);
    let client = scene.app.key(&scene.acme.client().await.token);
    let theirs = client.get(&format!("{WORKFLOWS}/{id}?user_id=marina")).await.expect(200);
    assert_eq!(theirs["baselineRunId"], Value::Null, "it is no run that they see");
    let compared = owner.get(&format!("{path}?with=baseline")).await.expect(200);
    assert_eq!(compared, owner.get(&format!("{path}?with={}", text(&before))).await.expect(200));
    assert_eq!(compared["status"], json!({"before": "pass", "after": "fail"}));
    assert_eq!(compared["version"], json!({"before": 1, "after": 2}));
    let first = &compared["steps"][0];
    assert_eq!((&first["name"], &first["change"]), (&json!("a"), &json!("changed")), "{compared:#}");
    assert!(
        first["resultChanges"].as_array().expect("places").contains(&json!("/structuredContent/x")),
        "{compared:#}"
    );
    assert_eq!(first["expectations"][0]["passed"], json!({"before": null, "after": false}));
    assert_eq!(compared["steps"][1]["change"], "added");
    owner.delete(&baseline).await.expect(204);
    assert_eq!(shown().await, Value::Null);
    owner.delete(&baseline).await.refused(404, "not_found");
    owner.get(&format!("{path}?with=baseline")).await.refused(409, "conflict");
    let other = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let foreign = over(&owner, &dispatched(&owner, &other).await).await;
    owner.get(&format!("{path}?with={}", text(&foreign))).await.refused(409, "conflict");
}

async fn a_workflow_whose_time_has_come_runs_once_on_behalf_of_whoever_set_the_schedule(store: Store) {
    let scene = scene(store, &[]).await;
    let owner = scene.acme.owner();
    let editor = scene.acme.member("eve", "editor").await;
    let body = json!({
        "name": "nightly", "steps": [step("a", "echo", json!({}))], "schedule": {"cron": "0 3 1 1 *"},
    });
    let made = editor.actor().post(WORKFLOWS, &body).await.expect(201);
    let id = made["id"].as_str().expect("an id");
    assert!(made["nextRunAt"].is_string());
    // As if the installation had been down for two years: two times were missed.
    scene.app.run_sql("UPDATE workflows SET due_at = due_at - 63072000000000").await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let runs = async || owner.get(&format!("/api/v1/runs?workflowId={id}")).await.expect(200)["items"].clone();
    while runs().await.as_array().expect("runs").is_empty() {
        assert!(Instant::now() < deadline, "no run began");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let run = over(&owner, runs().await[0]["id"].as_str().expect("an id")).await;
    assert_eq!((&run["status"], &run["trigger"]), (&json!("pass"), &json!("schedule")), "{run:#}");
    assert_eq!(run["actor"], json!({"kind": "member", "id": editor.id, "name": editor.email}));
    let shown = owner.get(&format!("{WORKFLOWS}/{id}")).await.expect(200);
    assert_eq!(shown["nextRunAt"], made["nextRunAt"], "the next time is still to come");
    assert_eq!(shown["lastRunAt"], run["createdAt"]);
    assert_eq!(owner.get(WORKFLOWS).await.expect(200)["items"][0]["lastRunAt"], run["createdAt"]);
    // Each is a look or more of the clock.
    let clock = scheduled(&scene, "clock").await;
    for number in 1..=2 {
        come(&scene.app, "clock", number).await;
        until_runs(&scene, &clock, number).await;
    }
    assert_eq!(runs().await.as_array().expect("runs").len(), 1);
    until_over(&scene, &clock).await;
    assert_eq!(scene.bench.called("echo"), 1 + 2);
    // Runs are cleared out one day; when it ran last is known all the same.
    scene.app.run_sql("DELETE FROM run_steps; DELETE FROM runs").await;
    assert_eq!(owner.get(&format!("{WORKFLOWS}/{id}")).await.expect(200)["lastRunAt"], run["createdAt"]);
}

async fn a_caller_that_speaks_for_a_tenant_sees_that_tenants_runs_alone(store: Store) {
    let scene = scene(store, &[]).await;
    let client = scene.app.key(&scene.acme.client().await.token);
    let id = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let run = async |query: &str| {
        let run = client.post(&format!("{WORKFLOWS}/{id}/runs{query}"), &json!({})).await.expect(202);
        let id = run["id"].as_str().expect("an id").to_owned();
        over(&scene.acme.owner(), &id).await
    };
    let (marina, bob, nobody) = (run("?user_id=marina").await, run("?user_id=bob").await, run("").await);
    assert_eq!(marina["status"], "pass", "{marina:#}");
    assert_eq!(marina["tenant"], json!({"org": null, "user": "marina"}));
    let seen = async |query: &str| {
        let list = client.get(&format!("/api/v1/runs{query}")).await.expect(200);
        list["items"].as_array().expect("runs").iter().map(|run| run["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(seen("?user_id=marina").await, [marina["id"].clone()]);
    assert_eq!(seen("?user_id=bob").await, [bob["id"].clone()]);
    assert_eq!(seen("").await, [nobody["id"].clone()]);
    let path = |run: &Value, rest: &str| format!("/api/v1/runs/{}{rest}", run["id"].as_str().expect("an id"));
    client.get(&path(&bob, "?user_id=bob")).await.expect(200);
    for query in ["?user_id=marina", ""] {
        client.get(&path(&bob, query)).await.refused(404, "not_found");
        client.get(&path(&bob, &format!("/events{query}"))).await.refused(404, "not_found");
        client.post(&path(&bob, &format!("/cancel{query}")), &json!({})).await.refused(404, "not_found");
    }
    let all = scene.acme.owner().get("/api/v1/runs").await.expect(200);
    assert_eq!(all["items"].as_array().expect("runs").len(), 3, "people see all");
}

#[tokio::test]
async fn a_run_calls_with_its_own_tenants_connection_and_assertion() {
    let (scene, notes) = (scene(Store::Sqlite, &[]).await, Toolbox::start(&["read"]));
    let auth = json!({"kind": "bearer", "scope": "tenant"});
    scene.acme.server_with(json!({"name": "notes", "slug": "notes", "url": notes.url, "auth": auth})).await;
    let client = scene.app.key(&scene.acme.client().await.token);
    let connection = json!({"kind": "bearer", "secret": "marinas"});
    client.with_body(Method::PUT, "/api/v1/connections/notes?user_id=marina", &connection).await.expect(200);
    let expect = json!([{"path": "/structuredContent/claims/tenantUser", "op": "equals", "value": "marina"}]);
    let read = json!({"name": "a", "server": "notes", "tool": "read", "expect": expect});
    let id = workflow(&scene.acme, json!([read])).await;
    for (query, status) in [("?user_id=marina", "pass"), ("?user_id=otto", "error"), ("", "error")] {
        let run = client.post(&format!("{WORKFLOWS}/{id}/runs{query}"), &json!({})).await.expect(202);
        let run = over(&scene.acme.owner(), run["id"].as_str().expect("an id")).await;
        assert_eq!(run["status"], status, "{query}: {run:#}");
    }
    assert_eq!(notes.called(), 1, "nobody else's run reached the server");
}

#[tokio::test]
async fn what_a_step_said_is_kept_back_from_whoever_does_not_reach_its_server() {
    let scene = scene(Store::Sqlite, &[]).await;
    let run = ran(&scene, json!([step("a", "echo", json!({"arguments": {"text": "for bench only"}}))])).await;
    let other = scene.acme.server("other", "https://x.example.com/mcp").await;
    let narrow = scene.app.key(&scene.acme.key(json!({"servers": [other["id"]]})).await.token);
    let id = run["id"].as_str().expect("an id");
    let seen = narrow.get(&format!("/api/v1/runs/{id}")).await;
    assert!(!seen.body.contains("for bench only"), "{}", seen.body);
    let seen = seen.expect(200);
    assert_eq!((&seen["steps"][0]["withheld"], &seen["steps"][0]["status"]), (&json!(true), &json!("pass")));
    let compared = narrow.get(&format!("/api/v1/runs/{id}/compare?with={id}")).await.expect(200);
    let step = &compared["steps"][0];
    assert_eq!((&step["withheld"], &step["change"]), (&json!(true), &Value::Null), "what is not seen is not judged");
    let compared = scene.acme.owner().get(&format!("/api/v1/runs/{id}/compare?with={id}")).await.expect(200);
    let step = &compared["steps"][0];
    assert_eq!((&step["withheld"], &step["change"]), (&json!(false), &json!("same")));
    let whole = scene.app.key(&scene.acme.solo().await.token).get(&format!("/api/v1/runs/{id}")).await;
    assert!(whole.body.contains("for bench only"));
}

#[tokio::test]
async fn a_node_that_stops_gives_its_runs_back_between_two_steps() {
    let mut scene = scene(Store::Sqlite, &[("shutdown-timeout", "8")]).await;
    let owner = scene.acme.owner();
    scene.bench.delay(Duration::from_millis(600));
    let two = workflow(&scene.acme, json!([step("a", "echo", json!({})), step("b", "sum", json!({}))])).await;
    let id = dispatched(&owner, &two).await;
    scene.bench.until_called("echo", 1).await;
    scene.app.stop().await;
    assert_eq!((scene.bench.called("echo"), scene.bench.called("sum")), (1, 0), "the step under way came to its end");
    // From outside, since nobody is left to ask.
    let file = scene.app.data.path().join("keyrack.db");
    let connection = sea_orm::Database::connect(format!("sqlite://{}", file.display())).await.expect("the file");
    let rows = {
        use sea_orm::{ConnectionTrait, Statement};
        let ask = "SELECT r.status AS run, r.lease_until AS lease, s.status AS step FROM runs r \
                   JOIN run_steps s ON s.run_id = r.id ORDER BY s.position";
        connection.query_all_raw(Statement::from_string(connection.get_database_backend(), ask)).await.expect("rows")
    };
    let seen: Vec<(i64, i64, i64)> = rows
        .iter()
        .map(|row| {
            let number = |name| row.try_get::<i64>("", name).expect("a number");
            (number("run"), number("lease"), number("step"))
        })
        .collect();
    assert_eq!(seen, [(1, 0, 2), (1, 0, 0)], "{id} runs for nobody, and its second step was not begun");
}

#[tokio::test]
async fn tools_begin_find_show_and_compare_runs() {
    let scene = scene(Store::Sqlite, &[]).await;
    let caller = scene.app.key(&scene.acme.solo().await.token);
    let id = workflow(&scene.acme, json!([step("a", "echo", json!({"arguments": {"x": 1}}))])).await;
    let call = async |caller: &Actor, tool: &str, arguments: Value| {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        let request = caller
            .request(Method::POST, "/mcp")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&message);
        caller.send(tool.to_owned(), request).await.expect(200)
    };
    let wish = json!({"workflowId": id, "idempotencyKey": "once"});
    let begun = call(&caller, "run_workflow_now", wish.clone()).await["result"]["structuredContent"].clone();
    let run = begun["run"]["id"].as_str().unwrap_or_else(|| panic!("{begun:#}")).to_owned();
    assert_eq!(call(&caller, "run_workflow_now", wish).await["result"]["structuredContent"]["again"], true);
    let ended = over(&caller, &run).await;
    assert_eq!((&ended["status"], &ended["trigger"]), (&json!("pass"), &json!("tool")));
    let found = call(&caller, "search_runs", json!({"workflowId": id, "status": "pass"})).await;
    assert_eq!(found["result"]["structuredContent"]["runs"][0]["id"], run.as_str(), "{found:#}");
    let shown = call(&caller, "inspect_run", json!({"runId": run})).await["result"]["structuredContent"].clone();
    assert_eq!(shown["run"]["steps"][0]["arguments"], json!({"x": 1}));
    let compared = call(&caller, "compare_runs", json!({"runId": run, "with": run})).await;
    assert_eq!(compared["result"]["structuredContent"]["comparison"]["steps"][0]["change"], "same", "{compared:#}");
    // A viewer may look, and begins nothing.
    let viewer = scene.app.key(&scene.acme.key(json!({"role": "viewer"})).await.token);
    let refused = call(&viewer, "run_workflow_now", json!({"workflowId": id})).await;
    assert_eq!(refused["error"]["data"]["code"], "forbidden_role", "{refused:#}");
    assert_eq!(call(&viewer, "inspect_run", json!({"runId": run})).await["result"]["isError"], Value::Bool(false));
}
