//! Who stands behind a schedule: nobody gets more by one than they have, and a workflow runs by itself as whoever set its
//! schedule or changed its steps last, as they stand when its time comes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Store};

use super::runs::{Scene, over, scene, step, workflow};

on_both! {
    a_schedule_takes_what_running_the_workflow_takes
    a_schedule_runs_as_the_key_that_set_it_and_as_nobody_when_it_is_revoked
    whoever_changes_the_steps_stands_behind_the_schedule
    a_schedule_that_is_sent_again_is_its_senders
}

const WORKFLOWS: &str = "/api/v1/workflows";

/// Never comes in a test by itself.
fn yearly() -> Value {
    json!({"cron": "0 3 1 1 *"})
}

fn echo() -> Value {
    json!([step("a", "echo", json!({}))])
}

/// A workflow of the tool `echo` that this caller schedules; its path.
async fn scheduled(actor: &Actor, path: &str) -> String {
    let body = json!({"name": "nightly", "steps": echo(), "schedule": yearly()});
    let made = actor.post(path, &body).await.expect(201);
    format!("{WORKFLOWS}/{}", made["id"].as_str().expect("an id"))
}

async fn patch(actor: &Actor, path: &str, change: Value) -> support::Answer {
    actor.with_body(Method::PATCH, path, &change).await
}

