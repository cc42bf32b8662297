//! A store that takes no writes, because somebody holds its locks or because it is full: callers wait, then get 503, and
//! what was accepted is all there afterwards.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use domain::audit::{AuditActor, AuditEvent};
use domain::id::OrganizationId;
use domain::time::{Clock, SystemClock};
use infra::db::AuditCheck;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait};
use serde_json::json;
use support::{App, AppOptions, Store};

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn count(db: &DatabaseConnection, what: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {what}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("an answer");
    row.expect("a row").try_get("", "n").expect("a number")
}

/// What keeps the store from writing.
enum Obstacle {
    /// Somebody else writes.
    SqliteLock(DatabaseConnection),
    /// Somebody else has the heads of the chains.
    PostgresLock(DatabaseTransaction),
    /// The table `filler` has what was left.
    SqliteFull(DatabaseConnection),
    /// Every row of the audit log is refused like one for which there is no room.
    PostgresFull(DatabaseConnection),
}

impl Obstacle {
    async fn locked(app: &App, store: Store) -> Self {
        let db = app.sql().await;
        match store {
            Store::Sqlite => {
                run(&db, "BEGIN IMMEDIATE").await;
                Self::SqliteLock(db)
            }
            Store::Postgres => {
                let transaction = db.begin().await.expect("a transaction");
                let sql = "LOCK TABLE audit_heads IN ACCESS EXCLUSIVE MODE";
                transaction.execute_unprepared(sql).await.expect("a lock");
                Self::PostgresLock(transaction)
            }
        }
    }

    async fn full(app: &App, store: Store) -> Self {
        let db = app.sql().await;
        match store {
            Store::Sqlite => {
                run(&db, "CREATE TABLE filler (bytes BLOB)").await;
                // Ever smaller, down to what needs one page.
                for size in [1 << 20, 1 << 14, 400, 100] {
                    let sql = format!("INSERT INTO filler VALUES (zeroblob({size}))");
                    let fault = loop {
                        if let Err(error) = db.execute_unprepared(&sql).await {
                            break error.to_string();
                        }
                    };
                    assert!(fault.contains("(code: 13)"), "SQLITE_FULL: {fault}");
                }
                Self::SqliteFull(db)
            }
            Store::Postgres => {
                let refuse = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \
                    'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$";
                run(&db, refuse).await;
                run(&db, "CREATE TRIGGER no_room BEFORE INSERT ON audit_events EXECUTE FUNCTION no_room()").await;
                Self::PostgresFull(db)
            }
        }
    }

    async fn lift(self) {
        match self {
            Self::SqliteLock(db) => run(&db, "ROLLBACK").await,
            Self::PostgresLock(transaction) => transaction.rollback().await.expect("the lock is let go"),
            Self::SqliteFull(db) => run(&db, "DROP TABLE filler").await,
            Self::PostgresFull(db) => run(&db, "DROP TRIGGER no_room ON audit_events").await,
        }
    }

    /// Whether the store says at once that it cannot, instead of keeping whoever writes waiting.
    const fn refuses_at_once(&self) -> bool {
        matches!(self, Self::SqliteFull(_) | Self::PostgresFull(_))
    }
}

/// SQLite's own bound on pages, and the smallest page: the largest file that is as full as a file can be.
const MOST_PAGES: u32 = 0xFFFF_FFFE;
const PAGE: u32 = 512;

