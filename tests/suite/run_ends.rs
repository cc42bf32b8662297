//! How runs end when something comes in between: a cancellation at an unlucky moment, a node that dies in the middle of an end, a
//! run that no node can do.

use serde_json::{Value, json};
use support::Store;

use super::runs::{Scene, dispatched, over, scene, step, workflow};

on_both! {
    a_run_that_is_cancelled_between_two_tries_of_a_step_is_cancelled
}

fn statuses(run: &Value) -> Vec<&str> {
    run["steps"].as_array().expect("steps").iter().filter_map(|step| step["status"].as_str()).collect()
}

async fn cancel(scene: &Scene, run: &str) -> support::Answer {
    scene.acme.owner().post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await
}

async fn a_run_that_is_cancelled_between_two_tries_of_a_step_is_cancelled(store: Store) {
    let scene = scene(store, &[]).await;
    scene.bench.breaks(6);
    let steps = json!([
        step("opt", "fail", json!({"required": false})),
        step("a", "flaky", json!({"safe": true, "retries": 5})),
        step("b", "echo", json!({})),
    ]);
    let id = dispatched(&scene.acme.owner(), &workflow(&scene.acme, steps).await).await;
    // The pause after the third try is two seconds.
    scene.bench.until_called("flaky", 3).await;
    cancel(&scene, &id).await.expect(200);
    let run = over(&scene.acme.owner(), &id).await;
    assert_eq!((run["status"].as_str(), statuses(&run)), (Some("cancelled"), vec!["fail", "cancelled", "cancelled"]));
    assert_eq!(run["reason"], "the run was cancelled", "and not what went wrong before");
    assert_eq!(scene.bench.called("flaky"), 3);
}
