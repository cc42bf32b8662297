//! Isolation: for every operation of the API document that takes an id, another organization's id answers the same bytes
//! as one that does not exist, apart from the request's own id.

use reqwest::Method;
use serde_json::Value;
use support::{Actor, App};

use super::matrix::request;

/// The same kind of id or name, of nothing.
fn unknown(id: &str) -> String {
    match id.split_once('_') {
        Some(("key", _)) => "key_0000000000000000".to_owned(),
        Some((prefix, rest)) if rest.len() == 26 => format!("{prefix}_01kafx5tgyf1na07m4q6nf1sgb"),
        _ => "there-is-no-such-thing".to_owned(),
    }
}

/// The ids in a body, of nothing.
fn with_unknown_ids(body: &Value) -> Value {
    match body {
        Value::String(text) if text.split_once('_').is_some_and(|(prefix, _)| is_prefix(prefix)) => {
            unknown(text).into()
        }
        Value::Array(items) => items.iter().map(with_unknown_ids).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), with_unknown_ids(value))).collect())
        }
        other => other.clone(),
    }
}

fn is_prefix(text: &str) -> bool {
    const KINDS: [&str; 16] =
        ["key", "usr", "mcp", "pol", "grp", "inv", "prj", "ten", "tus", "org", "evt", "wf", "wfp", "run", "top", "ses"];
    KINDS.contains(&text)
}

#[tokio::test]
async fn another_organizations_id_answers_the_same_bytes_as_an_unknown_one() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let document: Value = serde_json::from_str(&api::openapi::text().expect("a document")).expect("JSON");
    // What an organization has not switched on is refused before anything is looked for.
    acme.switch_insights(true).await;
    let (mut number, mut compared) = (0, 0);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let id = operation["operationId"].as_str().expect("an id");
            number += 1;
            let (body, parameters) = request(id, &globex, number).await;
            let nothing = with_unknown_ids(&body);
            if (parameters.is_empty() && nothing == body) || !asks_for_people_or_keys(operation) {
                continue;
            }
            let method: Method = method.to_uppercase().parse().expect("a method");
            let fill = |name_of: &dyn Fn(&str) -> String| {
                parameters
                    .iter()
                    .fold(path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), &name_of(value)))
            };
            let foreign = ask(&acme.owner(), &method, &fill(&str::to_owned), &body).await;
            let missing = ask(&acme.owner(), &method, &fill(&unknown), &nothing).await;
            assert!(foreign.0 >= 400, "{id} let {} through", foreign.1);
            // A message may name the id that was sent.
            let sent = |answer: &(u16, String), values: &mut dyn Iterator<Item = String>| {
                let text = values.fold(answer.1.clone(), |text, value| text.replace(&value, "<id>"));
                (answer.0, text)
            };
            let mut foreign_ids = ids(&body).into_iter().chain(parameters.iter().map(|(_, value)| value.clone()));
            let mut missing_ids = ids(&nothing).into_iter().chain(parameters.iter().map(|(_, value)| unknown(value)));
            assert_eq!(sent(&foreign, &mut foreign_ids), sent(&missing, &mut missing_ids), "{id}");
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} operations take ids");
}

fn asks_for_people_or_keys(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty())
}

fn ids(body: &Value) -> Vec<String> {
    match body {
        Value::String(text) if text.split_once('_').is_some_and(|(prefix, _)| is_prefix(prefix)) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(ids).collect(),
        Value::Object(fields) => fields.values().flat_map(ids).collect(),
        _ => vec![],
    }
}

async fn ask(actor: &Actor, method: &Method, path: &str, body: &Value) -> (u16, String) {
    let answer = if body.is_null() {
        actor.send(format!("{method} {path}"), actor.request(method.clone(), path)).await
    } else {
        actor.with_body(method.clone(), path, body).await
    };
    (answer.status, answer.body_without_request_id())
}
