//! Several nodes on one PostgreSQL database: a change that was answered by one is in force on all.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use serde_json::{Value, json};
use support::app::try_start;
use support::{App, AppOptions, Organization, Store, Upstream, Wire, postgres};

/// Three nodes on one database.
async fn three() -> [App; 3] {
    let url = postgres::database().await;
    [App::node("a", &url).await, App::node("b", &url).await, App::node("c", &url).await]
}

fn names(receipt: &Value) -> Vec<(&str, &str)> {
    let nodes = receipt.as_array().expect("a receipt");
    nodes.iter().map(|node| (node["node"].as_str().expect("a name"), node["why"].as_str().expect("why"))).collect()
}

#[tokio::test]
async fn a_revocation_through_any_node_ends_the_key_on_every_node() {
    let nodes = three().await;
    let acme = nodes[0].organization("acme").await;
    for round in 0..6 {
        let key = acme.solo().await;
        for node in &nodes {
            node.key(&key.token).get("/api/v1/me").await.expect(200);
            // Remembered: the second request asks no database.
            let before = node.key_lookups();
            node.key(&key.token).get("/api/v1/me").await.expect(200);
            assert_eq!(node.key_lookups(), before);
        }
        let through = acme.owner().at(&nodes[round % 3]);
        let revoked = through.delete(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
        for node in &nodes {
            node.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
        }
        assert_eq!(names(&revoked["receipt"]), [("a", "confirmed"), ("b", "confirmed"), ("c", "confirmed")]);
        assert!(revoked["receipt"].as_array().expect("a list").iter().all(|node| node["ms"].as_f64() > Some(0.0)));
    }
}

/// One change after the other, each through another node, and each in force on the third when it is answered.
#[tokio::test]
async fn every_change_that_is_remembered_is_in_force_on_every_node_when_it_is_answered() {
    let (nodes, upstream) = (three().await, Upstream::start());
    let [a, b, c] = &nodes;
    let acme = a.organization("acme").await;
    let server = acme.server("up", &upstream.url("/echo")).await;
    let path = format!("/api/v1/mcp-servers/{}", server["id"].as_str().expect("an id"));
    let key = acme.key(json!({"type": "client", "tenants": {"users": ["marina", "otto"]}})).await;
    let key_path = format!("/api/v1/api-keys/{}", key.id);
    let owner = acme.owner().at(b);
    let call = async |user: &str| c.key(&key.token).mcp("up", &format!("?user_id={user}"), "x", json!({})).await;
    call("marina").await.expect(200);
    call("otto").await.expect(200);

    // The key's tenants.
    let tenants = json!({"remove": {"users": ["otto"]}});
    owner.with_body(Method::PATCH, &format!("{key_path}/tenants"), &tenants).await.expect(200);
    call("otto").await.refused(403, "tenant_not_allowed");
    call("marina").await.expect(200);

    // A tenant.
    let users = owner.get("/api/v1/tenants/users?userId=marina").await.expect(200);
    let marina = format!("/api/v1/tenants/users/{}", users["items"][0]["id"].as_str().expect("an id"));
    owner.post(&format!("{marina}/suspend"), &Value::Null).await.expect(200);
    call("marina").await.refused(403, "tenant_suspended");
    owner.at(a).post(&format!("{marina}/resume"), &Value::Null).await.expect(200);
    call("marina").await.expect(200);

    // The server: where it is, and whether it is there.
    let elsewhere = json!({"url": upstream.url("/echo?moved=1")});
    owner.with_body(Method::PATCH, &path, &elsewhere).await.expect(200);
    call("marina").await.expect(200);
    assert!(upstream.last().target.contains("moved=1"), "{}", upstream.last().target);

    // Who reaches it.
    let policies = owner.get("/api/v1/access-policies").await.expect(200);
    let policy = format!("/api/v1/access-policies/{}", policies["items"][0]["id"].as_str().expect("an id"));
    let none = json!({"resources": []});
    owner.with_body(Method::PATCH, &policy, &none).await.expect(200);
    call("marina").await.refused(404, "server_not_found");
    let all = json!({"resources": [{"type": "every_server"}]});
    owner.at(a).with_body(Method::PATCH, &policy, &all).await.expect(200);
    call("marina").await.expect(200);

    // The key's permissions, and the organization's name, which every key carries.
    let narrower = json!({"permissions": ["servers:read"]});
    owner.with_body(Method::PATCH, &key_path, &narrower).await.expect(200);
    call("marina").await.refused(403, "forbidden_permission");
    owner.with_body(Method::PATCH, &key_path, &json!({"permissions": ["mcp:connect"]})).await.expect(200);
    call("marina").await.expect(200);
    owner.with_body(Method::PATCH, "/api/v1/org", &json!({"name": "Renamed"})).await.expect(200);
    assert_eq!(c.key(&key.token).get("/api/v1/me").await.expect(200)["organization"]["name"], "Renamed");

    // The token: the earlier one is over at once.
    let rotated = owner.post(&format!("{key_path}/rotate"), &json!({"graceSeconds": 0})).await.expect(200);
    call("marina").await.refused(401, "unauthenticated");
    let token = rotated["token"].as_str().expect("a token");
    c.key(token).mcp("up", "?user_id=marina", "x", json!({})).await.expect(200);

    // The owner's membership.
    let ann = acme.member("ann", "editor").await;
    let of_ann = ann.key(json!({"type": "solo"})).await;
    c.key(&of_ann.token).get("/api/v1/me").await.expect(200);
    let member = format!("/api/v1/org/members/{}", ann.id);
    owner.with_body(Method::PATCH, &member, &json!({"disabled": true})).await.expect(200);
    c.key(&of_ann.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    owner.at(a).with_body(Method::PATCH, &member, &json!({"disabled": false})).await.expect(200);
    c.key(&of_ann.token).get("/api/v1/me").await.expect(200);
    assert_eq!(owner.delete(&member).await.status, 204);
    c.key(&of_ann.token).get("/api/v1/me").await.refused(401, "unauthenticated");

    // And the server is put away.
    owner.post(&format!("{path}/archive"), &Value::Null).await.expect(200);
    c.key(token).mcp("up", "?user_id=marina", "x", json!({})).await.refused(404, "server_not_found");
}

#[tokio::test]
async fn what_is_under_way_on_another_node_ends_with_its_key() {
    let ([a, b, c], upstream) = (three().await, Upstream::start());
    let acme = a.organization("acme").await;
    acme.server("calls", &upstream.url("/hang")).await;
    acme.server("events", &upstream.url("/legacy")).await;
    let (key, other) = (acme.solo().await, acme.solo().await);
    let open = async |token: &str| {
        let response = c.key(token).request(Method::GET, "/mcp-connect/events/mcp").send().await.expect("a stream");
        assert_eq!(response.status(), 200);
        let mut chunks = response.bytes_stream();
        chunks.next().await.expect("an event").expect("bytes");
        chunks
    };
    let (mut cut, kept) = (open(&key.token).await, open(&other.token).await);
    let caller = b.key(&key.token);
    let call = tokio::spawn(async move { caller.mcp("calls", "", "x", json!({})).await });
    upstream.began(3).await;
    acme.revoke(&key.id).await;
    let answered = Instant::now();
    call.await.expect("an answer").refused(401, "unauthenticated");
    while let Some(Ok(_)) = cut.next().await {}
    assert!(answered.elapsed() < Duration::from_secs(1), "{:?}", answered.elapsed());
    let mut kept = kept;
    let going_on = tokio::time::timeout(Duration::from_millis(50), kept.next()).await;
    assert!(!matches!(going_on, Ok(None | Some(Err(_)))), "the other key's stream goes on");
}

/// A request reads the row; the revocation commits, through another node, and is answered; the request stores what it read. Its
/// answer from the database is held up on its way, so that it is met there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_never_puts_a_key_back_that_another_node_revoked() {
    let url = postgres::database().await;
    let (wire, through) = Wire::to_database(&url).await;
    let (a, b) = (App::node("a", &url).await, App::node("b", &through).await);
    let acme = a.organization("acme").await;
    for _ in 0..3 {
        let key = acme.solo().await;
        let mut row = wire.hold_what_says(key.id.trim_start_matches("key_"));
        let caller = b.key(&key.token);
        let asking = tokio::spawn(async move { caller.get("/api/v1/me").await.status });
        row.met().await;
        let revoked = acme.revoke(&key.id).await;
        assert_eq!(names(&revoked["receipt"]), [("a", "confirmed"), ("b", "confirmed")]);
        b.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
        assert!(!asking.is_finished(), "it has read, and not stored");
        row.release();
        assert_eq!(asking.await.expect("an answer"), 401, "it reads again, since what it read is over");
        for _ in 0..2 {
            b.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn many_keys_that_are_revoked_at_once_are_over_on_every_node() {
    let [a, b, c] = three().await;
    let acme = a.organization("acme").await;
    let ann = acme.member("ann", "editor").await;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(ann.key(json!({"type": "solo"})).await);
    }
    for key in &keys {
        b.key(&key.token).get("/api/v1/me").await.expect(200);
    }
    let done = acme.owner().at(&c).post("/api/v1/api-keys/revoke", &json!({"ownerId": ann.id})).await.expect(200);
    assert_eq!(done["revoked"].as_array().map(Vec::len), Some(20));
    assert_eq!(names(&done["receipt"]).len(), 3);
    for key in &keys {
        b.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_repeated_revocation_waits_for_every_node_like_the_first() {
    let [a, b, _c] = three().await;
    let acme = a.organization("acme").await;
    let key = acme.solo().await;
    acme.revoke(&key.id).await;
    let again = acme.owner().at(&b).delete(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
    assert_eq!(names(&again["receipt"]).len(), 3, "whoever was not answered the first time asks again");
}

#[tokio::test]
async fn nodes_that_start_at_once_on_an_empty_database_all_serve() {
    let url = postgres::database().await;
    let (a, b, c) = tokio::join!(App::node("a", &url), App::node("b", &url), App::node("c", &url));
    let acme = b.organization("acme").await;
    let key = acme.solo().await;
    for node in [&a, &b, &c] {
        assert_eq!(node.anonymous().get("/ready").await.status, 200);
        node.key(&key.token).get("/api/v1/me").await.expect(200);
    }
}

/// Versions before the first with several nodes hold this lock for themselves: they hear of nobody's changes.
#[tokio::test]
async fn a_version_that_serves_alone_and_one_that_does_not_never_serve_beside_each_other() {
    const ALONE: &str = "SELECT pg_try_advisory_xact_lock(118083573383170) AS got";
    let url = postgres::database().await;
    let options = || {
        let settings = vec![("signup", "open".to_owned()), ("database-url", url.clone())];
        AppOptions { store: Store::Postgres, settings }
    };
    let outside = sea_orm::Database::connect(&url).await.expect("a connection");
    let got = async |db: &sea_orm::DatabaseTransaction| {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), ALONE)).await.expect("an answer");
        row.expect("a row").try_get::<bool>("", "got").expect("a bool")
    };
    let old = outside.begin().await.expect("a transaction");
    assert!(got(&old).await);
    let fault = try_start(options()).await.err().expect("it does not start");
    assert!(fault.contains("stop it first"), "{fault}");
    old.rollback().await.expect("it stopped");
    let app = App::with(options()).await;
    let old = outside.begin().await.expect("a transaction");
    assert!(!got(&old).await, "now the older one must not start");
    drop(app);
}

#[tokio::test]
async fn a_node_that_stops_is_not_waited_for_and_one_that_starts_is() {
    let [a, mut b, c] = three().await;
    let acme = a.organization("acme").await;
    b.stop().await;
    let began = Instant::now();
    let revoked = acme.revoke(&acme.solo().await.id).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(names(&revoked["receipt"]), [("a", "confirmed"), ("c", "confirmed")]);
    let d = c.beside("d").await;
    let key = acme.solo().await;
    d.key(&key.token).get("/api/v1/me").await.expect(200);
    let revoked = acme.revoke(&key.id).await;
    assert_eq!(names(&revoked["receipt"]), [("a", "confirmed"), ("c", "confirmed"), ("d", "confirmed")]);
    d.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
}

/// Ends a key behind everybody's back, as a database does that comes back without its newest transactions and goes on.
async fn ended_unseen(node: &App, key: &str) {
    let sql = "DELETE FROM api_key_digests WHERE key_id = $1";
    let db = node.sql().await;
    let id = key.trim_start_matches("key_").to_owned();
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await.expect("done");
}

async fn refused_soon(node: &App, token: &str) {
    let began = Instant::now();
    while node.key(token).get("/api/v1/me").await.status == 200 {
        assert!(began.elapsed() < Duration::from_secs(5), "still remembered\n{}", support::logs::tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.key(token).get("/api/v1/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_node_that_does_not_find_the_change_that_it_applied_last_forgets_everything() {
    let [a, b, _c] = three().await;
    let acme = a.organization("acme").await;
    let key = acme.solo().await;
    acme.revoke(&acme.solo().await.id).await;
    b.key(&key.token).get("/api/v1/me").await.expect(200);
    ended_unseen(&a, &key.id).await;
    b.key(&key.token).get("/api/v1/me").await.expect(200);
    // Another change has its number now.
    a.run_sql("UPDATE cache_changes SET mark = '00000000-0000-0000-0000-000000000001'").await;
    refused_soon(&b, &key.token).await;
}

#[tokio::test]
async fn a_node_that_cannot_read_a_change_of_a_newer_version_forgets_everything() {
    let [a, b, _c] = three().await;
    let acme = a.organization("acme").await;
    let key = acme.solo().await;
    b.key(&key.token).get("/api/v1/me").await.expect(200);
    ended_unseen(&a, &key.id).await;
    let newer = "WITH counted AS (UPDATE cache_change_counter SET number = number + 1 RETURNING number) \
         INSERT INTO cache_changes (number, mark, changes, at) \
         SELECT number, '00000000-0000-0000-0000-000000000002', '[{\"kind\":\"weather_changed\"}]', 0 FROM counted";
    a.run_sql(newer).await;
    refused_soon(&b, &key.token).await;
}

/// Changes by all nodes at once: their numbers are in the order of their commits, and nobody waits for ever.
#[tokio::test]
async fn changes_through_all_nodes_at_once_are_numbered_without_a_gap() {
    let nodes = three().await;
    let acme = nodes[0].organization("acme").await;
    let other = nodes[1].organization("other").await;
    let revoke_some = async |node: &App, organization: &Organization| {
        for _ in 0..8 {
            let key = organization.solo().await;
            organization.owner().at(node).delete(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
        }
    };
    tokio::join!(
        revoke_some(&nodes[0], &acme),
        revoke_some(&nodes[1], &other),
        revoke_some(&nodes[2], &acme),
        revoke_some(&nodes[1], &acme),
    );
    let db = nodes[0].sql().await;
    let sql = "SELECT number FROM cache_changes ORDER BY number";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("rows");
    let numbers: Vec<i64> = rows.iter().map(|row| row.try_get("", "number").expect("a number")).collect();
    let count = i64::try_from(numbers.len()).expect("few");
    assert!(count >= 32, "{count}");
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_node_alone_writes_no_changes_and_has_no_row() {
    let app = App::on(Store::Sqlite).await;
    let acme = app.organization("acme").await;
    let revoked = acme.revoke(&acme.solo().await.id).await;
    assert_eq!(names(&revoked["receipt"]).len(), 1);
    let db = app.sql().await;
    for table in ["nodes", "cache_changes"] {
        let sql = format!("SELECT COUNT(*) AS n FROM {table}");
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("an answer");
        assert_eq!(row.expect("a row").try_get::<i64>("", "n"), Ok(0), "{table}");
    }
}

#[tokio::test]
async fn nodes_have_a_row_each_that_goes_with_them() {
    let [mut a, mut b, mut c] = three().await;
    let db = a.sql().await;
    let rows = async || {
        let sql = "SELECT name FROM nodes";
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("rows");
        rows.iter().map(|row| row.try_get::<String>("", "name").expect("a name")).collect::<HashSet<_>>()
    };
    assert_eq!(rows().await, HashSet::from(["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    for node in [&mut a, &mut b, &mut c] {
        node.stop().await;
    }
    assert!(rows().await.is_empty());
}
