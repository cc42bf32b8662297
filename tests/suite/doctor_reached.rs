//! `keyrack doctor` on what is reached over the network: the port that the node listens on, Redis, and a PostgreSQL that is not
//! there. What a node needs is tried as the node does it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::{Redis, Serving, postgres};

use crate::doctor::{ROOT, doctor, faulty, keyrack, says};

/// A node that serves with these settings, on a port that stays the same for `doctor`.
fn serving(data: &std::path::Path, settings: &[(&str, &str)]) -> (Serving, String) {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    let serving = Serving::start(|| {
        let mut command = keyrack(data, settings);
        command.env("KEYRACK_LISTEN", &port).env("KEYRACK_LOG", "warn").arg("serve");
        command
    });
    (serving, port)
}

/// The commonest moment to ask: beside a node that serves, with its settings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_the_node_that_serves_all_is_well_and_it_says_so() {
    let (url, data) = (postgres::database().await, tempfile::tempdir().expect("a directory"));
    let settings = [("KEYRACK_DATABASE_URL", url.as_str()), ("KEYRACK_ROOT_SECRET", ROOT)];
    let (node, port) = serving(data.path(), &settings);
    let with = async |listen: &str| doctor(data.path(), &[settings[0], settings[1], ("KEYRACK_LISTEN", listen)]).await;
    let (well, report) = with(&port).await;
    assert!(well, "{report}");
    says(&report, &format!("ok    listen: {port} has a node that serves"));
    drop(node);
    // A file belongs to the node that serves.
    let file = tempfile::tempdir().expect("a directory");
    let (node, of_file) = serving(file.path(), &[]);
    let (well, report) = doctor(file.path(), &[("KEYRACK_LISTEN", &of_file)]).await;
    assert!(well, "{report}");
    says(&report, "belongs to the node that serves");
    let (well, report) = doctor(file.path(), &[]).await;
    assert!(!well, "somewhere else nothing says who has it: {report}");
    drop(node);
    let (well, report) = with(&port).await;
    assert!(well, "{report}");
    says(&report, &format!("ok    listen: {port} is free"));
    // Somebody else has the port, who answers nothing; and somebody who answers, but is no Keyrack.
    let silent = TcpListener::bind(&port).expect("the port is free");
    let (well, report) = with(&port).await;
    assert!(!well, "{report}");
    faulty(&report, &format!("listen: {port}"), "stop what has the port");
    drop(silent);
    let upstream = support::Upstream::start();
    let other = upstream.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (well, report) = with(&other).await;
    assert!(!well, "{report}");
    faulty(&report, &format!("listen: {other}"), "stop what has the port");
}

/// That Redis answers a PING says nothing of whether limits can be counted in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cannot_count_limits_is_told_although_it_answers() {
    let (redis, data) = (Redis::start().await, tempfile::tempdir().expect("a directory"));
    let ask = async |url: &str| doctor(data.path(), &[("KEYRACK_REDIS_URL", url)]).await;
    let client = redis::Client::open(redis.url.as_str()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let (well, report) = ask(&redis.url).await;
    assert!(well, "{report}");
    says(&report, "counts limits");
    // What it counted is over at once, and Redis forgets it soon.
    let began = Instant::now();
    while redis::cmd("DBSIZE").query_async::<u64>(&mut connection).await.expect("a number") > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "something is left behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let mut run = async |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async::<()>(&mut connection).await.unwrap_or_else(|error| panic!("{error}"));
    };
    run(&["ACL", "SETUSER", "limited", "on", ">hunter2", "~*", "+@all", "-@scripting"]).await;
    let limited = redis.url.replace("redis://", "redis://limited:hunter2@");
    let (well, report) = ask(&limited).await;
    assert!(!well && !report.contains("hunter2"), "{report}");
    faulty(&report, "redis: ", "EVALSHA");
    // Who may not read its settings may count all the same.
    run(&["ACL", "SETUSER", "limited", "+@scripting", "-info"]).await;
    let (well, report) = ask(&limited).await;
    assert!(well, "{report}");
    says(&report, "does not tell its maxmemory-policy");

    // A window that is thrown away to make room is a limit that begins anew.
    run(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
    let (well, report) = ask(&redis.url).await;
    assert!(well, "nothing is evicted where memory has no bound: {report}");
    run(&["CONFIG", "SET", "maxmemory", "100mb"]).await;
    for policy in ["volatile-lru", "allkeys-lfu", "volatile-ttl"] {
        run(&["CONFIG", "SET", "maxmemory-policy", policy]).await;
        let (well, report) = ask(&redis.url).await;
        assert!(!well, "{report}");
        faulty(&report, policy, "noeviction");
    }
    run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let (well, report) = ask(&redis.url).await;
    assert!(well, "{report}");

    // A replica answers every question, and counts nothing.
    let primary = Redis::start().await;
    let (host, port) = primary.url.trim_start_matches("redis://").split_once(':').expect("a port");
    run(&["REPLICAOF", host, port]).await;
    let (well, report) = ask(&redis.url).await;
    assert!(!well, "{report}");
    faulty(&report, "redis: ", "writes");
}

#[tokio::test]
async fn a_postgres_that_cannot_be_reached_is_told_without_its_password() {
    let data = tempfile::tempdir().expect("a directory");
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = format!("postgres://keyrack:hunter2@{gone}/keyrack");
    let (well, report) = doctor(data.path(), &[("KEYRACK_DATABASE_URL", &url), ("KEYRACK_ROOT_SECRET", ROOT)]).await;
    assert!(!well && !report.contains("hunter2"), "{report}");
    faulty(&report, "database: ", "check KEYRACK_DATABASE_URL");
}

/// It looks, and leaves no trace: not even the table of steps.
#[tokio::test]
async fn an_empty_database_stays_empty() {
    let (url, data) = (postgres::database().await, tempfile::tempdir().expect("a directory"));
    let settings = [("KEYRACK_DATABASE_URL", url.as_str()), ("KEYRACK_ROOT_SECRET", ROOT)];
    let (well, report) = doctor(data.path(), &settings).await;
    assert!(!well, "{report}");
    faulty(&report, "migrations are to be run", "keyrack migrate");
    let verified = keyrack(data.path(), &settings).args(["audit", "verify"]).output().expect("it runs");
    assert!(!verified.status.success());
    let db = sea_orm::Database::connect(&url).await.expect("a connection");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    let row = sea_orm::ConnectionTrait::query_one_raw(
        &db,
        sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, tables),
    );
    let row = row.await.expect("an answer").expect("a row");
    assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), 0, "a table was made");
}
