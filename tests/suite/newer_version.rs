//! The database was migrated by a newer version, and this one serves from it: while nodes are replaced one by one, one of the
//! version before is started again; or somebody goes back. A newer version's steps only add (`migrations.rs`), so that
//! whoever does not know them needs to know nothing of them.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::{Actor, App, AppOptions, Store};

on_both! {
    a_version_that_is_older_than_the_schema_serves_and_its_commands_work
}

/// What a later version's step leaves behind.
const NEWER: [&str; 2] = [
    "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_000001_colours', 1)",
    "CREATE TABLE colours (name text PRIMARY KEY)",
];
const ROOT: &str = "a root secret of the tests, long enough";

async fn migrated_by_a_newer_version(app: &App) {
    for statement in NEWER {
        app.run_sql(statement).await;
    }
}

/// What a command says, which must end well.
fn keyrack(data: &Path, url: Option<&str>, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrack_under_test"));
    command.env_clear().env("KEYRACK_DATA_DIR", data).env("KEYRACK_ROOT_SECRET", ROOT).args(arguments);
    command.env("KEYRACK_LISTEN", "127.0.0.1:0");
    if let Some(url) = url {
        command.env("KEYRACK_DATABASE_URL", url);
    }
    let output = command.output().expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

async fn a_version_that_is_older_than_the_schema_serves_and_its_commands_work(store: Store) {
    let with = |mut settings: Vec<(&'static str, String)>| {
        settings.extend([("signup", "open".to_owned()), ("root-secret", ROOT.to_owned())]);
        App::with(AppOptions { store, settings })
    };
    let mut app = with(vec![]).await;
    let acme = app.organization("acme").await;
    let key = acme.solo().await;
    migrated_by_a_newer_version(&app).await;
    let (data, url) = (app.data.path().to_owned(), app.database_url.clone());
    app.stop().await;
    let run = |arguments: &[&str]| keyrack(&data, url.as_deref(), arguments);
    assert!(run(&["migrate"]).contains("0 migrations were run"));
    let report = run(&["doctor"]);
    assert!(report.contains("ok    database: reached, schema up to date"), "{report}");
    assert!(report.contains("of a newer version: m29991231_000001_colours"), "{report}");
    run(&["audit", "verify"]);
    let mut settings = vec![("data-dir", data.display().to_string())];
    settings.extend(url.map(|url| ("database-url", url)));
    let again = with(settings).await;
    again.key(&key.token).get("/api/v1/me").await.expect(200);
    let log = String::from_utf8_lossy(&support::logs::so_far()).into_owned();
    let said = |line: &str| line.contains("by a newer version") && line.contains("m29991231_000001_colours");
    assert!(log.lines().any(said), "it says so at its start");
}

/// A step of this version is still run where a newer version's is there already.
#[tokio::test]
async fn what_is_missing_is_run_beside_what_is_newer() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        migrated_by_a_newer_version(&app).await;
        app.run_sql("DROP TABLE audit_journals").await;
        app.run_sql("DELETE FROM seaql_migrations WHERE version = 'm20261122_000031_audit_journals'").await;
        let database = &app.services().database;
        assert_eq!(database.standing().await.expect("an answer").pending, 1);
        assert_eq!(database.migrate().await.expect("migrated"), 1);
        assert_eq!(database.standing().await.expect("an answer").pending, 0);
        app.run_sql("SELECT * FROM audit_journals").await;
        app.run_sql("SELECT * FROM colours").await;
    }
}

/// The nodes that a balancer sends requests to.
#[derive(Clone)]
struct Balancer(Arc<Mutex<Vec<Actor>>>);

impl Balancer {
    fn any(&self, turn: usize) -> Actor {
        let nodes = self.0.lock().expect("whole");
        nodes[turn % nodes.len()].clone()
    }

    fn only(&self, nodes: &[&Actor]) {
        *self.0.lock().expect("whole") = nodes.iter().map(|node| (*node).clone()).collect();
    }
}

/// Both nodes are started again, one after the other, after a newer one has migrated: nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_exchanged_under_a_newer_schema_and_a_steady_caller_is_never_refused() {
    let mut a = App::on(Store::Postgres).await;
    let mut b = a.beside("b").await;
    let acme = a.organization("acme").await;
    let key = acme.solo().await;
    let (at_a, at_b) = (a.key(&key.token), b.key(&key.token));
    let balancer = Balancer(Arc::new(Mutex::new(vec![at_a, at_b.clone()])));
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let calling = {
        let balancer = balancer.clone();
        tokio::spawn(async move {
            let mut calls = 0;
            while stopped.try_recv().is_err() {
                balancer.any(calls).get("/api/v1/me").await.expect(200);
                calls += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            calls
        })
    };
    migrated_by_a_newer_version(&a).await;
    balancer.only(&[&at_b]);
    a.stop().await;
    let again_a = b.beside("a").await;
    let at_a = again_a.key(&key.token);
    balancer.only(&[&at_a]);
    b.stop().await;
    let again_b = again_a.beside("b").await;
    balancer.only(&[&at_a, &again_b.key(&key.token)]);
    let both = Instant::now();
    while both.elapsed() < Duration::from_millis(300) {
        assert!(!calling.is_finished(), "the caller was refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = stop.send(());
    let calls = calling.await.expect("never refused");
    assert!(calls > 10, "{calls}");
}