/// Makes a database one that cannot grow: it says that it has as many pages as a file may have, nearly all of them a hole
/// that takes no space. There is room in what was freed before.
async fn cannot_grow(file: &Path) {
    let db = sea_orm::Database::connect(format!("sqlite://{}", file.display())).await.expect("it opens");
    // Those who had it open may still be closing it.
    let mut tries = 0;
    while db.execute_unprepared("PRAGMA journal_mode = DELETE").await.is_err() {
        tries += 1;
        assert!(tries < 200, "somebody still has the database open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for sql in [format!("PRAGMA page_size = {PAGE}").as_str(), "VACUUM", "CREATE TABLE filler (bytes BLOB)"] {
        run(&db, sql).await;
    }
    run(&db, "INSERT INTO filler VALUES (zeroblob(40000000))").await;
    run(&db, "DROP TABLE filler").await;
    db.close().await.expect("closed");
    let mut file = OpenOptions::new().read(true).write(true).open(file).expect("the file");
    assert_eq!(number_at(&mut file, 16) >> 16, PAGE, "the page size");
    file.seek(SeekFrom::Start(28)).expect("the number of pages");
    file.write_all(&MOST_PAGES.to_be_bytes()).expect("written");
    file.set_len(u64::from(MOST_PAGES) * u64::from(PAGE)).expect("a file with a hole");
}

fn number_at(file: &mut File, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    file.seek(SeekFrom::Start(offset)).expect("the header");
    file.read_exact(&mut bytes).expect("four bytes");
    u32::from_be_bytes(bytes)
}

/// One whose database can be filled up.
async fn with_bounded_store(store: Store) -> (App, Option<App>) {
    if store == Store::Postgres {
        return (App::on(store).await, None);
    }
    let mut first = App::on(store).await;
    first.stop().await;
    cannot_grow(&first.data.path().join("keyrack.db")).await;
    let settings = vec![("data-dir", first.data.path().display().to_string()), ("signup", "open".to_owned())];
    // The first one has the directory.
    (App::with(AppOptions { settings, ..AppOptions::default() }).await, Some(first))
}

on_both! {
    a_locked_store_loses_nothing
    a_full_store_loses_nothing
}

async fn nothing_is_lost(app: &App, obstacle: impl AsyncFnOnce() -> Obstacle) {
    let acme = app.organization("acme").await;
    let organization: OrganizationId = acme.id.parse().expect("an id");
    let key = app.key(&acme.solo().await.token);
    acme.server("taken", "https://a.example.com").await;
    key.get("/api/v1/mcp-servers").await.expect(200);
    app.settled().await;
    let db = app.sql().await;
    let reads = "audit_events WHERE action = 'servers:read'";
    let before = count(&db, reads).await;

    let obstacle = obstacle().await;
    // Decisions go on until the queue is full.
    let mut accepted = 0;
    let filler = || AuditEvent {
        organization: Some(organization),
        ..AuditEvent::unproven(AuditActor::System, "servers:read", SystemClock.now())
    };
    key.get("/api/v1/mcp-servers").await.expect(200);
    accepted += 1;
    // The writer takes a batch out once more before it waits, whenever it gets its turn.
    let mut full = 0;
    while full < 25 {
        full += 1;
        while app.services().audit.try_record(filler()).is_ok() {
            accepted += 1;
            full = 0;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // From then on they wait, and then get 503; a change asks the store itself.
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
    if obstacle.refuses_at_once() {
        // What needs no decision in the log, so that it comes as far as the store: signing up.
        let began = Instant::now();
        app.sign_up("globex", &json!({})).await.refused(503, "unavailable");
        assert!(began.elapsed() < Duration::from_secs(4), "it waited for {:?}", began.elapsed());
    }

    // Who waits when the store comes back is served.
    let late = key.clone();
    let late = tokio::spawn(async move { late.get("/api/v1/mcp-servers").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    obstacle.lift().await;
    late.await.expect("an answer").expect(200);
    accepted += 1;

    let mut tries = 0;
    while app.services().audit.settle().await.is_err() {
        tries += 1;
        assert!(tries < 20, "the log catches up");
    }
    assert_eq!(count(&db, reads).await - before, accepted);
    assert_eq!(count(&db, "audit_events WHERE action = 'key.create'").await, 1, "what was refused was not made");
    assert_eq!(count(&db, "organizations").await, 1, "what was refused was not made");
    assert_eq!(acme.owner().get("/api/v1/api-keys").await.expect(200)["items"].as_array().map(Vec::len), Some(1));

    // What is refused and given up leaves the store's connections able to commit: others see what was answered.
    let taken = json!({"name": "taken", "url": "https://a.example.com"});
    acme.owner().post("/api/v1/mcp-servers", &taken).await.refused(409, "conflict");
    acme.solo().await;
    app.settled().await;
    assert_eq!(count(&db, "api_keys").await, 2, "a change that was answered is in the database");
    let keys = app.services().checkpoint_signer.keys();
    let check = AuditCheck::new(app.services().database.clone());
    let report = check.verify(organization, keys, |_| ()).await.expect("it can be read");
    assert!(report.is_sound(), "{report:?}");
}

async fn a_locked_store_loses_nothing(store: Store) {
    let app = App::on(store).await;
    nothing_is_lost(&app, async || Obstacle::locked(&app, store).await).await;
}

async fn a_full_store_loses_nothing(store: Store) {
    let (app, _directory) = with_bounded_store(store).await;
    nothing_is_lost(&app, async || Obstacle::full(&app, store).await).await;
}
