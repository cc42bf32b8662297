//! Proposals: whoever sees a workflow may say what should be different, and nothing is until an editor agrees.

use std::time::Duration;

use domain::time::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Organization, Store, Upstream};

use super::workflows::{WORKFLOWS, step, synced, tools};

on_both! {
    a_viewer_proposes_and_an_editor_applies
    of_two_proposals_of_one_version_one_is_applied
    a_proposal_is_over_after_two_weeks_and_forgotten_after_thirty_days_more
}

struct Scene {
    app: App,
    acme: Organization,
    /// The workflow's path.
    path: String,
    _upstream: Upstream,
}

async fn scene_on(store: Store) -> Scene {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let upstream = synced(&acme, "notes", tools()).await;
    let body = json!({"name": "Nightly", "steps": [step("a", json!({"arguments": {"n": 1}})), step("b", json!({}))]});
    let made = acme.owner().post(WORKFLOWS, &body).await.expect(201);
    let path = format!("{WORKFLOWS}/{}", made["id"].as_str().expect("an id"));
    Scene { app, acme, path, _upstream: upstream }
}

impl Scene {
    async fn propose(&self, actor: &Actor, change: Value) -> Answer {
        actor.post(&format!("{}/proposals", self.path), &json!({"change": change})).await
    }

    /// The path of a proposal that was made.
    async fn proposed(&self, actor: &Actor, change: Value) -> String {
        let made = self.propose(actor, change).await.expect(201);
        format!("{}/proposals/{}", self.path, made["id"].as_str().expect("an id"))
    }

    async fn states(&self, query: &str) -> Vec<String> {
        let list = self.acme.owner().get(&format!("{}/proposals{query}", self.path)).await.expect(200);
        let states = list["items"].as_array().expect("items").iter().map(|item| item["state"].as_str().expect("text"));
        states.map(str::to_owned).collect()
    }
}

async fn apply(actor: &Actor, proposal: &str) -> Answer {
    actor.post(&format!("{proposal}/apply"), &json!({})).await
}

async fn reject(actor: &Actor, proposal: &str) -> Answer {
    actor.post(&format!("{proposal}/reject"), &json!({})).await
}

