//! Another server takes the place of the one before. Connections to that one can stay, and go on to answer what was true before;
//! numbers of changes can be lost and be given again. No node reads from the one before once it has asked the new one, and no
//! receipt counts what was confirmed of another's numbers.
//!
//! The server before is a schema that a node's sessions have first on their path, with the keys as they were; the new one is what
//! sessions see that come later, and says of itself that it was started at another time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use infra::cluster::{AWAITED, HELD};
use infra::db::{DatabaseUrl, Outdated, SqlNodes};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::Value;
use support::{App, Wire, postgres};
use uuid::Uuid;

async fn column(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("rows");
    rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What the statements of a node's own way to the others look like.
const LEASE: &str = "(query LIKE '%renewals = renewals + 1%' OR query LIKE 'SELECT id, name, confirmed%' \
                     OR query LIKE 'SELECT number, mark%')";
/// And those of its listener.
const LISTENS: &str = "(query LIKE 'LISTEN%' OR query = 'SELECT 1')";

/// A node whose sessions are of a role of their own, and an address by which it comes.
async fn node_of_a_role(url: &str) -> (App, String) {
    let role = format!("role_{}", Uuid::new_v4().simple());
    let db = sea_orm::Database::connect(url).await.expect("a connection");
    run(&db, &format!("CREATE ROLE {role} SUPERUSER LOGIN")).await;
    let mut address = url::Url::parse(url).expect("an address");
    address.set_username(&role).expect("it has a host");
    (App::node("c", address.as_str()).await, role)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_connections_stayed_at_the_server_before_accepts_nothing_that_was_revoked_at_the_new_one() {
    let url = postgres::database().await;
    let a = App::node("a", &url).await;
    let (acme, db) = (a.organization("acme").await, a.sql().await);
    let (key, other) = (acme.solo().await, acme.solo().await);
    let (c, role) = node_of_a_role(&url).await;
    let backends = |which: &str| format!("SELECT pid::text FROM pg_stat_activity WHERE usename = '{role}' AND {which}");
    let end = |which: &str| {
        format!("SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE usename = '{role}' AND {which}")
    };
    run(&db, "CREATE SCHEMA before").await;
    for table in ["api_keys", "api_key_digests"] {
        run(&db, &format!("CREATE TABLE before.{table} AS TABLE public.{table}")).await;
    }
    run(&db, &format!("ALTER ROLE {role} SET search_path = before, public")).await;
    column(&db, &end("true")).await;
    let began = Instant::now();
    // It comes back by itself; several at once, so that it has several connections.
    loop {
        let callers = (0..6).map(|_| {
            let caller = c.key(&other.token);
            tokio::spawn(async move { caller.get("/api/v1/me").await.status })
        });
        let mut statuses = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            statuses.push(caller.await.expect("an answer"));
        }
        if statuses == [200; 6] && c.anonymous().get("/ready").await.status == 200 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{statuses:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let kept = column(&db, &backends(&format!("NOT {LEASE} AND NOT {LISTENS}"))).await;
    assert!(!kept.is_empty(), "it has connections that would stay");
    let listened = column(&db, &backends(LISTENS)).await;

    run(&db, "CREATE SCHEMA moved").await;
    run(
        &db,
        "CREATE FUNCTION moved.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql AS \
         $$ SELECT pg_catalog.pg_postmaster_start_time() + interval '1 hour' $$",
    )
    .await;
    run(&db, &format!("ALTER ROLE {role} SET search_path = moved, public, pg_catalog")).await;
    let began = Instant::now();
    while column(&db, &end(LEASE)).await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "the connection of the lease is not to be seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What it has to say of this comes from the new server alone.
    let revoked = acme.revoke(&key.id).await;
    let of_c = revoked["receipt"].as_array().expect("a receipt").iter().find(|node| node["node"] == "c");
    assert_eq!(of_c.map(|node| &node["why"]), Some(&Value::from("confirmed")), "{revoked}");
    for _ in 0..8 {
        c.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
    c.key(&other.token).get("/api/v1/me").await.expect(200);
    // It listens there, too.
    let began = Instant::now();
    while column(&db, &backends(LISTENS)).await.iter().any(|pid| listened.contains(pid)) {
        assert!(began.elapsed() < Duration::from_secs(10), "it listens to the server before");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run(&db, &format!("ALTER ROLE {role} RESET search_path")).await;
}

#[tokio::test]
async fn a_lease_that_cannot_be_written_says_that_connections_are_to_be_replaced() {
    let url = postgres::database().await;
    let app = App::node("a", &url).await;
    let outdated = Arc::<Outdated>::default();
    let nodes = SqlNodes::at(&url.parse::<DatabaseUrl>().expect("an address"), Duration::from_secs(5));
    let mut nodes = nodes.expect("an address").expect("PostgreSQL").telling(Arc::clone(&outdated), |_| ());
    let old = Duration::from_mins(1);
    nodes.renew(Uuid::new_v4(), 0, false).await.expect("it can be written");
    assert!(!outdated.has(old));
    let name = url.rsplit('/').next().expect("a name");
    app.run_sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let ours = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                WHERE datname = current_database() AND query LIKE '%renewals = renewals + 1%' AND pid <> pg_backend_pid()";
    column(&app.sql().await, ours).await;
    nodes.renew(Uuid::new_v4(), 0, false).await.expect_err("the connection was ended");
    nodes.renew(Uuid::new_v4(), 0, false).await.expect_err("it cannot be written");
    assert!(outdated.has(old), "requests must not read there either");
}

/// The database comes back without its newest changes and gives their numbers again. What another node confirmed of the first
/// ones says nothing of the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_of_numbers_that_were_lost_is_in_no_receipt() {
    let url = postgres::database().await;
    let a = App::node("a", &url).await;
    let (wire, through) = Wire::to_database(&url).await;
    let _c = App::node("c", &through).await;
    let (acme, db) = (a.organization("acme").await, a.sql().await);
    let key = acme.solo().await;
    for _ in 0..4 {
        acme.revoke(&acme.solo().await.id).await;
    }
    let renewals = "SELECT renewals::text FROM nodes WHERE name = 'a'";
    wire.stall();
    let stalled = Instant::now();
    run(&db, "DELETE FROM cache_changes WHERE number > (SELECT max(number) - 3 FROM cache_changes)").await;
    run(&db, "UPDATE nodes SET confirmed = (SELECT max(number) FROM cache_changes)").await;
    run(&db, "UPDATE cache_change_counter SET number = (SELECT max(number) FROM cache_changes)").await;
    // Until it has noticed: it renews with every look.
    let before = column(&db, renewals).await;
    let noticed = |now: &[String]| {
        let number = |text: &[String]| text[0].parse::<i64>().expect("a number");
        number(now) >= number(&before) + 2
    };
    while !noticed(&column(&db, renewals).await) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let revoked = acme.revoke(&key.id).await;
    let of_c = revoked["receipt"].as_array().expect("a receipt").iter().find(|node| node["node"] == "c");
    assert_eq!(of_c.map(|node| &node["why"]), Some(&Value::from("lease_over")), "{revoked}");
    assert!(
        stalled.elapsed() > HELD && stalled.elapsed() < AWAITED + Duration::from_secs(3),
        "{:?}",
        stalled.elapsed()
    );
}
