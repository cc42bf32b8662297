//! How many calls and open streams a key has at once.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::json;
use support::{Actor, App, AppOptions, Organization, Upstream};

async fn scene(limit: usize) -> (App, Upstream, Organization) {
    let settings = vec![("signup", "open".to_owned()), ("calls-per-key", limit.to_string())];
    let (app, upstream) = (App::with(AppOptions { settings, ..AppOptions::default() }).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("echo", &upstream.url("/echo")).await;
    acme.server("events", &upstream.url("/sse")).await;
    acme.server("slow", &upstream.url("/gate")).await;
    (app, upstream, acme)
}

async fn open(caller: &Actor) -> Response {
    let stream = caller.request(Method::GET, "/mcp-connect/events/mcp").send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    stream
}

async fn is_free_again(caller: &Actor) {
    let began = Instant::now();
    while caller.mcp("echo", "", "ping", json!({})).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(5), "the place was not given up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn open_streams_count_until_they_end_and_only_for_their_key() {
    let (app, _upstream, acme) = scene(2).await;
    let (mine, other) = (acme.solo().await, app.key(&acme.solo().await.token));
    let caller = app.key(&mine.token);
    let (first, second) = (open(&caller).await, open(&caller).await);
    let refused = caller.mcp("echo", "", "ping", json!({})).await;
    refused.refused(429, "rate_limited");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.json()["id"], 1);
    other.mcp("echo", "", "ping", json!({})).await.expect(200);
    // A rotated key is the same key.
    let path = format!("/api/v1/api-keys/{}/rotate", mine.id);
    let rotated = acme.owner().post(&path, &json!({"graceSeconds": 60})).await.expect(200);
    let newer = app.key(rotated["token"].as_str().expect("a token"));
    newer.mcp("echo", "", "ping", json!({})).await.refused(429, "rate_limited");
    drop(first);
    is_free_again(&caller).await;
    is_free_again(&newer).await;
    drop(second);
}

#[tokio::test]
async fn every_way_out_gives_the_place_up() {
    let (app, upstream, acme) = scene(1).await;
    acme.server("nobody", "http://127.0.0.1:9/mcp").await;
    acme.server("denied", &upstream.url("/status/401")).await;
    acme.server("half", &upstream.url("/half")).await;
    let caller = app.key(&acme.solo().await.token);
    for _ in 0..3 {
        caller.mcp("nothing", "", "ping", json!({})).await.refused(404, "server_not_found");
        caller.mcp("echo", "?org_id=", "ping", json!({})).await.refused(400, "invalid_tenant");
        caller.mcp("nobody", "", "ping", json!({})).await.refused(502, "upstream_error");
        caller.mcp("denied", "", "ping", json!({})).await.refused(502, "upstream_error");
        let secret = json!({"name": "t", "arguments": {"password": "x"}});
        caller.mcp("echo", "", "tools/call", secret).await.refused(200, "secret_argument");
        assert!(caller.mcp("half", "", "ping", json!({})).await.body.starts_with("<broken"));
        is_free_again(&caller).await;
    }
    // A call whose caller leaves.
    let (left, seen) = (caller.clone(), upstream.seen().len());
    let call = tokio::spawn(async move { left.mcp("slow", "", "ping", json!({})).await });
    upstream.began(seen + 1).await;
    caller.mcp("echo", "", "ping", json!({})).await.refused(429, "rate_limited");
    call.abort();
    is_free_again(&caller).await;
    // A stream that is cut.
    let doomed = acme.solo().await;
    let stream = open(&app.key(&doomed.token)).await;
    acme.revoke(&doomed.id).await;
    assert!(stream.bytes().await.is_err());
    is_free_again(&caller).await;
}
