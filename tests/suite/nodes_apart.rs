//! A node that cannot reach the database, or stood still: it accepts nothing that others have ended, nobody waits for it
//! longer than its lease, and it heals by itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use infra::cluster::{AWAITED, HELD};
use reqwest::Method;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::{Value, json};
use support::{App, Upstream, Wire, postgres};

/// How long anybody waits for what another has locked.
const LOCKS_AWAITED: Duration = Duration::from_secs(5);
/// What may come on top of a lease: when others look, and how busy this machine is.
const SLACK: Duration = Duration::from_secs(3);

fn why<'a>(revoked: &'a Value, node: &str) -> &'a str {
    let receipt = revoked["receipt"].as_array().expect("a receipt");
    let entry = receipt.iter().find(|entry| entry["node"] == node);
    entry.unwrap_or_else(|| panic!("{node} is not in {receipt:?}"))["why"].as_str().expect("why")
}

/// Two nodes, and one whose way to the database is this wire.
async fn apart() -> (App, App, App, Wire) {
    let url = postgres::database().await;
    let (a, b) = (App::node("a", &url).await, App::node("b", &url).await);
    let (wire, through) = Wire::to_database(&url).await;
    let c = App::node("c", &through).await;
    (a, b, c, wire)
}

/// Returns when the node says that it is ready again, or not any more.
async fn ready(node: &App, status: u16) {
    let began = Instant::now();
    while node.anonymous().get("/ready").await.status != status {
        assert!(began.elapsed() < Duration::from_secs(20), "never {status}\n{}", support::logs::tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The wire hangs: nobody is told that anything is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_database_hangs_accepts_nothing_that_was_revoked_and_heals() {
    Box::pin(partitioned(Wire::stall)).await;
}

/// The wire breaks: every connection is lost at once, and none is to be had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_database_is_cut_off_accepts_nothing_that_was_revoked_and_heals() {
    Box::pin(partitioned(Wire::cut)).await;
}

async fn partitioned(part: fn(&Wire)) {
    let ((a, _b, c, wire), upstream) = (Box::pin(apart()).await, Upstream::start());
    let acme = a.organization("acme").await;
    acme.server("events", &upstream.url("/legacy")).await;
    let (key, other) = (acme.solo().await, acme.solo().await);
    for token in [&key.token, &other.token] {
        c.key(token).get("/api/v1/me").await.expect(200);
    }
    let stream = c.key(&key.token).request(Method::GET, "/mcp-connect/events/mcp").send().await.expect("a stream");
    let mut chunks = stream.bytes_stream();
    chunks.next().await.expect("an event").expect("bytes");
    let reading = tokio::spawn(async move {
        while let Some(Ok(_)) = chunks.next().await {}
        Instant::now()
    });

    part(&wire);
    let apart = Instant::now();
    let revoking = {
        let (owner, path) = (acme.owner(), format!("/api/v1/api-keys/{}", key.id));
        tokio::spawn(async move { (owner.delete(&path).await.expect(200), Instant::now()) })
    };
    // Until its lease is over it may go on; from then on it must not, whether anybody was answered or not.
    while apart.elapsed() < HELD {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for token in [&key.token, &other.token] {
        c.key(token).get("/api/v1/me").await.refused(503, "unavailable");
    }
    let (revoked, answered) = revoking.await.expect("an answer");
    assert!(answered - apart < AWAITED + SLACK, "{:?}", answered - apart);
    assert_eq!((why(&revoked, "a"), why(&revoked, "b"), why(&revoked, "c")), ("confirmed", "confirmed", "lease_over"));
    for token in [&key.token, &other.token] {
        let asked = Instant::now();
        c.key(token).get("/api/v1/me").await.refused(503, "unavailable");
        assert!(asked.elapsed() < SLACK, "{:?}", asked.elapsed());
    }
    assert_eq!(c.anonymous().get("/ready").await.status, 503, "others serve better");
    let ended = reading.await.expect("the stream was read to its end");
    assert!(ended.saturating_duration_since(answered) < Duration::from_secs(1), "the stream went on");
    // Nobody waits for it any more.
    let began = Instant::now();
    let quick = acme.revoke(&acme.solo().await.id).await;
    assert!(began.elapsed() < HELD, "{:?}", began.elapsed());
    assert_eq!(quick["receipt"].as_array().map(Vec::len), Some(2));

    wire.mend();
    ready(&c, 200).await;
    c.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    c.key(&other.token).get("/api/v1/me").await.expect(200);
    let lookups = c.key_lookups();
    c.key(&other.token).get("/api/v1/me").await.expect(200);
    assert_eq!(c.key_lookups(), lookups, "it trusts its memory again");
    let revoked = acme.revoke(&other.id).await;
    assert_eq!(why(&revoked, "c"), "confirmed");
    c.key(&other.token).get("/api/v1/me").await.refused(401, "unauthenticated");
}

/// Returns when a transaction that waits for its node's next word has locked the head of a chain, which every change needs;
/// or when none has any more.
async fn head_is_held(db: &DatabaseConnection, held: bool) {
    let count = "SELECT COUNT(*) AS n FROM pg_locks JOIN pg_stat_activity USING (pid) \
                 WHERE state = 'idle in transaction' AND relation = 'audit_heads'::regclass";
    for _ in 0..2000 {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), count)).await.expect("an answer");
        if (row.expect("a row").try_get::<i64>("", "n").expect("a number") > 0) == held {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never held: {held}\n{}", support::logs::tail());
}

/// The wire hangs while the node is in the middle of a change. What it has locked it loses before others give up, so that
/// their revocation is late and does not fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_that_hangs_has_locked_keeps_no_revocation_from_taking_place() {
    let (a, _b, c, wire) = Box::pin(apart()).await;
    let acme = a.organization("acme").await;
    let (key, db) = (acme.solo().await, a.sql().await);
    // Slow enough for its change to be met between two statements.
    wire.slow(Duration::from_millis(60));
    let changing = {
        let owner = acme.owner().at(&c);
        tokio::spawn(async move { owner.post("/api/v1/api-keys", &json!({"name": "met in its middle"})).await })
    };
    head_is_held(&db, true).await;
    wire.stall();
    let apart = Instant::now();
    let (revoked, unlocked) = tokio::join!(acme.revoke(&key.id), async {
        head_is_held(&db, false).await;
        apart.elapsed()
    });
    assert!(unlocked + Duration::from_secs(1) < LOCKS_AWAITED, "whoever waits has given up, or soon: {unlocked:?}");
    assert!(apart.elapsed() < AWAITED + SLACK, "{:?}", apart.elapsed());
    assert_eq!(why(&revoked, "c"), "lease_over");
    changing.abort();
}

/// A pause that is shorter than the lease costs nobody anything but the wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_pause_of_the_wire_delays_a_revocation_and_ends_no_lease() {
    let (a, _b, c, wire) = Box::pin(apart()).await;
    let acme = a.organization("acme").await;
    let (key, other) = (acme.solo().await, acme.solo().await);
    c.key(&other.token).get("/api/v1/me").await.expect(200);
    wire.stall();
    let revoking = {
        let (owner, path) = (acme.owner(), format!("/api/v1/api-keys/{}", key.id));
        tokio::spawn(async move { owner.delete(&path).await.expect(200) })
    };
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(700) {
        assert!(!revoking.is_finished(), "one node has not confirmed");
        // What it remembers is as good as before.
        c.key(&other.token).get("/health").await.expect(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wire.mend();
    assert_eq!(why(&revoking.await.expect("an answer"), "c"), "confirmed");
    c.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
}

/// While the database is gone for everybody nobody is told 401, and nothing is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_a_node_answers_503_and_never_401() {
    let url = postgres::database().await;
    let (wire, through) = Wire::to_database(&url).await;
    let a = App::node("a", &through).await;
    let acme = a.organization("acme").await;
    let key = acme.solo().await;
    a.key(&key.token).get("/api/v1/me").await.expect(200);
    wire.cut();
    ready(&a, 503).await;
    let began = Instant::now();
    let mut refused = false;
    while began.elapsed() < HELD + Duration::from_secs(2) {
        match a.key(&key.token).get("/api/v1/me").await {
            answer if answer.status == 200 => assert!(!refused, "503 and then accepted again"),
            answer => {
                answer.refused(503, "unavailable");
                refused = true;
            }
        }
    }
    assert!(refused, "the lease is over");
    wire.mend();
    ready(&a, 200).await;
    a.key(&key.token).get("/api/v1/me").await.expect(200);
}

/// A node of its own process, which can be stopped in its tracks.
struct Process {
    child: Child,
    base: String,
}

impl Process {
    fn start(url: &str) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyrack_under_test"))
            .env_clear()
            .env("KEYRACK_DATA_DIR", data.path())
            .env("KEYRACK_DATABASE_URL", url)
            .env("KEYRACK_DATABASE_CONNECTIONS", "4")
            .env("KEYRACK_ROOT_SECRET", "a root secret of the tests, long enough")
            .env("KEYRACK_NODE_NAME", "p")
            .env("KEYRACK_LISTEN", "127.0.0.1:0")
            .env("KEYRACK_WORKERS", "1")
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let base = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(base.starts_with("http://127.0.0.1:"), "{line:?}");
        Self { child, base }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is stopped knows nothing of the time that passes. When it goes on, its first request must not find what
/// it remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stood_still_accepts_nothing_that_was_revoked_meanwhile() {
    let url = postgres::database().await;
    let a = App::node("a", &url).await;
    let process = Process::start(&url);
    let acme = a.organization("acme").await;
    // Connections of its own each time: one that is kept is closed when the process goes on, after five seconds of rest.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
    let me = async |token: &str| {
        let asked = http.get(format!("{}/api/v1/me", process.base)).header("x-api-key", token);
        asked.send().await.expect("an answer").status().as_u16()
    };
    for _ in 0..2 {
        let (key, other) = (acme.solo().await, acme.solo().await);
        assert_eq!((me(&key.token).await, me(&other.token).await), (200, 200));
        process.signal("-STOP");
        let stopped = Instant::now();
        let revoked = acme.revoke(&key.id).await;
        assert_eq!(why(&revoked, "p"), "lease_over");
        assert!(stopped.elapsed() < AWAITED + SLACK, "{:?}", stopped.elapsed());
        // On its way before the process goes on, so that it is the first thing that it sees.
        let asking = {
            let (http, url, token) = (http.clone(), format!("{}/api/v1/me", process.base), key.token.clone());
            tokio::spawn(
                async move { http.get(url).header("x-api-key", token).send().await.expect("an answer").status() },
            )
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        process.signal("-CONT");
        assert_eq!(asking.await.expect("an answer").as_u16(), 401);
        assert_eq!((me(&key.token).await, me(&other.token).await), (401, 200));
        let began = Instant::now();
        loop {
            let revoked = acme.revoke(&acme.solo().await.id).await;
            if revoked["receipt"].as_array().map(Vec::len) == Some(2) {
                break assert_eq!(why(&revoked, "p"), "confirmed", "it is back");
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{revoked}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_killed_is_waited_for_once_and_its_row_is_cleared_away() {
    let url = postgres::database().await;
    let a = App::node("a", &url).await;
    let acme = a.organization("acme").await;
    drop(Process::start(&url));
    let began = Instant::now();
    let revoked = acme.revoke(&acme.solo().await.id).await;
    assert_eq!(why(&revoked, "p"), "lease_over");
    assert!(began.elapsed() < AWAITED + SLACK, "{:?}", began.elapsed());
    let revoked = acme.revoke(&acme.solo().await.id).await;
    assert_eq!(revoked["receipt"].as_array().map(Vec::len), Some(1), "{}", json!(revoked["receipt"]));
}
