//! A workflow of five steps against the reference server: it passes, is partial, fails and errs as it should.

use serde_json::{Value, json};
use support::App;

use super::clients::{script, start};
use super::runs::{dispatched, over};

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
    let (_server, url) = start(script("everything.sh")).await;
    let app = App::spawn().await;
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
    let three: Vec<Value> = steps(json!({}), json!({})).as_array().expect("steps")[..3].to_vec();
    let passed = runs(three.into()).await;
    assert_eq!((passed["status"].as_str(), passed["reason"].as_str()), (Some("pass"), Some("all 3 steps passed")));
}
