//! A workflow of five steps against the reference server: it passes, is partial, fails and errs as it should, and what a step
//! was told of a secret is kept nowhere.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::App;

use super::clients::{script, start_with};
use super::runs::{dispatched, over};

/// What the server has in its environment, and `get-env` tells.
const PLANTED_NAME: &str = "DEPLOY_PASSWORD";
const PLANTED: &str = "hunter2-of-the-environment";

fn step(name: &str, tool: &str, arguments: Value, expect: Value, changes: Value) -> Value {
    let mut step =
        json!({"name": name, "server": "everything", "tool": tool, "arguments": arguments, "expect": expect});
    if let (Some(step), Some(changes)) = (step.as_object_mut(), changes.as_object()) {
        step.extend(changes.clone());
    }
    step
}

#[tokio::test]
async fn five_steps_against_the_reference_server_end_as_they_should() {
    let (mut server, url) = start_with(script("everything.sh"), &[(PLANTED_NAME, PLANTED)]).await;
    let mut app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("everything", &url).await;
    let is = |path: &str, value: Value| json!({"path": path, "op": "equals", "value": value});
    let steps = |failing: Value, erring: Value| {
        json!([
            step(
                "echo",
                "echo",
                json!({"message": "seven"}),
                json!([is("/content/0/text", json!("Echo: seven"))]),
                json!({})
            ),
            step(
                "sum",
                "get-sum",
                json!({"a": 3, "b": 4}),
                json!([{"path": "/content/0/text", "op": "matches", "value": "\\b7\\b"}]),
                json!({})
            ),
            step(
                "weather",
                "get-structured-content",
                json!({"location": "Chicago"}),
                json!([
                    {"path": "/structuredContent/temperature", "op": "greater", "value": 0},
                    {"path": "/structuredContent", "op": "contains", "value": "humidity"},
                ]),
                json!({}),
            ),
            step(
                "said",
                "echo",
                json!({"message": "it is {{steps.weather.result/structuredContent/conditions}}"}),
                json!([is("/content/0/text", json!("Echo: it is sunny in July"))]),
                failing,
            ),
            step("slow", "trigger-long-running-operation", json!({"duration": 30, "steps": 2}), json!([]), erring),
        ])
    };
    let runs = async |steps: Value| {
        let body = json!({"name": "five", "steps": steps});
        let made = acme.owner().post("/api/v1/workflows", &body).await.expect(201);
        let id = dispatched(&acme.owner(), made["id"].as_str().expect("an id")).await;
        over(&acme.owner(), &id).await
    };
    let statuses = |run: &Value| -> Vec<String> {
        let steps = run["steps"].as_array().expect("steps").iter();
        steps.map(|step| step["status"].as_str().expect("a status").to_owned()).collect()
    };
    let late = json!({"timeoutSeconds": 1});
    let late_optional = json!({"timeoutSeconds": 1, "required": false});
    let optional = json!({"required": false});
    let partial = runs(steps(optional.clone(), late_optional)).await;
    assert_eq!(partial["status"], "partial", "{partial:#}");
    assert_eq!(statuses(&partial), ["pass", "pass", "pass", "fail", "error"]);
    let said = &partial["steps"][3];
    assert_eq!(said["arguments"]["message"], "it is Light rain / drizzle");
    assert_eq!(said["expectations"][0]["actual"], "Echo: it is Light rain / drizzle");
    assert_eq!(partial["steps"][4]["error"]["code"], "upstream_timeout");
    let erred = runs(steps(optional, late.clone())).await;
    assert_eq!((erred["status"].as_str(), statuses(&erred)[4].as_str()), (Some("error"), "error"), "{erred:#}");
    let failed = runs(steps(json!({}), late)).await;
    assert_eq!(failed["status"], "fail", "{failed:#}");
    assert_eq!(statuses(&failed), ["pass", "pass", "pass", "fail", "skipped"]);
    assert!(failed["reason"].as_str().is_some_and(|reason| reason.starts_with("step said: /content/0/text is")));
    // The last two are what the server itself says of arguments that it does not take, and what it tells of its environment.
    let mut five: Vec<Value> = steps(json!({}), json!({})).as_array().expect("steps")[..3].to_vec();
    five[2]["expect"] = json!([
        {"path": "/structuredContent/humidity", "op": "less", "value": 101},
        {"path": "/structuredContent/conditions", "op": "not_equals", "value": "sunny in July"},
    ]);
    let refused = json!([
        {"path": "/isError", "op": "equals", "value": true},
        {"path": "/content/0/text", "op": "contains", "value": "Invalid arguments"},
    ]);
    five.push(step("refused", "get-sum", json!({"a": "three", "b": 4}), refused.clone(), json!({})));
    let planted = json!([{"path": "/content/0/text", "op": "contains", "value": PLANTED_NAME}]);
    five.push(step("environment", "get-env", json!({}), planted, json!({})));
    let passed = runs(five.clone().into()).await;
    let end = (passed["status"].as_str(), passed["reason"].as_str());
    assert_eq!(end, (Some("pass"), Some("all 5 steps passed")), "{passed:#}");
    assert!(passed["steps"][3]["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("get-sum")));
    let told = passed["steps"][4]["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(told.contains(PLANTED_NAME) && told.contains("[redacted:"), "{told}");
    // Without the expectation that it fails, an answer that says so is a failure.
    five[3]["expect"] = json!([]);
    let failed = runs(five.into()).await;
    assert_eq!((failed["status"].as_str(), statuses(&failed)[3].as_str()), (Some("fail"), "fail"), "{failed:#}");

    // The server dies in the middle of a call.
    let mut dying: Vec<Value> = steps(json!({}), json!({})).as_array().expect("steps").clone();
    dying[3]["expect"] = json!([]);
    dying[4]["timeoutSeconds"] = 60.into();
    let made = acme.owner().post("/api/v1/workflows", &json!({"name": "dying", "steps": dying})).await.expect(201);
    let id = dispatched(&acme.owner(), made["id"].as_str().expect("an id")).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let run = acme.owner().get(&format!("/api/v1/runs/{id}")).await.expect(200);
        if run["steps"][4]["status"] == "running" {
            break;
        }
        assert!(Instant::now() < deadline, "{run:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.kill().await.expect("it is killed");
    let erred = over(&acme.owner(), &id).await;
    assert_eq!(statuses(&erred), ["pass", "pass", "pass", "pass", "error"], "{erred:#}");
    let code = erred["steps"][4]["error"]["code"].as_str().expect("a code");
    assert!(erred["status"] == "error" && code.starts_with("upstream_") && code != "upstream_timeout", "{erred:#}");

    app.stop().await;
    let mut bytes = 0;
    for (path, content) in app.files() {
        bytes += content.len();
        let found = content.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!found, "{} has it", path.display());
    }
    assert!(bytes > 50_000);
}
