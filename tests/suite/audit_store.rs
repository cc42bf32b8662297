//! The audit log in the database: what is done to it is found, and chains are signed in time.

use std::time::Duration;

use domain::audit::verify::Report;
use domain::audit::{AuditActor, AuditEvent};
use domain::id::OrganizationId;
use domain::time::{Clock, SystemClock};
use infra::db::AuditCheck;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
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
    // The node signs by itself, too, every other second.
    assert!(report.checkpoints >= 1, "{report:?}");
    assert_eq!(report.vouched.map(|(seq, _)| seq), Some(last));
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
