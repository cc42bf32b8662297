//! The queue of runs, by itself: of several nodes one has a run, and whoever lost it writes nothing any more.

use std::time::Duration;

use domain::access::SystemScope;
use domain::audit::{AuditActor, AuditEvent};
use domain::id::RunId;
use domain::run::actor::RunActor;
use domain::run::evidence::Evidence;
use domain::run::port::{Carried, Claim, Claimed, NewRun, RunEnd, StepEnd};
use domain::run::schedule::wish;
use domain::run::{RunStatus, StepStatus, Trigger};
use domain::time::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use support::Store;
use uuid::Uuid;

use super::runs::{Scene, dispatched, scene, step, workflow};

on_both! {
    each_run_is_taken_by_one_node
    a_node_that_lost_its_run_writes_nothing_any_more
    organizations_take_turns
    as_many_runs_of_an_organization_wait_as_may_and_no_more
    the_wishes_of_several_nodes_for_one_time_make_one_run
    runs_that_ended_long_ago_are_cleared_out_but_for_baselines
}

const LEASE: Duration = Duration::from_secs(30);

/// A Keyrack that leaves its runs to others: to this test.
async fn idle(store: Store) -> Scene {
    scene(store, &[("runs-at-once", "0")]).await
}

async fn taken(scene: &Scene, node: Uuid, lease: Duration) -> Option<Claimed> {
    scene.app.services().run_queue.claim(node, lease).await.expect("the store answers")
}

fn finish(claim: &Claim) -> AuditEvent {
    let event = AuditEvent::unproven(AuditActor::System, "run.finish", SystemClock.now());
    AuditEvent { organization: Some(claim.organization), ..event }
}

fn passed(position: usize, answers: Map<String, Value>) -> StepEnd {
    StepEnd {
        position,
        status: StepStatus::Pass,
        duration: Some(Duration::from_millis(5)),
        evidence: Evidence::default(),
        carried: Carried { answers, seen: vec!["a secret".to_owned()] },
    }
}

fn over() -> RunEnd {
    RunEnd { status: RunStatus::Pass, reason: "it did".to_owned(), rest: StepStatus::Skipped, last: None }
}

async fn as_many_runs_of_an_organization_wait_as_may_and_no_more(store: Store) {
    let scene = scene(store, &[("runs-at-once", "0"), ("runs-waiting", "3")]).await;
    let (owner, globex) = (scene.acme.owner(), scene.app.organization("globex").await);
    globex.server("bench", &scene.bench.url).await;
    let id = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let path = format!("/api/v1/workflows/{id}/runs");
    let named = json!({"idempotencyKey": "the-first"});
    let first = owner.post(&path, &named).await.expect(202);
    let wish = json!({});
    let wishes = futures_util::future::join_all((0..8).map(|_| owner.post(&path, &wish))).await;
    let (made, refused): (Vec<_>, Vec<_>) = wishes.into_iter().partition(|answer| answer.status == 202);
    assert_eq!((made.len(), refused.len()), (2, 6), "of all at once");
    for answer in refused {
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(answer.body.contains("KEYRACK_RUNS_WAITING"), "{}", answer.body);
        answer.refused(429, "rate_limited");
    }
    assert_eq!(owner.get("/api/v1/runs").await.expect(200)["items"].as_array().map(Vec::len), Some(3));
    // Neither a wish that was heard before nor another organization needs room.
    assert_eq!(owner.post(&path, &named).await.expect(202)["id"], first["id"]);
    let theirs = workflow(&globex, json!([step("a", "echo", json!({}))])).await;
    dispatched(&globex.owner(), &theirs).await;
    // A run that a node has waits no longer, and neither does one that was cancelled.
    assert!(taken(&scene, Uuid::from_u128(1), LEASE).await.is_some());
    let other = made[0].json()["id"].as_str().expect("an id").to_owned();
    scene.acme.owner().post(&format!("/api/v1/runs/{other}/cancel"), &json!({})).await;
    assert_eq!(owner.post(&path, &json!({})).await.status, 202);
}

async fn the_wishes_of_several_nodes_for_one_time_make_one_run(store: Store) {
    let scene = idle(store).await;
    let owner = scene.acme.owner();
    let steps = json!([step("a", "echo", json!({}))]);
    let body = json!({"name": "nightly", "steps": steps, "schedule": {"cron": "0 3 1 1 *"}});
    owner.post("/api/v1/workflows", &body).await.expect(201);
    let services = scene.app.services();
    let later = SystemClock.now().after(Duration::from_hours(24 * 400));
    let come = services.schedules.due(later, None, 10).await.expect("the store answers").pop().expect("it comes");
    let due = come.due.expect("it can be read");
    let scope = SystemScope::new(due.organization, "a test");
    let version = services.definitions.version(scope, due.workflow, due.version).await.expect("the store answers");
    let steps = version.expect("a version").definition.steps;
    let actor = RunActor { who: due.owner.who, name: "a name".to_owned(), org: None, user: None };
    for _ in 0..3 {
        let new = NewRun {
            id: RunId::new(),
            workflow: due.workflow,
            version: due.version,
            steps: steps.clone(),
            trigger: Trigger::Schedule,
            at: SystemClock.now(),
            actor: actor.clone(),
        };
        let event = new.actor.event(due.organization, new.id, "run.dispatch", SystemClock.now());
        assert!(services.run_queue.schedule(&scope, &new, &wish(&due), event).await.expect("the store answers"));
    }
    assert_eq!(owner.get("/api/v1/runs").await.expect(200)["items"].as_array().map(Vec::len), Some(1));
}

