//! Watching a run: the present state first, then changes, and an end with the run.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Store};

use super::runs::{dispatched, over, scene, step, workflow};

on_both! {
    whoever_watches_a_run_sees_it_change_until_it_ends
}

/// An event: its name, its id, and its data.
type Event = (String, Option<i64>, Value);

/// Reads a stream to its end.
async fn events(actor: &Actor, run: &str, last: Option<i64>) -> Vec<Event> {
    let mut request = actor.request(Method::GET, &format!("/api/v1/runs/{run}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut text, mut chunks) = (String::new(), response.bytes_stream());
    let all = async {
        while let Some(chunk) = chunks.next().await {
            text.push_str(std::str::from_utf8(&chunk.expect("a good end")).expect("text"));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("the stream ends with the run");
    text.split_terminator("\n\n").filter(|event| !event.starts_with(':')).map(event).collect()
}

fn event(text: &str) -> Event {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let data = field("data: ").expect("data");
    let id = field("id: ").map(|id| id.parse().expect("a number"));
    (field("event: ").expect("a name"), id, serde_json::from_str(&data).expect("JSON"))
}

async fn whoever_watches_a_run_sees_it_change_until_it_ends(store: Store) {
    let scene = scene(store, &[]).await;
    let owner = scene.acme.owner();
    scene.bench.delay(Duration::from_millis(900));
    let two = workflow(&scene.acme, json!([step("a", "echo", json!({})), step("b", "sum", json!({}))])).await;
    let id = dispatched(&owner, &two).await;
    scene.bench.until_called("echo", 1).await;
    let seen = events(&owner, &id, None).await;
    let told = |name: &str, status: &str| {
        seen.iter().any(|(event, _, data)| event == "step" && data["name"] == name && data["status"] == status)
    };
    assert!(told("a", "running") && told("b", "pending"), "the present state comes first: {seen:#?}");
    assert!(told("a", "pass") && told("b", "running") && told("b", "pass"), "then what changes: {seen:#?}");
    let (name, last, run) = seen.last().expect("events");
    assert_eq!((name.as_str(), &run["status"], run.get("steps")), ("run", &json!("pass"), None));
    let ids: Vec<i64> = seen.iter().filter_map(|(_, id, _)| *id).collect();
    assert!(ids.is_sorted() && ids.len() >= 3, "{ids:?}");
    // Whoever comes back is told what came later, and nothing when nothing did.
    let later = events(&owner, &id, Some(ids[0])).await;
    assert!(later.iter().any(|(event, _, data)| event == "step" && data["status"] == "pass"));
    let again = owner.request(Method::GET, &format!("/api/v1/runs/{id}/events"));
    let again = again.header("last-event-id", last.expect("an id").to_string()).send().await.expect("an answer");
    assert_eq!(again.status(), 204);
}

#[tokio::test]
async fn the_stream_of_a_key_that_is_revoked_ends() {
    let scene = scene(Store::Sqlite, &[]).await;
    let id = dispatched(&scene.acme.owner(), &workflow(&scene.acme, json!([step("a", "hang", json!({}))])).await).await;
    let key = scene.acme.solo().await;
    let watcher = scene.app.key(&key.token);
    let path = format!("/api/v1/runs/{id}/events");
    let response = watcher.request(Method::GET, &path).send().await.expect("an answer");
    let mut chunks = response.bytes_stream();
    chunks.next().await.expect("the present state").expect("bytes");
    scene.acme.revoke(&key.id).await;
    let ends = async { while chunks.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), ends).await.expect("the stream ends soon");
    let run = scene.acme.owner().get(&format!("/api/v1/runs/{id}")).await.expect(200);
    assert_eq!(run["status"], "running", "somebody else's run goes on");
    scene.acme.owner().post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
    over(&scene.acme.owner(), &id).await;
}

#[tokio::test]
async fn what_a_watcher_may_see_is_decided_anew_while_they_watch() {
    let scene = scene(Store::Sqlite, &[]).await;
    let acme = &scene.acme;
    // Longer than it takes until it is looked again how they stand.
    scene.bench.delay(Duration::from_millis(2500));
    let steps = json!([step("a", "echo", json!({"arguments": {"text": "for bench only"}}))]);
    let id = dispatched(&acme.owner(), &workflow(acme, steps).await).await;
    let other = acme.server("other", "https://x.example.com/mcp").await;
    let (narrowed, kept) = (acme.solo().await, acme.solo().await);
    scene.bench.until_called("echo", 1).await;
    let watchers = [scene.app.key(&narrowed.token), scene.app.key(&kept.token)];
    let watch = async |watcher: &Actor| {
        let seen = events(watcher, &id, None).await;
        seen.into_iter().filter(|(name, _, _)| name == "step").map(|(_, _, data)| data).collect::<Vec<_>>()
    };
    let narrow = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let servers = json!({"servers": [other["id"]]});
        acme.owner().with_body(Method::PATCH, &format!("/api/v1/api-keys/{}", narrowed.id), &servers).await.expect(200);
    };
    let (narrowed, kept, ()) = tokio::join!(watch(&watchers[0]), watch(&watchers[1]), narrow);
    let at_last = |seen: &[Value]| seen.last().map(|step| (step["status"].clone(), step["withheld"].clone()));
    assert_eq!(at_last(&kept), Some((json!("pass"), json!(false))), "{kept:#?}");
    assert_eq!(at_last(&narrowed), Some((json!("pass"), json!(true))), "{narrowed:#?}");
    assert!(narrowed.last().is_some_and(|step| !step.to_string().contains("for bench only")));
}
