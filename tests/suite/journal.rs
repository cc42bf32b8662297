//! Decisions of a process that is killed: the next one over the same data directory writes them, each once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::audit::entry::AuditEntry;
use domain::audit::{AuditActor, AuditEvent};
use domain::time::Timestamp;
use infra::audit::{Journal, open_journal};
use infra::db::{Database, DatabaseUrl, JournalMark, SqlAuditRows};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use support::{Serving, Store};
use uuid::Uuid;

use crate::program::{Setup, audit_verify, signal};

/// Callers at once.
const CALLERS: usize = 4;
/// Calls that are answered before a kill, at least.
const CALLS: usize = 60;

fn journal(data: &Path) -> PathBuf {
    data.join("journal")
}

fn files(data: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(journal(data)).expect("a journal").map(|file| file.expect("a file").path()).collect()
}

fn setup<'a>(data: &'a Path, database: Option<&'a str>) -> Setup<'a> {
    Setup { data, database, listen: "127.0.0.1:0".to_owned(), more: vec![] }
}

async fn answered(request: RequestBuilder) -> Value {
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    answer.json().await.expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

async fn session(http: &Client, base: &str, path: &str) -> String {
    let organization = json!({"name": "Acme", "slug": "acme"});
    let mut body = json!({"email": "ann@example.com", "password": "correct horse battery"});
    if path == "signup" {
        body["organization"] = organization;
    }
    text(&answered(http.post(format!("{base}/api/v1/auth/{path}")).json(&body)).await["accessToken"])
}

/// Asks until nobody answers any more; which requests were answered.
async fn caller(http: Client, base: String, token: String, answered: Arc<AtomicUsize>) -> Vec<String> {
    let mut requests = Vec::new();
    loop {
        let request = http.get(format!("{base}/api/v1/mcp-servers")).header("x-api-key", &token);
        let Ok(answer) = request.send().await else { return requests };
        assert_eq!(answer.status(), 200);
        requests.push(answer.headers()["x-request-id"].to_str().expect("an id").to_owned());
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

async fn a_killed_process_leaves_its_decisions_to_the_next(store: Store) {
    let database = match store {
        Store::Sqlite => None,
        Store::Postgres => Some(support::postgres::database().await),
    };
    let data = tempfile::tempdir().expect("a directory");
    let setup = setup(data.path(), database.as_deref());
    let mut program = setup.start();
    let http = Client::new();
    let owner = session(&http, &program.base, "signup").await;
    let new = http.post(format!("{}/api/v1/api-keys", program.base)).bearer_auth(&owner);
    let token = text(&answered(new.json(&json!({"name": "a key"}))).await["token"]);
    let mut calls = Vec::new();
    for _ in 0..3 {
        let answered = Arc::new(AtomicUsize::new(0));
        let one = || tokio::spawn(caller(http.clone(), program.base.clone(), token.clone(), Arc::clone(&answered)));
        let callers: Vec<_> = (0..CALLERS).map(|_| one()).collect();
        let deadline = Instant::now() + Duration::from_secs(30);
        while answered.load(Ordering::Relaxed) < CALLS {
            assert!(Instant::now() < deadline, "only {answered:?} calls");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        program.kill();
        for caller in callers {
            calls.extend(caller.await.expect("it ends"));
        }
        assert!(!files(data.path()).is_empty(), "nothing is left for the next one");
        program = setup.start();
        assert_eq!(files(data.path()).len(), 1, "the new one's alone");
    }
    let owner = session(&http, &program.base, "login").await;
    let export = http.get(format!("{}/api/v1/audit-events/export", program.base)).bearer_auth(&owner);
    let export = export.send().await.expect("an answer").text().await.expect("an export");
    audit_verify(&export);
    let mut written: HashMap<String, usize> = HashMap::new();
    for event in export.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        if let Some(request) = event["requestId"].as_str() {
            *written.entry(request.to_owned()).or_default() += 1;
        }
    }
    let wrong: Vec<_> = calls.iter().map(|call| written.get(call)).filter(|times| *times != Some(&1)).collect();
    assert_eq!(wrong, [None::<&usize>; 0], "of {} calls", calls.len());
    stopped(program);
    assert_eq!(files(data.path()), <[PathBuf; 0]>::default(), "all is written");
}

fn stopped(mut program: Serving) {
    signal(&program, "-TERM");
    program.wait();
}

/// A database of its own, without anybody who serves from it.
struct Opened {
    database: Database,
    _directory: tempfile::TempDir,
}

impl Opened {
    async fn new(store: Store) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = match store {
            Store::Sqlite => DatabaseUrl::Sqlite(directory.path().join("keyrack.db")),
            Store::Postgres => DatabaseUrl::Postgres(support::postgres::database().await),
        };
        let database = Database::open(&url, 4).await.expect("a database");
        database.migrate().await.expect("it is migrated");
        Self { database, _directory: directory }
    }
}

fn entries(count: i64) -> Vec<AuditEntry> {
    let event = |number| AuditEvent::unproven(AuditActor::System, "a.b", Timestamp::from_micros(number));
    (0..count).map(|number| AuditEntry::from(&event(number))).collect()
}

fn keep(journal: &Journal, count: i64) {
    for entry in entries(count) {
        journal.keep(entry, |_, _| ());
    }
}

/// A commit of which nobody knows whether it took place is tried again.
async fn what_a_mark_says_is_written_is_not_written_again(store: Store) {
    let db = Opened::new(store).await;
    let rows = SqlAuditRows::new(db.database.clone(), Arc::default());
    let journal = Uuid::new_v4();
    let mark = |number| Some(JournalMark { journal, number });
    rows.open_journal(journal).await.expect("noted");
    assert_eq!(rows.written_up_to(journal).await.expect("an answer"), Some(0));
    for number in [3, 3, 2, 5, 5] {
        rows.append_once(mark(number), &entries(1), &[]).await.expect("it is written");
    }
    assert_eq!(rows.written_up_to(journal).await.expect("an answer"), Some(5));
    let nobodys = AuditEntry::NOBODYS;
    assert_eq!(rows.count(nobodys).await.expect("a number"), 2);
    rows.close_journal(journal).await.expect("forgotten");
    assert_eq!(rows.written_up_to(journal).await.expect("an answer"), None);
    // Better twice than never.
    rows.append_once(mark(5), &entries(1), &[]).await.expect("it is written");
    assert_eq!(rows.count(nobodys).await.expect("a number"), 3);
    assert_eq!(rows.written_up_to(journal).await.expect("an answer"), Some(5));
}

/// Whoever is killed between two batches of a recovery leaves the rest to the next one.
async fn a_recovery_goes_on_where_another_one_ended(store: Store) {
    let db = Opened::new(store).await;
    let rows = SqlAuditRows::new(db.database.clone(), Arc::default());
    let data = tempfile::tempdir().expect("a directory");
    let open = async || open_journal(&db.database, data.path()).await.expect("a journal");
    let gone = open().await;
    let id = gone.id();
    keep(&gone, 9);
    let other = open().await;
    assert_eq!(rows.count(AuditEntry::NOBODYS).await.expect("a number"), 0, "the process lives");
    rows.append_once(Some(gone.mark(4)), &entries(4), &[]).await.expect("written");
    drop((gone, other));
    let path = files(data.path()).into_iter().find(|path| path.display().to_string().contains(&id.to_string()));
    let mut half = std::fs::OpenOptions::new().append(true).open(path.expect("its file")).expect("a file");
    std::io::Write::write_all(&mut half, b"{\"organization\":\"").expect("written");
    drop(half);
    let next = open().await;
    assert_eq!(rows.count(AuditEntry::NOBODYS).await.expect("a number"), 9);
    assert_eq!(rows.written_up_to(id).await.expect("an answer"), None, "it is forgotten");
    assert_eq!(files(data.path()).len(), 1);
    drop(next);
    drop(open().await);
    assert_eq!(rows.count(AuditEntry::NOBODYS).await.expect("a number"), 9);
}

async fn a_journal_of_another_database_is_left_alone(store: Store) {
    let (db, other) = (Opened::new(store).await, Opened::new(store).await);
    let data = tempfile::tempdir().expect("a directory");
    let journal = open_journal(&other.database, data.path()).await.expect("a journal");
    keep(&journal, 2);
    drop(journal);
    drop(open_journal(&db.database, data.path()).await.expect("a journal"));
    let count = async |of: &Opened| {
        let rows = SqlAuditRows::new(of.database.clone(), Arc::default());
        rows.count(AuditEntry::NOBODYS).await.expect("a number")
    };
    assert_eq!(count(&db).await, 0);
    drop(open_journal(&other.database, data.path()).await.expect("a journal"));
    assert_eq!((count(&db).await, count(&other).await), (0, 2));
}

/// A file that is damaged in its middle gives what stands before, and is kept for people.
async fn what_cannot_be_read_is_kept(store: Store) {
    let db = Opened::new(store).await;
    let rows = SqlAuditRows::new(db.database.clone(), Arc::default());
    let data = tempfile::tempdir().expect("a directory");
    let journal = open_journal(&db.database, data.path()).await.expect("a journal");
    keep(&journal, 1);
    let [file] = &files(data.path())[..] else { panic!("one file") };
    let mut bytes = std::fs::read(file).expect("bytes");
    drop(journal);
    bytes.extend_from_slice(&[0; 64]);
    bytes.push(b'\n');
    std::fs::write(file, bytes).expect("written");
    drop(open_journal(&db.database, data.path()).await.expect("a journal"));
    assert_eq!(rows.count(AuditEntry::NOBODYS).await.expect("a number"), 1);
    let kept = files(data.path()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "unreadable"));
    assert_eq!(kept.count(), 1);
}

#[tokio::test]
async fn without_a_directory_that_can_be_written_to_it_goes_on_without() {
    let db = Opened::new(Store::Sqlite).await;
    let data = tempfile::tempdir().expect("a directory");
    std::fs::write(journal(data.path()), "a file").expect("written");
    let journal = open_journal(&db.database, data.path()).await.expect("none");
    assert!(!journal.is_whole());
}

on_both! {
    a_killed_process_leaves_its_decisions_to_the_next
    what_a_mark_says_is_written_is_not_written_again
    a_recovery_goes_on_where_another_one_ended
    a_journal_of_another_database_is_left_alone
    what_cannot_be_read_is_kept
}
