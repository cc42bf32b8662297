//! How runs end when something comes in between: a cancellation at an unlucky moment, a node that dies in the middle of an end, a
//! run that no node can do.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};
use support::Store;

use super::runs::{Scene, dispatched, over, scene, step, workflow};

on_both! {
    a_run_that_is_cancelled_between_two_tries_of_a_step_is_cancelled
    what_ends_a_run_is_written_down_with_its_end
    a_step_that_an_ended_node_left_as_unknown_ends_the_run
    a_run_that_no_node_gets_to_begin_is_an_error_in_the_end
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

/// Statements after which no run can end, and after which it can again.
fn no_end(store: Store) -> (&'static str, &'static str) {
    match store {
        Store::Sqlite => (
            "CREATE TRIGGER no_end BEFORE UPDATE OF finished_at ON runs BEGIN SELECT RAISE(ABORT, 'not now'); END",
            "DROP TRIGGER no_end",
        ),
        Store::Postgres => (
            "CREATE FUNCTION no_end() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''not now''; END' LANGUAGE plpgsql; \
             CREATE TRIGGER no_end BEFORE UPDATE OF finished_at ON runs FOR EACH ROW EXECUTE FUNCTION no_end()",
            "DROP TRIGGER no_end ON runs",
        ),
    }
}

async fn what_ends_a_run_is_written_down_with_its_end(store: Store) {
    let scene = scene(store, &[]).await;
    let (owner, key) = (scene.acme.owner(), scene.acme.solo().await);
    let steps = json!([step("a", "fail", json!({"required": false})), step("b", "hang", json!({"required": false}))]);
    let id = dispatched(&scene.app.key(&key.token), &workflow(&scene.acme, steps).await).await;
    scene.bench.until_called("hang", 1).await;
    let (stop, go_on) = no_end(store);
    scene.app.run_sql(stop).await;
    scene.acme.revoke(&key.id).await;
    scene.bench.until_dropped(1).await;
    // A node that died now must not leave an optional step behind that went wrong, with which the next node would go on.
    for _ in 0..10 {
        let run = owner.get(&format!("/api/v1/runs/{id}")).await.expect(200);
        assert_eq!((run["status"].as_str(), statuses(&run)), (Some("running"), vec!["fail", "running"]), "{run:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scene.app.run_sql(go_on).await;
    let run = over(&owner, &id).await;
    assert_eq!((run["status"].as_str(), statuses(&run)), (Some("error"), vec!["fail", "error"]), "{run:#}");
    let reason = run["reason"].as_str().expect("a reason");
    assert!(reason.contains("revoked"), "not what went wrong before, without ending it: {reason}");
}

/// A run of these steps that waits until what keeps the node busy is cancelled: both runs' ids.
async fn waiting(scene: &Scene, steps: Value) -> (String, String) {
    let owner = scene.acme.owner();
    let busy = dispatched(&owner, &workflow(&scene.acme, json!([step("a", "hang", json!({}))])).await).await;
    scene.bench.until_called("hang", 1).await;
    (busy, dispatched(&owner, &workflow(&scene.acme, steps).await).await)
}

async fn a_step_that_an_ended_node_left_as_unknown_ends_the_run(store: Store) {
    let scene = scene(store, &[("runs-at-once", "1")]).await;
    let steps = json!([step("a", "sum", json!({"required": false})), step("b", "echo", json!({}))]);
    let (busy, id) = waiting(&scene, steps).await;
    // As versions before this one could leave it: the step's end was written, and the run's was not.
    let unknown = json!({"error": {"code": "outcome_unknown", "message": "the node that called the tool is gone"}});
    let run = "SELECT id FROM runs WHERE status = 0";
    scene
        .app
        .run_sql(&format!(
            "UPDATE run_steps SET status = 4, tries = 1, evidence = '{unknown}' WHERE position = 0 AND run_id IN ({run}); \
             UPDATE runs SET status = 1, claim = 1, started_at = created_at, lease_until = 0 WHERE status = 0"
        ))
        .await;
    cancel(&scene, &busy).await.expect(200);
    let run = over(&scene.acme.owner(), &id).await;
    assert_eq!((run["status"].as_str(), statuses(&run)), (Some("error"), vec!["error", "skipped"]), "{run:#}");
    assert_eq!(run["reason"], "step a: the node that called the tool is gone");
    assert_eq!((scene.bench.called("sum"), scene.bench.called("echo")), (0, 0));
}

async fn a_run_that_no_node_gets_to_begin_is_an_error_in_the_end(store: Store) {
    let scene = scene(store, &[("runs-at-once", "1")]).await;
    let (busy, id) = waiting(&scene, json!([step("a", "echo", json!({}))])).await;
    scene.app.run_sql("UPDATE runs SET claim = 9 WHERE status = 0").await;
    cancel(&scene, &busy).await.expect(200);
    let run = over(&scene.acme.owner(), &id).await;
    assert_eq!(run["status"], "pass", "it may be unlucky: {run:#}");
    // Whatever takes its nodes away before they begin a step would take the next ones, too.
    let (busy, id) = waiting(&scene, json!([step("a", "echo", json!({}))])).await;
    scene.app.run_sql("UPDATE runs SET claim = 10 WHERE status = 0").await;
    cancel(&scene, &busy).await.expect(200);
    let run = over(&scene.acme.owner(), &id).await;
    assert_eq!((run["status"].as_str(), statuses(&run)), (Some("error"), vec!["skipped"]), "{run:#}");
    assert_eq!(run["reason"], "nodes took the run again and again, and were lost before they began a step of it");
    assert_eq!(scene.bench.called("echo"), 1);
}

/// Between the look at the run and the wish to end it, the run ends. Only PostgreSQL lets others write in between.
#[tokio::test]
async fn a_run_that_ends_while_it_is_cancelled_is_told_to_be_over() {
    let scene = scene(Store::Postgres, &[]).await;
    let steps = json!([step("a", "hang", json!({}))]);
    let id = dispatched(&scene.acme.owner(), &workflow(&scene.acme, steps).await).await;
    scene.bench.until_called("hang", 1).await;
    let (ending, watching) = (scene.app.sql().await, scene.app.sql().await);
    let transaction = ending.begin().await.expect("a transaction");
    transaction.execute_unprepared("UPDATE runs SET status = 2, finished_at = 1, reason = 'x'").await.expect("locked");
    let asked = async { cancel(&scene, &id).await };
    let ends = async {
        let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                     AND query LIKE 'UPDATE \"runs\"%cancelled_at%'";
        let statement = sea_orm::Statement::from_string(watching.get_database_backend(), waits);
        let deadline = Instant::now() + Duration::from_secs(10);
        while watching.query_one_raw(statement.clone()).await.expect("an answer").is_none() {
            assert!(Instant::now() < deadline, "nobody waits for the run");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        transaction.commit().await.expect("committed");
    };
    let (answer, ()) = tokio::join!(asked, ends);
    answer.refused(409, "conflict");
    let run = scene.acme.owner().get(&format!("/api/v1/runs/{id}")).await.expect(200);
    assert_eq!((run["status"].as_str(), run["cancelling"].as_bool()), (Some("pass"), Some(false)));
}
