//! The audit log in the database: what is done to it is found, and what it cannot take is not lost.

use std::time::{Duration, Instant};

use domain::audit::verify::Report;
use domain::audit::{AuditActor, AuditEvent};
use domain::id::OrganizationId;
use domain::time::{Clock, SystemClock};
use infra::db::AuditCheck;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use serde_json::json;
use support::{App, Organization, Store};

async fn check(app: &App, organization: OrganizationId) -> Report {
    let keys = app.services().checkpoint_signer.keys();
    AuditCheck::new(app.services().database.clone()).verify(organization, keys, |_| ()).await.expect("it can be read")
}

async fn busy(app: &App) -> Organization {
    let acme = app.organization("acme").await;
    for number in 0..6 {
        acme.server(&format!("server-{number}"), "https://a.example.com").await;
    }
    app.settled().await;
    acme
}

const TABLES: [&str; 3] = ["audit_events", "audit_heads", "audit_checkpoints"];

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn tampering_is_found(store: Store) {
    let app = App::on(store).await;
    let acme = busy(&app).await;
    let organization: OrganizationId = acme.id.parse().expect("an id");
    app.services().checkpoints.sign_all(SystemClock.now()).await.expect("signed");
    let report = check(&app, organization).await;
    assert!(report.is_sound(), "{report:?}");
    let (_, last) = report.rows.expect("rows");
    assert_eq!((report.checkpoints, report.vouched.map(|(seq, _)| seq)), (1, Some(last)));
    let db = app.sql().await;
    for table in TABLES {
        run(&db, &format!("CREATE TABLE copy_of_{table} AS SELECT * FROM {table}")).await;
    }
    let cases = [
        ("edited", vec!["UPDATE audit_events SET reason = 'none' WHERE seq = 4".to_owned()]),
        ("edited", vec!["UPDATE audit_events SET at = at + 1 WHERE seq = 1".to_owned()]),
        ("edited", vec!["UPDATE audit_events SET actor_name = NULL WHERE seq = 2".to_owned()]),
        ("edited", vec![format!("UPDATE audit_events SET hash = previous_hash WHERE seq = {last}")]),
        (
            "edited",
            vec!["UPDATE audit_heads SET hash = (SELECT previous_hash FROM audit_events WHERE seq = 3)".to_owned()],
        ),
        ("edited", vec!["UPDATE audit_heads SET seq = 3".to_owned()]),
        ("removed", vec!["DELETE FROM audit_events WHERE seq = 5".to_owned()]),
        ("removed", vec!["DELETE FROM audit_events WHERE seq < 4".to_owned()]),
        ("removed", vec!["DELETE FROM audit_checkpoints".to_owned()]),
        // Whose numbers change are edited; what is in their place is another row.
        (
            "edited",
            vec![
                "UPDATE audit_events SET seq = -2 WHERE seq = 2".to_owned(),
                "UPDATE audit_events SET seq = 2 WHERE seq = 3".to_owned(),
                "UPDATE audit_events SET seq = 3 WHERE seq = -2".to_owned(),
            ],
        ),
        ("truncated", vec![format!("DELETE FROM audit_events WHERE seq = {last}")]),
        ("truncated", vec!["DELETE FROM audit_events".to_owned()]),
        // The tail cut off, and the head set back to fit: the checkpoint knows better.
        (
            "truncated",
            vec![
                "DELETE FROM audit_events WHERE seq > 4".to_owned(),
                "UPDATE audit_heads SET seq = 4, hash = (SELECT hash FROM audit_events WHERE seq = 4)".to_owned(),
            ],
        ),
        ("truncated", vec!["DELETE FROM audit_events".to_owned(), "DELETE FROM audit_heads".to_owned()]),
        (
            "forged",
            vec!["UPDATE audit_checkpoints SET signature = (SELECT hash FROM audit_events WHERE seq = 1)".to_owned()],
        ),
        (
            "forged",
            vec!["UPDATE audit_checkpoints SET hash = (SELECT hash FROM audit_events WHERE seq = 1)".to_owned()],
        ),
    ];
    for (word, sql) in cases {
        for statement in &sql {
            run(&db, statement).await;
        }
        let report = check(&app, organization).await;
        assert!(report.faults.iter().any(|fault| fault.finding.word() == word), "{word}: {sql:?}: {report:?}");
        for table in TABLES {
            run(&db, &format!("DELETE FROM {table}")).await;
            run(&db, &format!("INSERT INTO {table} SELECT * FROM copy_of_{table}")).await;
        }
        assert!(check(&app, organization).await.is_sound(), "the copy is back");
    }
}

#[tokio::test]
async fn tampering_is_found_on_sqlite() {
    tampering_is_found(Store::Sqlite).await;
}

#[tokio::test]
async fn tampering_is_found_on_postgres() {
    tampering_is_found(Store::Postgres).await;
}

async fn count(db: &DatabaseConnection, action: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM audit_events WHERE action = '{action}'");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("an answer");
    row.expect("a row").try_get("", "n").expect("a number")
}

