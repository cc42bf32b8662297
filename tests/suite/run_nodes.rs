//! Several nodes on one PostgreSQL database and their runs: a time that comes makes one run, and a node that is cut off for
//! longer than its lease neither loses a run nor does one twice.

use std::time::{Duration, Instant};

use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use support::{App, AppOptions, Organization, Store, Wire, Workbench, postgres};

use super::runs::{dispatched, over, step, workflow};

const WORKFLOWS: &str = "/api/v1/workflows";

async fn bench(acme: &Organization) -> Workbench {
    let bench = Workbench::start();
    acme.server("bench", &bench.url).await;
    bench
}

/// They look at the same moments, and there is so much to begin that each meets the other in the middle of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_with_due_schedules_make_one_run_of_each_time() {
    const WORKFLOWS_DUE: usize = 30;
    const TIMES: usize = 2;
    let url = postgres::database().await;
    let first = App::node("first", &url).await;
    let acme = first.organization("acme").await;
    let (bench, owner) = (bench(&acme).await, acme.owner());
    for number in 0..WORKFLOWS_DUE {
        let schedule = json!({"cron": "0 3 1 1 *"});
        let body = json!({"name": format!("w{number}"), "steps": [step("a", "echo", json!({}))], "schedule": schedule});
        owner.post(WORKFLOWS, &body).await.expect(201);
    }
    drop(first);
    let (a, b) = tokio::join!(App::node("a", &url), App::node("b", &url));
    let owner = owner.at(&a);
    let runs = async || {
        let list = owner.at(&b).get("/api/v1/runs?trigger=schedule&limit=200").await.expect(200);
        list["items"].as_array().expect("runs").clone()
    };
    for time in 1..=TIMES {
        a.run_sql(&format!("UPDATE workflows SET due_at = {time}")).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while runs().await.len() < time * WORKFLOWS_DUE {
            assert!(Instant::now() < deadline, "{} runs", runs().await.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // Both look again: this one comes last.
    a.run_sql("UPDATE workflows SET due_at = 3 WHERE name = 'w0'").await;
    let all = TIMES * WORKFLOWS_DUE + 1;
    let deadline = Instant::now() + Duration::from_secs(30);
    while runs().await.len() < all {
        assert!(Instant::now() < deadline, "no run began");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let runs = runs().await;
    for run in &runs {
        over(&owner, run["id"].as_str().expect("an id")).await;
    }
    assert_eq!((runs.len(), bench.called("echo")), (all, all));
}

/// A node that has this many runs at most.
async fn node(name: &str, url: &str, runs: usize) -> App {
    let settings = vec![
        ("signup", "open".to_owned()),
        ("node-name", name.to_owned()),
        ("database-url", url.to_owned()),
        ("runs-at-once", runs.to_string()),
    ];
    App::with(AppOptions { store: Store::Postgres, settings }).await
}

/// How many nodes have runs.
async fn nodes_with_runs(app: &App) -> i64 {
    let sql = app.sql().await;
    let ask = "SELECT COUNT(DISTINCT node) AS n FROM runs WHERE status = 1";
    let row = sql.query_one_raw(Statement::from_string(sql.get_database_backend(), ask)).await.expect("an answer");
    let number = row.expect("a row").try_get("", "n").expect("a number");
    sql.close().await.expect("closed");
    number
}

/// How often the run with this number was called.
fn called(bench: &Workbench, number: u32) -> usize {
    bench.calls().iter().filter(|(_, arguments)| arguments["n"] == number).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_for_longer_than_its_lease_loses_no_run_and_does_none_twice() {
    let url = postgres::database().await;
    let (wire, through) = Wire::to_database(&url).await;
    let c = node("c", &through, 2).await;
    let acme = c.organization("acme").await;
    let (bench, owner) = (bench(&acme).await, acme.owner());
    let begin = async |number: u32, safe: bool| {
        let steps = json!([
            step(
                "a",
                "hang",
                json!({"arguments": {"n": number}, "safe": safe, "timeoutSeconds": 600, "required": false})
            ),
            step("b", "echo", json!({})),
        ]);
        dispatched(&owner, &workflow(&acme, steps).await).await
    };
    let (unsafe_one, safe_one) = (begin(1, false).await, begin(2, true).await);
    bench.until_called("hang", 2).await;
    // The other node has runs of its own, since this one has no room.
    let a = node("a", &url, 4).await;
    let theirs = begin(3, false).await;
    bench.until_called("hang", 3).await;
    assert_eq!(nodes_with_runs(&a).await, 2);
    let owner = owner.at(&a);

    wire.stall();
    let apart = Instant::now();
    // It lets go of its calls before anybody else begins.
    bench.until_dropped(2).await;
    assert!(apart.elapsed() < Duration::from_secs(10), "{:?}", apart.elapsed());
    assert_eq!((called(&bench, 1), called(&bench, 2)), (1, 1));
    bench.until_called("hang", 4).await;
    assert!(apart.elapsed() < Duration::from_secs(15), "{:?}", apart.elapsed());
    assert_eq!(
        (called(&bench, 1), called(&bench, 2), called(&bench, 3)),
        (1, 2, 1),
        "only the safe one is called again"
    );
    let lost = over(&owner, &unsafe_one).await;
    assert_eq!(lost["steps"][0]["error"]["code"], "outcome_unknown", "{lost:#}");
    assert_eq!((&lost["status"], &lost["steps"][1]["status"]), (&json!("error"), &json!("skipped")));

    // It comes back, and finds that its runs are others'.
    wire.mend();
    let deadline = Instant::now() + Duration::from_secs(20);
    while c.anonymous().get("/ready").await.status != 200 {
        assert!(Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = workflow(&acme, json!([step("b", "echo", json!({}))])).await;
    for _ in 0..4 {
        let run: Value = over(&owner, &dispatched(&acme.owner(), &last).await).await;
        assert_eq!(run["status"], "pass", "{run:#}");
    }
    assert_eq!(over(&owner, &unsafe_one).await, lost, "it ended once");
    for id in [&safe_one, &theirs] {
        let run = owner.get(&format!("/api/v1/runs/{id}")).await.expect(200);
        assert_eq!(run["status"], "running", "{run:#}");
        owner.with_body(Method::POST, &format!("/api/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
        assert_eq!(over(&owner, id).await["status"], "cancelled");
    }
    assert_eq!((called(&bench, 1), called(&bench, 2), called(&bench, 3)), (1, 2, 1));
}
