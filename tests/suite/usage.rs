//! `GET /usage`: what was called, by whom, how often it failed and how long it took; seen by those whose it is.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use support::{App, Store, Upstream};

/// (key, server) → (calls, errors), in the report's order.
fn lines(report: &Value) -> Vec<(String, String, u64, u64)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let items = report["items"].as_array().expect("items").iter();
    items
        .map(|item| {
            let number = |field: &str| item[field].as_u64().expect("a number");
            (text(&item["apiKeyId"]), text(&item["serverId"]), number("calls"), number("errors"))
        })
        .collect()
}

#[tokio::test]
async fn calls_and_errors_are_counted_per_key_and_server_and_survive_a_restart_of_the_counter() {
    for store in [Store::Sqlite, Store::Postgres] {
        let (app, upstream) = (App::on(store).await, Upstream::start());
        let acme = app.organization("acme").await;
        let good = acme.server("good", &upstream.url("/echo")).await["id"].as_str().expect("an id").to_owned();
        let bad = acme.server("bad", &upstream.url("/status/500")).await["id"].as_str().expect("an id").to_owned();
        let gone = acme.server("gone", "http://127.0.0.1:9/mcp").await["id"].as_str().expect("an id").to_owned();
        let (a, b) = (acme.solo().await, acme.solo().await);
        let report = async || acme.owner().get("/api/v1/usage").await.expect(200);
        assert_eq!(lines(&report().await), []);
        for _ in 0..3 {
            app.key(&a.token).mcp("good", "", "ping", json!({})).await.expect(200);
        }
        // Read between, so that the second half is added to rows that are there.
        assert_eq!(lines(&report().await), [(a.id.clone(), good.clone(), 3, 0)]);
        app.key(&a.token).mcp("good", "", "ping", json!({})).await.expect(200);
        app.key(&a.token).mcp("bad", "", "ping", json!({})).await.expect(500);
        app.key(&b.token).mcp("gone", "", "ping", json!({})).await.refused(502, "upstream_error");
        // Not let through, so no calls.
        app.key(&b.token).mcp("nowhere", "", "ping", json!({})).await.expect(404);
        app.key(&b.token).mcp("good", "?user_id=x", "ping", json!({})).await.expect(403);
        let mut expected =
            vec![(a.id.clone(), good.clone(), 4, 0), (a.id.clone(), bad.clone(), 1, 1), (b.id.clone(), gone, 1, 1)];
        let mut seen = lines(&report().await);
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected);

        let of = async |query: &str| lines(&acme.owner().get(&format!("/api/v1/usage?{query}")).await.expect(200));
        assert_eq!(of(&format!("serverId={bad}")).await, [(a.id.clone(), bad.clone(), 1, 1)]);
        assert_eq!(of(&format!("apiKeyId={}", a.id)).await.len(), 2);
        assert_eq!(of("from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z").await, []);
        let (mut paged, mut path) = (Vec::new(), "/api/v1/usage?limit=1".to_owned());
        loop {
            let page = acme.owner().get(&path).await.expect(200);
            assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
            paged.extend(lines(&page));
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            path = format!("/api/v1/usage?limit=1&cursor={cursor}");
        }
        paged.sort();
        assert_eq!(paged, expected);
    }
}

#[tokio::test]
async fn everybody_sees_their_own_use_and_admins_that_of_all() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let server = acme.server("up", &upstream.url("/echo")).await["id"].as_str().expect("an id").to_owned();
    let (a, b) = (acme.solo().await, acme.key(json!({"permissions": ["mcp:connect"]})).await);
    for key in [&a, &b] {
        app.key(&key.token).mcp("up", "", "ping", json!({})).await.expect(200);
    }
    assert_eq!(lines(&acme.owner().get("/api/v1/usage").await.expect(200)).len(), 2);
    let own = app.key(&a.token).get("/api/v1/usage").await.expect(200);
    assert_eq!(lines(&own), [(a.id.clone(), server.clone(), 1, 0)]);
    let foreign = format!("/api/v1/usage?apiKeyId={}", b.id);
    assert_eq!(lines(&app.key(&a.token).get(&foreign).await.expect(200)), []);
    app.key(&b.token).get("/api/v1/usage").await.refused(403, "forbidden_permission");
    for path in ["/api/v1/usage".to_owned(), format!("/api/v1/usage?serverId={server}"), foreign] {
        assert_eq!(lines(&globex.owner().get(&path).await.expect(200)), [], "another organization's is not there");
    }
}

#[tokio::test]
async fn latencies_are_those_of_the_calls() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    acme.server("hang", &upstream.url("/hang")).await;
    let key = acme.solo().await;
    let caller = app.key(&key.token);
    for _ in 0..5 {
        caller.mcp("up", "", "ping", json!({})).await.expect(200);
    }
    // A caller that leaves is counted when it has left, as a failure that took as long as it waited.
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "x"});
    let request = caller.request(Method::POST, "/mcp-connect/hang/mcp").json(&message);
    let began = std::time::Instant::now();
    let left = tokio::time::timeout(Duration::from_millis(200), request.send()).await;
    assert!(left.is_err(), "the upstream hangs");
    upstream.ended(6).await;
    let waited = began.elapsed().as_secs_f64() * 1e3;
    let report = acme.owner().get("/api/v1/usage").await.expect(200);
    let items = report["items"].as_array().expect("items");
    let number = |item: &Value, field: &str| item[field].as_f64().expect("a number");
    let (slow, quick): (Vec<_>, Vec<_>) = items.iter().partition(|item| item["errors"] == 1);
    assert_eq!((slow.len(), quick.len()), (1, 1), "{report}");
    let p50 = number(slow[0], "p50Ms");
    assert!((150.0..waited * 1.1).contains(&p50), "{p50} ms of {waited} ms");
    let quick = quick[0];
    let (p50, p95, p99) = (number(quick, "p50Ms"), number(quick, "p95Ms"), number(quick, "p99Ms"));
    assert!(p50 > 0.0 && p50 <= p95 && p95 <= p99, "{quick}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_field() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    for (query, field) in [
        ("from=yesterday", "from"),
        ("to=2026-01-01", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("from=2026-01-01T00:00:00Z&to=2026-02-02T00:00:00Z", "from"),
        ("apiKeyId=x", "apiKeyId"),
        ("serverId=notes", "serverId"),
        ("cursor=x", "cursor"),
        ("limit=0", "limit"),
    ] {
        let answer = acme.owner().get(&format!("/api/v1/usage?{query}")).await;
        answer.refused(400, "validation_failed").names_field(field);
    }
}

#[tokio::test]
async fn what_was_counted_is_written_when_the_server_stops() {
    let (mut app, upstream) = (App::on(Store::Postgres).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let key = acme.solo().await;
    for _ in 0..7 {
        app.key(&key.token).mcp("up", "", "ping", json!({})).await.expect(200);
    }
    let url = app.database_url.clone().expect("its url");
    app.stop().await;
    let again = App::with(support::AppOptions {
        store: Store::Sqlite,
        settings: vec![
            ("database-url", url),
            ("root-secret", "a root secret of the tests, long enough".to_owned()),
            ("signup", "open".to_owned()),
        ],
    })
    .await;
    let report = again.key(&key.token).get("/api/v1/usage").await.expect(200);
    assert_eq!(lines(&report).first().map(|line| (line.2, line.3)), Some((7, 0)), "{report}");
}
