//! Rate limits: of a key on every surface, of a server for all keys together; in the contract's order of checks, told in
//! headers, and off unless somebody sets one.

use std::time::Duration;

use serde_json::json;
use support::client::Answer;
use support::{App, Upstream};

fn header(answer: &Answer, name: &str) -> Option<u64> {
    answer.headers.get(name).map(|value| value.to_str().expect("text").parse().expect("a number"))
}

/// What the three headers say: limit, remaining, seconds.
fn told(answer: &Answer) -> (Option<u64>, Option<u64>, Option<u64>) {
    (header(answer, "ratelimit-limit"), header(answer, "ratelimit-remaining"), header(answer, "ratelimit-reset"))
}

#[tokio::test]
async fn a_key_is_refused_over_its_limit_on_rest_and_gateway_together() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let limit = json!({"requests": 3, "perSeconds": 3600});
    let (key, other) = (acme.key(json!({"rateLimit": limit})).await, acme.solo().await);
    let caller = app.key(&key.token);
    let first = caller.get("/api/v1/me").await;
    first.expect(200);
    assert_eq!((told(&first).0, told(&first).1), (Some(3), Some(2)));
    assert!(told(&first).2.is_some_and(|seconds| (3_590..=3_600).contains(&seconds)), "{:?}", told(&first));
    let second = caller.mcp("up", "", "ping", json!({})).await;
    second.expect(200);
    assert_eq!(told(&second).1, Some(1));
    // A refusal for another reason counts, and tells.
    let third = caller.get("/api/v1/api-keys").await;
    third.refused(403, "forbidden_permission");
    assert_eq!(told(&third).1, Some(0));

    let refused = caller.get("/api/v1/me").await;
    refused.refused(429, "rate_limited");
    assert_eq!((told(&refused).0, told(&refused).1), (Some(3), Some(0)));
    assert!(header(&refused, "retry-after").is_some_and(|seconds| (3_580..=3_600).contains(&seconds)));
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"});
    let refused = caller.mcp_message("up", "", &message).await;
    refused.refused(429, "rate_limited");
    let body = refused.json();
    assert_eq!((&body["id"], &body["error"]["code"]), (&json!(7), &json!(42_900)));
    assert_eq!(body["error"]["message"], "this key takes 3 requests in 3600 seconds");
    assert!(header(&refused, "retry-after").is_some() && told(&refused).1 == Some(0));
    assert_eq!(upstream.seen().len(), 1, "what is refused does not go upstream");

    let answer = app.key(&other.token).get("/api/v1/me").await;
    answer.expect(200);
    assert_eq!(told(&answer), (None, None, None), "no limit, no headers");
    assert_eq!(told(&acme.owner().get("/api/v1/me").await), (None, None, None));
}

#[tokio::test]
async fn the_limit_comes_after_the_key_and_before_the_tenant() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.key(json!({"rateLimit": {"requests": 1, "perSeconds": 3600}})).await;
    let caller = app.key(&key.token);
    caller.get("/api/v1/me").await.expect(200);
    caller.get("/api/v1/me?user_id=").await.refused(429, "rate_limited");
    caller.get("/api/v1/me?user_id=somebody").await.refused(429, "rate_limited");
    caller.mcp("nowhere", "", "ping", json!({})).await.refused(429, "rate_limited");
    acme.revoke(&key.id).await;
    caller.get("/api/v1/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn after_retry_after_the_key_is_let_through() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.key(json!({"rateLimit": {"requests": 1, "perSeconds": 1}})).await;
    let caller = app.key(&key.token);
    caller.get("/api/v1/me").await.expect(200);
    let refused = caller.get("/api/v1/me").await;
    refused.refused(429, "rate_limited");
    assert_eq!(header(&refused, "retry-after"), Some(1));
    // The one thing that no test clock can stand in for: what the header says, in time that passes.
    for _ in 0..21 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    caller.get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_server_is_limited_for_all_keys_together() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let limit = json!({"requests": 2, "perSeconds": 3600});
    let body = json!({"name": "up", "url": upstream.url("/echo"), "rateLimit": limit});
    let server = acme.server_with(body).await;
    assert_eq!(server["rateLimit"], limit);
    assert_eq!(acme.owner().get("/api/v1/mcp-servers/up").await.expect(200)["rateLimit"], limit);
    assert!(acme.server("free", &upstream.url("/echo")).await["rateLimit"].is_null());
    let (a, b) = (acme.solo().await, acme.key(json!({"rateLimit": {"requests": 9, "perSeconds": 60}})).await);
    let (a, b) = (app.key(&a.token), app.key(&b.token));
    let first = a.mcp("up", "", "ping", json!({})).await;
    first.expect(200);
    assert_eq!((told(&first).0, told(&first).1), (Some(2), Some(1)), "the key has none, so the server's is told");
    let second = b.mcp("up", "", "ping", json!({})).await;
    second.expect(200);
    assert_eq!((told(&second).0, told(&second).1), (Some(9), Some(8)), "the key's own comes first");
    for caller in [&a, &b] {
        let refused = caller.mcp("up", "", "ping", json!({})).await;
        refused.refused(429, "rate_limited");
        assert_eq!((told(&refused).0, told(&refused).1), (Some(2), Some(0)));
        let message = refused.json()["error"]["message"].clone();
        assert_eq!(message, "the server up takes 2 requests in 3600 seconds, from all keys together");
        assert!(header(&refused, "retry-after").is_some());
    }
    a.mcp("free", "", "ping", json!({})).await.expect(200);
    a.get("/api/v1/mcp-servers/up").await.expect(200);
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn an_upstreams_own_limits_are_not_taken_for_ours() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/rude")).await;
    let free = app.key(&acme.solo().await.token).mcp("up", "", "ping", json!({})).await;
    free.expect(200);
    assert_eq!(told(&free), (None, None, None));
    assert!(free.headers.contains_key("x-custom") && !free.headers.contains_key("ratelimit-policy"));
    let limited = acme.key(json!({"rateLimit": {"requests": 5, "perSeconds": 60}})).await;
    let limited = app.key(&limited.token).mcp("up", "", "ping", json!({})).await;
    assert_eq!(limited.headers.get_all("ratelimit-limit").iter().count(), 1);
    assert_eq!(told(&limited).0, Some(5));
}

#[tokio::test]
async fn a_limit_of_nothing_is_refused_by_field() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    for (limit, field) in [
        (json!({"requests": 0, "perSeconds": 1}), "rateLimit.requests"),
        (json!({"requests": 1, "perSeconds": 0}), "rateLimit.perSeconds"),
        (json!({"requests": 1, "perSeconds": 86_401}), "rateLimit.perSeconds"),
    ] {
        let body = json!({"name": "x", "url": "https://x.example.com/mcp", "rateLimit": limit});
        let answer = acme.owner().post("/api/v1/mcp-servers", &body).await;
        answer.refused(400, "validation_failed").names_field(field);
    }
}