async fn a_viewer_proposes_and_an_editor_applies(store: Store) {
    let scene = scene_on(store).await;
    let (viewer, editor) = (scene.acme.member("vi", "viewer").await, scene.acme.member("ed", "editor").await);
    let (viewer, editor) = (viewer.actor(), editor.actor());
    let before = viewer.get(&scene.path).await.expect(200);
    let change = json!({
        "name": "Daily",
        "description": null,
        "schedule": {"cron": "0 6 * * *"},
        "steps": [step("c", json!({})), step("a", json!({"arguments": {"n": 2}}))],
    });
    let body = json!({"change": change, "note": "It finds more."});
    let proposal = viewer.post(&format!("{}/proposals", scene.path), &body).await.expect(201);
    assert!(proposal["id"].as_str().expect("an id").starts_with("wfp_"));
    assert_eq!(
        (&proposal["state"], &proposal["version"], &proposal["note"]),
        (&json!("open"), &json!(1), &json!("It finds more."))
    );
    assert_eq!(proposal["proposedBy"]["email"], "vi@example.com");
    let differences: Vec<_> = proposal["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|part| (part["field"].as_str().expect("text"), part["before"].clone(), part["after"].clone()))
        .collect();
    assert_eq!(differences.len(), 6, "{differences:?}");
    assert_eq!(differences[0], ("name", json!("Nightly"), json!("Daily")), "what stays as it is is not told");
    assert_eq!(differences[1], ("schedule", Value::Null, json!({"cron": "0 6 * * *", "timeZone": "UTC"})));
    assert_eq!(differences[2], ("steps", json!(["a", "b"]), json!(["c", "a"])));
    assert_eq!(differences[3], ("steps.a.arguments", json!({"n": 1}), json!({"n": 2})));
    assert_eq!((differences[4].0, &differences[4].2), ("steps.b", &Value::Null));
    assert_eq!((differences[5].0, &differences[5].1), ("steps.c", &Value::Null));
    assert_eq!(viewer.get(&scene.path).await.expect(200), before, "nothing changed");

    let path = format!("{}/proposals/{}", scene.path, proposal["id"].as_str().expect("an id"));
    assert_eq!(editor.get(&path).await.expect(200), proposal);
    apply(&viewer, &path).await.refused(403, "forbidden_role");
    let applied = apply(&editor, &path).await.expect(200);
    let workflow = &applied["workflow"];
    assert_eq!(
        (&workflow["version"], &workflow["name"], &workflow["schedule"]["cron"]),
        (&json!(2), &json!("Daily"), &json!("0 6 * * *"))
    );
    assert_eq!(viewer.get(&scene.path).await.expect(200)["steps"], workflow["steps"]);
    let decided = &applied["proposal"];
    assert_eq!((&decided["state"], &decided["appliedVersion"]), (&json!("applied"), &json!(2)));
    assert_eq!(decided["decidedBy"]["email"], "ed@example.com");
    assert_eq!(decided["changes"], proposal["changes"], "what it changed stays told");
    assert_eq!(viewer.get(&path).await.expect(200), *decided);
    apply(&editor, &path).await.refused(409, "conflict");
    reject(&editor, &path).await.refused(409, "conflict");
    let version = editor.get(&format!("{}/versions/2", scene.path)).await.expect(200);
    assert_eq!(version["createdBy"]["email"], "ed@example.com", "whoever applies it made it");
}

async fn of_two_proposals_of_one_version_one_is_applied(store: Store) {
    let scene = scene_on(store).await;
    let viewer = scene.acme.member("vi", "viewer").await.actor();
    let steps = |n: u32| json!({"steps": [step("a", json!({"arguments": {"n": n}}))]});
    let one = scene.proposed(&viewer, steps(2)).await;
    let two = scene.proposed(&viewer, steps(3)).await;
    let (first, second) = (scene.acme.owner(), scene.acme.owner());
    let (a, b) = tokio::join!(apply(&first, &one), apply(&second, &two));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", a.body, b.body);
    let stale = json!({"version": 1, "name": "x"});
    scene.propose(&viewer, stale).await.refused(409, "conflict");
    let mut states = scene.states("").await;
    states.sort();
    assert_eq!(states, ["applied", "open"], "what was not applied can still be read and rejected");
    assert_eq!(scene.states("?state=open").await, ["open"]);
    assert_eq!(scene.states("?state=rejected").await, [""; 0]);
    viewer
        .get(&format!("{}/proposals?state=new", scene.path))
        .await
        .refused(400, "validation_failed")
        .names_field("state");
}

async fn a_proposal_is_over_after_two_weeks_and_forgotten_after_thirty_days_more(store: Store) {
    let scene = scene_on(store).await;
    let owner = scene.acme.owner();
    let old = scene.proposed(&owner, json!({"name": "old"})).await;
    let (day, now) = (Duration::from_hours(24), SystemClock.now());
    let made = owner.get(&old).await.expect(200);
    let expires = domain::time::Timestamp::parse(made["expiresAt"].as_str().expect("text")).expect("a time");
    let fortnight = now.after(14 * day).as_micros();
    assert!((fortnight - 60_000_000..fortnight + 60_000_000).contains(&expires.as_micros()), "{made}");
    let past = now.before(Duration::from_secs(1)).as_micros();
    scene.app.run_sql(&format!("UPDATE workflow_proposals SET expires_at = {past}")).await;
    let young = scene.proposed(&owner, json!({"name": "young"})).await;
    assert_eq!(owner.get(&old).await.expect(200)["state"], "expired");
    for over in [apply(&owner, &old).await, reject(&owner, &old).await] {
        over.refused(409, "conflict");
    }
    assert_eq!(
        (scene.states("?state=expired").await, scene.states("?state=open").await),
        (vec!["expired".to_owned()], vec!["open".to_owned()])
    );
    let purge = infra::db::SqlPurge::new(scene.app.services().database.clone());
    let after = |days: u32| now.after(days * day);
    assert_eq!(purge.proposals(after(29)).await.expect("a store"), 0);
    assert_eq!(purge.proposals(after(31)).await.expect("a store"), 1);
    owner.get(&old).await.refused(404, "not_found");
    owner.get(&young).await.expect(200);
}

#[tokio::test]
async fn whoever_proposed_withdraws_and_an_editor_rejects() {
    let scene = scene_on(Store::Sqlite).await;
    let (ann, bob) = (scene.acme.member("ann", "viewer").await, scene.acme.member("bob", "viewer").await);
    let key = scene.app.key(&ann.key(json!({"type": "solo"})).await.token);
    let own = scene.proposed(&key, json!({"name": "x"})).await;
    assert_eq!(key.get(&own).await.expect(200)["proposedBy"]["email"], "ann@example.com", "a key's owner");
    reject(&bob.actor(), &own).await.refused(403, "forbidden_role");
    assert_eq!(reject(&ann.actor(), &own).await.expect(200)["state"], "withdrawn");
    let other = scene.proposed(&ann.actor(), json!({"name": "y"})).await;
    let rejected = reject(&scene.acme.owner(), &other).await.expect(200);
    assert_eq!(
        (&rejected["state"], &rejected["decidedBy"]["email"]),
        (&json!("rejected"), &json!("owner@acme.example.com"))
    );
    assert_eq!(rejected["appliedVersion"], Value::Null);
    assert_eq!(scene.acme.owner().get(&scene.path).await.expect(200)["name"], "Nightly");
}

#[tokio::test]
async fn what_could_not_be_written_is_not_proposed_either() {
    let scene = scene_on(Store::Sqlite).await;
    let viewer = scene.acme.member("vi", "viewer").await.actor();
    for (change, field) in [
        (json!({}), "change"),
        (json!({"version": 1}), "change"),
        (json!({"steps": [step("a", json!({"tool": "missing"}))]}), "change.steps[0].tool"),
        (json!({"schedule": {"cron": "x"}}), "change.schedule.cron"),
        (json!({"more": 1}), "change.more"),
    ] {
        scene.propose(&viewer, change).await.refused(400, "validation_failed").names_field(field);
    }
    let secret = json!({"steps": [step("a", json!({"arguments": {"password": "hunter2"}}))]});
    scene.propose(&viewer, secret).await.refused(403, "secret_argument").names_field("change.steps[0].arguments");
    let long = json!({"change": {"name": "x"}, "note": "x".repeat(1001)});
    viewer
        .post(&format!("{}/proposals", scene.path), &long)
        .await
        .refused(400, "validation_failed")
        .names_field("note");
    for _ in 0..50 {
        scene.propose(&viewer, json!({"name": "x"})).await.expect(201);
    }
    scene.propose(&viewer, json!({"name": "x"})).await.refused(409, "conflict");
    scene.acme.owner().post(&format!("{}/archive", scene.path), &json!({})).await.expect(200);
    scene.propose(&viewer, json!({"name": "x"})).await.refused(409, "conflict");
}

#[tokio::test]
async fn a_proposal_is_held_against_the_reach_of_whoever_applies_it() {
    let scene = scene_on(Store::Sqlite).await;
    let owner = scene.acme.owner();
    let _files = synced(&scene.acme, "files", tools()).await;
    let notes = owner.get("/api/v1/mcp-servers/notes").await.expect(200);
    let viewer = scene.acme.member("vi", "viewer").await.actor();
    let proposal = scene.proposed(&viewer, json!({"steps": [step("a", json!({"server": "files"}))]})).await;
    let narrow = scene.app.key(&scene.acme.key(json!({"servers": [notes["id"]]})).await.token);
    apply(&narrow, &proposal).await.refused(409, "conflict").names_field("steps[0].server");
    owner.post("/api/v1/mcp-servers/files/archive", &json!({})).await.expect(200);
    apply(&owner, &proposal).await.refused(409, "conflict").names_field("steps[0].server");
    assert_eq!(owner.get(&proposal).await.expect(200)["state"], "open");
    assert_eq!(owner.get(&scene.path).await.expect(200)["version"], 1);
    let foreign = scene.app.organization("globex").await.owner();
    for answer in [foreign.get(&proposal).await, apply(&foreign, &proposal).await, reject(&foreign, &proposal).await] {
        answer.refused(404, "not_found");
    }
    let other = owner.post(WORKFLOWS, &json!({"name": "other", "steps": [step("a", json!({}))]})).await.expect(201);
    let id = proposal.rsplit('/').next().expect("an id");
    let path = format!("{WORKFLOWS}/{}/proposals/{id}", other["id"].as_str().expect("an id"));
    owner.get(&path).await.refused(404, "not_found");
    apply(&owner, &path).await.refused(404, "not_found");
}

#[tokio::test]
async fn the_log_says_who_proposed_and_who_decided() {
    let scene = scene_on(Store::Sqlite).await;
    let (viewer, owner) = (scene.acme.member("vi", "viewer").await.actor(), scene.acme.owner());
    let first = scene.proposed(&viewer, json!({"name": "x", "timeoutSeconds": 9})).await;
    let second = scene.proposed(&viewer, json!({"name": "Nightly"})).await;
    let third = scene.proposed(&viewer, json!({"name": "z"})).await;
    apply(&owner, &second).await.expect(200);
    apply(&owner, &first).await.expect(200);
    reject(&viewer, &third).await.expect(200);
    let fourth = scene.proposed(&viewer, json!({"name": "z"})).await;
    reject(&owner, &fourth).await.expect(200);
    scene.app.settled().await;
    let id = scene.path.rsplit('/').next().expect("an id");
    let events = owner.get(&format!("/api/v1/audit-events?targetId={id}")).await.expect(200);
    let told: Vec<_> = events["items"]
        .as_array()
        .expect("items")
        .iter()
        .rev()
        .filter(|event| event["action"].as_str().is_some_and(|action| action.starts_with("workflow.")))
        .map(|event| {
            (
                event["action"].as_str().unwrap_or_default(),
                event["actor"]["name"].as_str().unwrap_or_default(),
                event["reason"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let proposal = |path: &str| format!("proposal {}", path.rsplit('/').next().expect("an id"));
    let (vi, boss) = ("vi@example.com", "owner@acme.example.com");
    assert_eq!(
        told,
        [
            ("workflow.create", boss, ""),
            ("workflow.propose", vi, &proposal(&first)),
            ("workflow.propose", vi, &proposal(&second)),
            ("workflow.propose", vi, &proposal(&third)),
            ("workflow.apply", boss, &proposal(&second)),
            ("workflow.apply", boss, &format!("{}: version 2, name", proposal(&first))),
            ("workflow.withdraw", vi, &proposal(&third)),
            ("workflow.propose", vi, &proposal(&fourth)),
            ("workflow.reject", boss, &proposal(&fourth)),
        ]
    );
    let patched = owner.with_body(Method::PATCH, &scene.path, &json!({"name": "y"})).await;
    patched.expect(200);
}
