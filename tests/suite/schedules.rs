//! Schedules that meet what nobody planned: one that cannot be read, and an organization whose runs all wait.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{App, Store, logs};

use super::runs::{Scene, over, scene, step};

on_both! {
    schedules_that_cannot_be_read_are_told_of_once_and_stop_no_other
    a_schedule_waits_for_room_and_loses_no_time
}

const WORKFLOWS: &str = "/api/v1/workflows";

/// A workflow that is due on New Year's Day; its id.
pub(super) async fn scheduled(scene: &Scene, name: &str) -> String {
    let body = json!({"name": name, "steps": [step("a", "echo", json!({}))], "schedule": {"cron": "0 3 1 1 *"}});
    let made = scene.acme.owner().post(WORKFLOWS, &body).await.expect(201);
    made["id"].as_str().expect("an id").to_owned()
}

/// Lets a time of these come, long ago; each makes one run.
pub(super) async fn come(app: &App, names: &str, time: usize) {
    app.run_sql(&format!("UPDATE workflows SET due_at = {time} WHERE name LIKE '{names}'")).await;
}

async fn runs_of(scene: &Scene, workflow: &str) -> Vec<Value> {
    let runs = scene.acme.owner().get(&format!("/api/v1/runs?workflowId={workflow}")).await.expect(200);
    runs["items"].as_array().expect("runs").clone()
}

pub(super) async fn until_runs(scene: &Scene, workflow: &str, number: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs_of(scene, workflow).await.len() < number {
        assert!(Instant::now() < deadline, "{} runs", runs_of(scene, workflow).await.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns when every run of a workflow is over.
pub(super) async fn until_over(scene: &Scene, workflow: &str) {
    for run in runs_of(scene, workflow).await {
        over(&scene.acme.owner(), run["id"].as_str().expect("an id")).await;
    }
}

fn told_of(workflow: &str) -> usize {
    let log = logs::so_far();
    let log = String::from_utf8_lossy(&log);
    log.lines().filter(|line| line.contains("a schedule is left out") && line.contains(workflow)).count()
}

async fn schedules_that_cannot_be_read_are_told_of_once_and_stop_no_other(store: Store) {
    let scene = scene(store, &[]).await;
    let (torn, timeless) = (scheduled(&scene, "broken definition").await, scheduled(&scene, "broken clock").await);
    let damage = "UPDATE workflow_versions SET definition = REPLACE(definition, '\"form\":1', '\"form\":7')";
    scene.app.run_sql(damage).await;
    scene.app.run_sql("UPDATE workflows SET time_zone = NULL WHERE name = 'broken clock'").await;
    let good = scheduled(&scene, "good").await;
    come(&scene.app, "broken%", 1).await;
    // Each is a look or more of the clock.
    for number in 1..=3 {
        come(&scene.app, "good", number).await;
        until_runs(&scene, &good, number).await;
    }
    assert_eq!((told_of(&torn), told_of(&timeless)), (1, 1));
    assert!(runs_of(&scene, &torn).await.is_empty() && runs_of(&scene, &timeless).await.is_empty());

    // Something else is wrong with one of them.
    let damage = "UPDATE workflow_versions SET definition = REPLACE(definition, '\"form\":7', '\"form\":8')";
    scene.app.run_sql(damage).await;
    for number in 4..=5 {
        come(&scene.app, "good", number).await;
        until_runs(&scene, &good, number).await;
    }
    assert_eq!((told_of(&torn), told_of(&timeless)), (2, 1));

    // Mended, it runs; its time has waited.
    let mend = "UPDATE workflow_versions SET definition = REPLACE(definition, '\"form\":8', '\"form\":1')";
    scene.app.run_sql(mend).await;
    until_runs(&scene, &torn, 1).await;
}

async fn a_schedule_waits_for_room_and_loses_no_time(store: Store) {
    let scene = scene(store, &[("runs-at-once", "0"), ("runs-waiting", "1")]).await;
    let (first, second) = (scheduled(&scene, "first").await, scheduled(&scene, "second").await);
    come(&scene.app, "first", 1).await;
    until_runs(&scene, &first, 1).await;
    come(&scene.app, "second", 1).await;
    // The clock has looked at `second` by the time that it has run another organization's workflow.
    let globex = scene.app.organization("globex").await;
    globex.server("bench", &scene.bench.url).await;
    let body = json!({"name": "theirs", "steps": [step("a", "echo", json!({}))], "schedule": {"cron": "0 3 1 1 *"}});
    globex.owner().post(WORKFLOWS, &body).await.expect(201);
    scene.app.run_sql("UPDATE workflows SET due_at = 2 WHERE name = 'theirs'").await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while globex.owner().get("/api/v1/runs").await.expect(200)["items"] == json!([]) {
        assert!(Instant::now() < deadline, "another organization has room of its own");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(runs_of(&scene, &second).await.is_empty(), "there is no room for it");
    let shown = scene.acme.owner().get(&format!("{WORKFLOWS}/{second}")).await.expect(200);
    let waits = shown["nextRunAt"].as_str().is_some_and(|time| time.starts_with("1970-01-01T00:00:00"));
    assert!(waits && shown["lastRunAt"].is_null(), "the time that waits is the next: {shown:#}");
    let waiting = runs_of(&scene, &first).await[0]["id"].as_str().expect("an id").to_owned();
    scene.acme.owner().post(&format!("/api/v1/runs/{waiting}/cancel"), &json!({})).await.expect(200);
    until_runs(&scene, &second, 1).await;
}
