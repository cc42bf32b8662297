//! A workflow of five steps against the reference server: it passes, is partial, fails and errs as it should, and what a step
//! was told of a secret is kept nowhere.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{App, Organization};
use tokio::process::Child;

use super::clients::{script, start_with};
use super::runs::{dispatched, over};

/// What the server has in its environment, and `get-env` tells.
const PLANTED_NAME: &str = "DEPLOY_PASSWORD";
const PLANTED: &str = "hunter2-of-the-environment";

/// An organization with the reference server.
struct Scene {
    server: Child,
    app: App,
    acme: Organization,
}

async fn scene() -> Scene {
    let (server, url) = start_with(script("everything.sh"), &[(PLANTED_NAME, PLANTED)]).await;
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("everything", &url).await;
    Scene { server, app, acme }
}

fn step(name: &str, tool: &str, arguments: Value, expect: Value, changes: Value) -> Value {
    let mut step =
        json!({"name": name, "server": "everything", "tool": tool, "arguments": arguments, "expect": expect});
    if let (Some(step), Some(changes)) = (step.as_object_mut(), changes.as_object()) {
        step.extend(changes.clone());
    }
    step
}

/// Three steps that pass.
fn good() -> Vec<Value> {
    let echoed = json!([{"path": "/content/0/text", "op": "equals", "value": "Echo: seven"}]);
    let added = json!([{"path": "/content/0/text", "op": "matches", "value": "\\b7\\b"}]);
    let weather = json!([
        {"path": "/structuredContent/temperature", "op": "greater", "value": 0},
        {"path": "/structuredContent/humidity", "op": "less", "value": 101},
        {"path": "/structuredContent/conditions", "op": "not_equals", "value": "sunny in July"},
        {"path": "/structuredContent", "op": "contains", "value": "humidity"},
    ]);
    vec![
        step("echo", "echo", json!({"message": "seven"}), echoed, json!({})),
        step("sum", "get-sum", json!({"a": 3, "b": 4}), added, json!({})),
        step("weather", "get-structured-content", json!({"location": "Chicago"}), weather, json!({})),
    ]
}

/// The same, then one whose expectation fails and one that takes half a minute.
fn bad(failing: Value, erring: Value) -> Vec<Value> {
    let message = json!({"message": "it is {{steps.weather.result/structuredContent/conditions}}"});
    let sunny = json!([{"path": "/content/0/text", "op": "equals", "value": "Echo: it is sunny in July"}]);
    let slow = json!({"duration": 30, "steps": 2});
    let mut steps = good();
    steps.push(step("said", "echo", message, sunny, failing));
    steps.push(step("slow", "trigger-long-running-operation", slow, json!([]), erring));
    steps
}

async fn begun(acme: &Organization, steps: &[Value]) -> String {
    let made = acme.owner().post("/api/v1/workflows", &json!({"name": "five", "steps": steps})).await.expect(201);
    dispatched(&acme.owner(), made["id"].as_str().expect("an id")).await
}

async fn ran(acme: &Organization, steps: &[Value]) -> Value {
    over(&acme.owner(), &begun(acme, steps).await).await
}

fn statuses(run: &Value) -> Vec<&str> {
    run["steps"].as_array().expect("steps").iter().filter_map(|step| step["status"].as_str()).collect()
}

#[tokio::test]
async fn five_steps_against_the_reference_server_end_as_they_should() {
    let scene = scene().await;
    let late = json!({"timeoutSeconds": 1});
    let late_optional = json!({"timeoutSeconds": 1, "required": false});
    let optional = json!({"required": false});
    let partial = ran(&scene.acme, &bad(optional.clone(), late_optional)).await;
    assert_eq!(partial["status"], "partial", "{partial:#}");
    assert_eq!(statuses(&partial), ["pass", "pass", "pass", "fail", "error"]);
    let said = &partial["steps"][3];
    assert_eq!(said["arguments"]["message"], "it is Light rain / drizzle");
    assert_eq!(said["expectations"][0]["actual"], "Echo: it is Light rain / drizzle");
    assert_eq!(partial["steps"][4]["error"]["code"], "upstream_timeout");
    let erred = ran(&scene.acme, &bad(optional, late.clone())).await;
    assert_eq!((erred["status"].as_str(), statuses(&erred)[4]), (Some("error"), "error"), "{erred:#}");
    let failed = ran(&scene.acme, &bad(json!({}), late)).await;
    assert_eq!(failed["status"], "fail", "{failed:#}");
    assert_eq!(statuses(&failed), ["pass", "pass", "pass", "fail", "skipped"]);
    assert!(failed["reason"].as_str().is_some_and(|reason| reason.starts_with("step said: /content/0/text is")));
}

#[tokio::test]
async fn five_steps_pass_with_what_the_server_refuses_and_without_what_it_keeps_secret() {
    let mut scene = scene().await;
    let refused = json!([
        {"path": "/isError", "op": "equals", "value": true},
        {"path": "/content/0/text", "op": "contains", "value": "Invalid arguments"},
    ]);
    let planted = json!([{"path": "/content/0/text", "op": "contains", "value": PLANTED_NAME}]);
    let mut five = good();
    five.push(step("refused", "get-sum", json!({"a": "three", "b": 4}), refused, json!({})));
    five.push(step("environment", "get-env", json!({}), planted, json!({})));
    let passed = ran(&scene.acme, &five).await;
    let end = (passed["status"].as_str(), passed["reason"].as_str());
    assert_eq!(end, (Some("pass"), Some("all 5 steps passed")), "{passed:#}");
    assert!(passed["steps"][3]["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("get-sum")));
    let told = passed["steps"][4]["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(told.contains(PLANTED_NAME) && told.contains("[redacted:"), "{told}");
    // Without the expectation that it refuses, an answer that says so is a failure.
    five[3]["expect"] = json!([]);
    let failed = ran(&scene.acme, &five).await;
    assert_eq!((failed["status"].as_str(), statuses(&failed)[3]), (Some("fail"), "fail"), "{failed:#}");

    scene.app.stop().await;
    let mut bytes = 0;
    for (path, content) in scene.app.files() {
        bytes += content.len();
        let found = content.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!found, "{} has it", path.display());
    }
    assert!(bytes > 50_000);
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_of_a_step_is_an_error() {
    let mut scene = scene().await;
    let mut steps = bad(json!({}), json!({"timeoutSeconds": 60}));
    steps[3]["expect"] = json!([]);
    let id = begun(&scene.acme, &steps).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let run = scene.acme.owner().get(&format!("/api/v1/runs/{id}")).await.expect(200);
        if run["steps"][4]["status"] == "running" {
            break;
        }
        assert!(Instant::now() < deadline, "{run:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scene.server.kill().await.expect("it is killed");
    let erred = over(&scene.acme.owner(), &id).await;
    assert_eq!(statuses(&erred), ["pass", "pass", "pass", "pass", "error"], "{erred:#}");
    let code = erred["steps"][4]["error"]["code"].as_str().expect("a code");
    assert!(erred["status"] == "error" && code.starts_with("upstream_") && code != "upstream_timeout", "{erred:#}");
}