/// Lets the time of every workflow come; the run that it makes, when it is over.
async fn comes(scene: &Scene, path: &str) -> Value {
    let owner = scene.acme.owner();
    let id = path.rsplit('/').next().expect("an id");
    let list = format!("/api/v1/runs?workflowId={id}&trigger=schedule");
    let runs = async || owner.get(&list).await.expect(200)["items"].as_array().expect("runs").clone();
    let before = runs().await.len();
    // Another time for each, so that each is a wish of its own.
    scene.app.run_sql(&format!("UPDATE workflows SET due_at = {} WHERE due_at IS NOT NULL", before + 1)).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = runs().await;
        if found.len() > before {
            return over(&owner, found[0]["id"].as_str().expect("an id")).await;
        }
        assert!(Instant::now() < deadline, "no run began");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn behind(run: &Value) -> (&str, &str) {
    (run["actor"]["kind"].as_str().expect("a word"), run["actor"]["id"].as_str().expect("an id"))
}

async fn a_schedule_takes_what_running_the_workflow_takes(store: Store) {
    let scene = scene(store, &[]).await;
    let acme = &scene.acme;
    let other = acme.server("other", "https://x.example.com/mcp").await;
    let plain = format!("{WORKFLOWS}/{}", workflow(acme, echo()).await);
    let nightly = scheduled(&acme.owner(), WORKFLOWS).await;
    for lacks in ["runs:dispatch", "mcp:connect"] {
        let mut permissions = vec!["workflows:read", "workflows:write", "runs:dispatch", "mcp:connect"];
        permissions.retain(|permission| *permission != lacks);
        let key = scene.app.key(&acme.key(json!({"permissions": permissions})).await.token);
        let body = json!({"name": "x", "steps": echo(), "schedule": yearly()});
        let refused = key.post(WORKFLOWS, &body).await;
        refused.refused(403, "forbidden_permission");
        assert!(refused.body.contains(lacks), "{}", refused.body);
        patch(&key, &plain, json!({"schedule": yearly()})).await.refused(403, "forbidden_permission");
        // Its steps would run with somebody else's rights.
        let steps = json!([step("b", "echo", json!({}))]);
        patch(&key, &nightly, json!({"steps": steps})).await.refused(403, "forbidden_permission");
        let proposal =
            key.post(&format!("{nightly}/proposals"), &json!({"change": {"steps": steps}})).await.expect(201);
        let apply = format!("{nightly}/proposals/{}/apply", proposal["id"].as_str().expect("an id"));
        key.post(&apply, &json!({})).await.refused(403, "forbidden_permission");
        // What nobody stands behind with it is free.
        patch(&key, &nightly, json!({"name": "renamed"})).await.expect(200);
        patch(&key, &plain, json!({"steps": steps})).await.expect(200);
    }
    let shown = acme.owner().get(&nightly).await.expect(200);
    assert_eq!((&shown["version"], &shown["schedule"]["cron"]), (&json!(1), &json!("0 3 1 1 *")));
    assert_eq!(acme.owner().get(&plain).await.expect(200)["schedule"], Value::Null);
    let narrow = scene.app.key(&acme.key(json!({"servers": [other["id"]]})).await.token);
    let refused = patch(&narrow, &plain, json!({"schedule": yearly()})).await;
    refused.refused(400, "validation_failed").names_field("schedule");
    assert!(refused.body.contains("bench"), "{}", refused.body);
    patch(&narrow, &nightly, json!({"schedule": yearly()})).await.refused(400, "validation_failed");
    // To take a schedule away one needs none of this.
    let key = scene.app.key(&acme.key(json!({"permissions": ["workflows:write"]})).await.token);
    let ended = patch(&key, &nightly, json!({"schedule": null, "steps": echo()})).await.expect(200);
    assert_eq!(
        (&ended["schedule"], &ended["scheduledBy"], &ended["nextRunAt"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

async fn a_schedule_runs_as_the_key_that_set_it_and_as_nobody_when_it_is_revoked(store: Store) {
    let scene = scene(store, &[]).await;
    let acme = &scene.acme;
    let permissions = ["workflows:write", "runs:dispatch", "mcp:connect"];
    let key = acme.key(json!({"name": "ci", "permissions": permissions})).await;
    let nightly = scheduled(&scene.app.key(&key.token), WORKFLOWS).await;
    let shown = acme.owner().get(&nightly).await.expect(200);
    assert_eq!(shown["scheduledBy"], json!({"kind": "key", "id": key.id}));
    let run = comes(&scene, &nightly).await;
    assert_eq!((run["status"].as_str(), behind(&run)), (Some("pass"), ("key", key.id.as_str())), "{run:#}");
    assert_eq!((&run["actor"]["name"], &run["tenant"]), (&json!("ci"), &Value::Null));
    // It is decided anew each time, by what the key may then.
    let other = acme.server("other", "https://x.example.com/mcp").await;
    patch(&acme.owner(), &format!("/api/v1/api-keys/{}", key.id), json!({"servers": [other["id"]]})).await.expect(200);
    let run = comes(&scene, &nightly).await;
    assert_eq!(run["steps"][0]["error"]["code"], "server_not_allowed", "{run:#}");
    acme.revoke(&key.id).await;
    let run = comes(&scene, &nightly).await;
    assert_eq!((run["status"].as_str(), behind(&run)), (Some("error"), ("key", key.id.as_str())), "{run:#}");
    assert_eq!(run["steps"][0]["error"]["code"], "unauthenticated");
    assert_eq!(scene.bench.called("echo"), 1, "neither with its owner's servers nor with its owner's standing");

    // For a tenant, when the request named one.
    let client = acme.client().await;
    let theirs = scheduled(&scene.app.key(&client.token), &format!("{WORKFLOWS}?user_id=marina")).await;
    let run = comes(&scene, &theirs).await;
    assert_eq!((run["status"].as_str(), behind(&run)), (Some("pass"), ("key", client.id.as_str())), "{run:#}");
    assert_eq!(run["tenant"], json!({"org": null, "user": "marina"}));
}

async fn whoever_changes_the_steps_stands_behind_the_schedule(store: Store) {
    let scene = scene(store, &[]).await;
    let acme = &scene.acme;
    let (eve, ed) = (acme.member("eve", "editor").await, acme.member("ed", "editor").await);
    let nightly = scheduled(&acme.owner(), WORKFLOWS).await;
    patch(&eve.actor(), &nightly, json!({"name": "another", "timeoutSeconds": 60})).await.expect(200);
    assert_eq!(
        behind(&comes(&scene, &nightly).await),
        ("member", acme.owner_id.as_str()),
        "its steps are as they were"
    );
    patch(&eve.actor(), &nightly, json!({"steps": [step("b", "sum", json!({}))]})).await.expect(200);
    assert_eq!(behind(&comes(&scene, &nightly).await), ("member", eve.id.as_str()));
    let change = json!({"change": {"steps": [step("c", "echo", json!({}))]}});
    let proposal = eve.actor().post(&format!("{nightly}/proposals"), &change).await.expect(201);
    let apply = format!("{nightly}/proposals/{}/apply", proposal["id"].as_str().expect("an id"));
    ed.actor().post(&apply, &json!({})).await.expect(200);
    assert_eq!(behind(&comes(&scene, &nightly).await), ("member", ed.id.as_str()), "who applies it made it");
    scene.app.settled().await;
    let events = acme.owner().get("/api/v1/audit-events?action=workflow.update&limit=10").await.expect(200);
    assert_eq!(events["items"][0]["reason"], "version 3, schedule", "{events:#}");
}

async fn a_schedule_that_is_sent_again_is_its_senders(store: Store) {
    let scene = scene(store, &[]).await;
    let acme = &scene.acme;
    let (eve, ed) = (acme.member("eve", "editor").await, acme.member("ed", "editor").await);
    let nightly = scheduled(&eve.actor(), WORKFLOWS).await;
    acme.owner().delete(&format!("/api/v1/org/members/{}", eve.id)).await;
    let run = comes(&scene, &nightly).await;
    assert_eq!((run["status"].as_str(), behind(&run)), (Some("error"), ("member", eve.id.as_str())), "{run:#}");
    let before = acme.owner().get(&nightly).await.expect(200);
    let after = patch(&ed.actor(), &nightly, json!({"schedule": yearly()})).await.expect(200);
    assert_eq!((&after["schedule"], &after["nextRunAt"]), (&before["schedule"], &before["nextRunAt"]));
    let run = comes(&scene, &nightly).await;
    assert_eq!((run["status"].as_str(), behind(&run)), (Some("pass"), ("member", ed.id.as_str())), "{run:#}");
    // Once more is nothing, and leaves nothing.
    patch(&ed.actor(), &nightly, json!({"schedule": yearly()})).await.expect(200);
    scene.app.settled().await;
    let events = acme.owner().get("/api/v1/audit-events?action=workflow.update&limit=10").await.expect(200);
    let reasons: Vec<_> = events["items"].as_array().expect("events").iter().map(|event| &event["reason"]).collect();
    assert_eq!(reasons, [&json!("schedule")], "{events:#}");
}