/// A store that takes no writes: callers wait, then get 503, and what was accepted is all there afterwards.
async fn a_locked_store_loses_nothing(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let organization: OrganizationId = acme.id.parse().expect("an id");
    let key = app.key(&acme.solo().await.token);
    key.get("/api/v1/mcp-servers").await.expect(200);
    app.settled().await;
    let db = app.sql().await;
    let before = count(&db, "servers:read").await;

    let lock = app.sql().await;
    let lock = match store {
        Store::Sqlite => {
            run(&lock, "BEGIN IMMEDIATE").await;
            Lock::Sqlite(lock)
        }
        Store::Postgres => {
            let transaction = lock.begin().await.expect("a transaction");
            let sql = "LOCK TABLE audit_heads IN ACCESS EXCLUSIVE MODE";
            transaction.execute_unprepared(sql).await.expect("a lock");
            Lock::Postgres(transaction)
        }
    };
    // Decisions go on until the queue is full.
    let mut accepted = 0;
    let filler = || AuditEvent {
        organization: Some(organization),
        ..AuditEvent::unproven(AuditActor::System, "servers:read", SystemClock.now())
    };
    key.get("/api/v1/mcp-servers").await.expect(200);
    accepted += 1;
    let full = Instant::now() + Duration::from_millis(200);
    // The writer takes a batch out once more before it waits.
    while Instant::now() < full {
        while app.services().audit.try_record(filler()).is_ok() {
            accepted += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // From then on they wait, and then get 503; a change waits for the store itself.
    let began = Instant::now();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let key = key.clone();
        waiting.push(tokio::spawn(async move { key.get("/api/v1/mcp-servers").await }));
    }
    let change = acme.owner();
    let change = tokio::spawn(async move { change.post("/api/v1/api-keys", &json!({"name": "x"})).await });
    for answer in waiting.into_iter().chain([change]) {
        let answer = answer.await.expect("an answer");
        answer.refused(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert!(began.elapsed() >= Duration::from_secs(4), "they waited for {:?}", began.elapsed());

    // Who waits when the store comes back is served.
    let late = key.clone();
    let late = tokio::spawn(async move { late.get("/api/v1/mcp-servers").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    lock.release().await;
    late.await.expect("an answer").expect(200);
    accepted += 1;

    let mut tries = 0;
    while app.services().audit.settle().await.is_err() {
        tries += 1;
        assert!(tries < 20, "the log catches up");
    }
    assert_eq!(count(&db, "servers:read").await - before, accepted);
    assert_eq!(count(&db, "key.create").await, 1, "the change that was refused was not made");
    let report = check(&app, organization).await;
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(acme.owner().get("/api/v1/api-keys").await.expect(200)["items"].as_array().map(Vec::len), Some(1));
}

enum Lock {
    Sqlite(DatabaseConnection),
    Postgres(sea_orm::DatabaseTransaction),
}

impl Lock {
    async fn release(self) {
        match self {
            Self::Sqlite(connection) => run(&connection, "ROLLBACK").await,
            Self::Postgres(transaction) => transaction.rollback().await.expect("the lock is let go"),
        }
    }
}

#[tokio::test]
async fn a_locked_store_loses_nothing_on_sqlite() {
    a_locked_store_loses_nothing(Store::Sqlite).await;
}

#[tokio::test]
async fn a_locked_store_loses_nothing_on_postgres() {
    a_locked_store_loses_nothing(Store::Postgres).await;
}

#[tokio::test]
async fn chains_are_signed_when_due_and_at_the_end() {
    let mut app = App::spawn().await;
    let acme = busy(&app).await;
    let organization: OrganizationId = acme.id.parse().expect("an id");
    let checkpoints = app.services().checkpoints.clone();
    let now = SystemClock.now();
    checkpoints.sign_due(now).await.expect("signed");
    let first = check(&app, organization).await;
    assert_eq!(first.vouched.map(|(seq, _)| seq), first.rows.map(|(_, last)| last), "a new chain is due at once");
    // Neither many rows nor old: not due. Old: due.
    acme.server("one-more", "https://a.example.com").await;
    checkpoints.sign_due(now).await.expect("nothing to do");
    assert_eq!(check(&app, organization).await.checkpoints, first.checkpoints);
    checkpoints.sign_due(now.after(Duration::from_mins(11))).await.expect("signed");
    assert_eq!(check(&app, organization).await.checkpoints, first.checkpoints + 1);
    // Many: due.
    for _ in 0..1000 {
        let event = AuditEvent {
            organization: Some(organization),
            ..AuditEvent::unproven(AuditActor::System, "servers:read", SystemClock.now())
        };
        app.services().audit.record(event).await.expect("room");
    }
    app.settled().await;
    checkpoints.sign_due(now.after(Duration::from_mins(11))).await.expect("signed");
    assert_eq!(check(&app, organization).await.checkpoints, first.checkpoints + 2);
    // And whatever is left when the program ends.
    acme.server("the-last", "https://a.example.com").await;
    let database = app.sql().await;
    app.stop().await;
    let sql = "SELECT COUNT(*) AS n FROM audit_heads WHERE signed_seq < seq";
    let row = database.query_one_raw(Statement::from_string(database.get_database_backend(), sql)).await;
    assert_eq!(row.expect("an answer").expect("a row").try_get::<i64>("", "n"), Ok(0));
}