async fn each_run_is_taken_by_one_node(store: Store) {
    let scene = idle(store).await;
    let id = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let mut asked = Vec::new();
    for _ in 0..12 {
        asked.push(dispatched(&scene.acme.owner(), &id).await);
    }
    let take = async || {
        let (node, mut mine) = (Uuid::now_v7(), Vec::new());
        while let Some(claimed) = taken(&scene, node, LEASE).await {
            mine.push(claimed.run.id.to_string());
        }
        mine
    };
    let (one, two, three) = tokio::join!(take(), take(), take());
    let mut all = [one, two, three].concat();
    all.sort_unstable();
    asked.sort_unstable();
    assert_eq!(all, asked, "each once, and none is left");
}

async fn a_node_that_lost_its_run_writes_nothing_any_more(store: Store) {
    let scene = idle(store).await;
    let id = workflow(&scene.acme, json!([step("a", "echo", json!({})), step("b", "echo", json!({}))])).await;
    let run = dispatched(&scene.acme.owner(), &id).await;
    let queue = &scene.app.services().run_queue;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let old = taken(&scene, first, LEASE).await.expect("a run").claim;
    assert!(taken(&scene, second, LEASE).await.is_none(), "its lease holds");
    assert!(queue.begin_step(&old, 0, &Evidence::default(), SystemClock.now()).await.expect("an answer"));
    let answers = Map::from_iter([("/x".to_owned(), json!("carried"))]);
    assert!(queue.end_step(&old, passed(0, answers.clone())).await.expect("an answer"));
    // Its lease ends, as if the node had been gone for long.
    queue.renew(first, &[old.run], Duration::ZERO).await.expect("an answer");
    let taken_over = taken(&scene, second, LEASE).await.expect("it is free");
    let new = taken_over.claim;
    assert_eq!((new.run, new.number), (old.run, old.number + 1));
    assert_eq!(taken_over.run.steps[0].status, StepStatus::Pass);
    let carried = taken_over.carried.expect("it opens");
    assert_eq!(carried[0], Carried { answers, seen: vec!["a secret".to_owned()] }, "it comes along");
    assert!(!queue.begin_step(&old, 1, &Evidence::default(), SystemClock.now()).await.expect("an answer"));
    assert!(!queue.end_step(&old, passed(1, Map::new())).await.expect("an answer"));
    assert!(!queue.finish(&old, over(), finish(&old)).await.expect("an answer"));
    assert!(!queue.hand_back(&old).await.expect("an answer"));
    queue.renew(first, &[old.run], LEASE).await.expect("an answer");
    assert!(queue.held(first).await.expect("an answer").is_empty());
    let shown = scene.acme.owner().get(&format!("/api/v1/runs/{run}")).await.expect(200);
    assert_eq!((&shown["status"], &shown["steps"][1]["status"]), (&json!("running"), &json!("pending")), "{shown:#}");
    assert!(queue.finish(&new, over(), finish(&new)).await.expect("an answer"));
    assert!(!queue.finish(&new, over(), finish(&new)).await.expect("an answer"), "it ends once");
    let shown = scene.acme.owner().get(&format!("/api/v1/runs/{run}")).await.expect(200);
    assert_eq!((&shown["status"], &shown["steps"][1]["status"]), (&json!("pass"), &json!("skipped")));
}

async fn organizations_take_turns(store: Store) {
    let scene = idle(store).await;
    let globex = scene.app.organization("globex").await;
    globex.server("bench", &scene.bench.url).await;
    let many = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let few = workflow(&globex, json!([step("a", "echo", json!({}))])).await;
    for _ in 0..5 {
        dispatched(&scene.acme.owner(), &many).await;
    }
    let last: RunId = dispatched(&globex.owner(), &few).await.parse().expect("an id");
    let node = Uuid::now_v7();
    let first = taken(&scene, node, LEASE).await.expect("a run").run;
    assert_eq!(first.organization.to_string(), scene.acme.id, "it waits longest");
    assert_eq!(taken(&scene, node, LEASE).await.expect("a run").run.id, last, "the other one has none under way");
}

async fn runs_that_ended_long_ago_are_cleared_out_but_for_baselines(store: Store) {
    use infra::db::SqlPurge;
    let scene = scene(store, &[]).await;
    let owner = scene.acme.owner();
    let id = workflow(&scene.acme, json!([step("a", "echo", json!({}))])).await;
    let (kept, old) = (dispatched(&owner, &id).await, dispatched(&owner, &id).await);
    for run in [&kept, &old] {
        super::runs::over(&owner, run).await;
    }
    let path = format!("/api/v1/workflows/{id}/baseline");
    owner.with_body(reqwest::Method::PUT, &path, &json!({"runId": kept})).await.expect(200);
    scene.app.run_sql("UPDATE runs SET finished_at = finished_at - 86400000000").await;
    let newer = dispatched(&owner, &id).await;
    super::runs::over(&owner, &newer).await;
    let purge = SqlPurge::new(scene.app.services().database.clone());
    let before = SystemClock.now().before(Duration::from_hours(1));
    assert_eq!(purge.runs(before).await.expect("the store answers"), 1);
    owner.get(&format!("/api/v1/runs/{old}")).await.refused(404, "not_found");
    for run in [&kept, &newer] {
        let run = owner.get(&format!("/api/v1/runs/{run}")).await.expect(200);
        assert_eq!(run["steps"].as_array().expect("steps").len(), 1);
    }
}
