//! Servers that do not work are left alone for a moment, and found again; nobody else notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Actor, Answer, App, Organization, Upstream};

/// As many failures in a row as a server has before it is left alone.
const THRESHOLD: usize = domain::server::breaker::THRESHOLD as usize;

async fn ping(caller: &Actor, server: &str) -> Answer {
    caller.mcp(server, "", "ping", json!({})).await
}

async fn health(acme: &Organization, server: &str) -> Value {
    acme.owner().get(&format!("/api/v1/mcp-servers/{server}")).await.expect(200)["health"].clone()
}

fn left_alone(answer: &Answer) {
    answer.refused(502, "upstream_error");
    let seconds: u64 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(answer.json()["id"], 1, "the refusal has its call's id");
    assert!(answer.body.contains("left alone"), "{}", answer.body);
}

#[tokio::test]
async fn a_server_that_is_gone_is_left_alone_found_again_and_no_trouble_to_another() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    // Nobody listens there, until somebody does.
    let address = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    acme.server("gone", &format!("http://{address}/mcp")).await;
    acme.server("well", &upstream.url("/echo")).await;
    assert_eq!(health(&acme, "gone").await, json!({"state": "unknown", "checkedAt": null, "detail": null}));
    let (ana, ben) = (app.key(&acme.solo().await.token), app.key(&acme.solo().await.token));
    for _ in 0..THRESHOLD {
        let answer = ping(&ana, "gone").await;
        answer.refused(502, "upstream_error");
        assert!(!answer.headers.contains_key("retry-after"));
    }
    for caller in [&ana, &ben] {
        left_alone(&ping(caller, "gone").await);
        ping(caller, "well").await.expect(200);
    }
    let down = health(&acme, "gone").await;
    assert_eq!((&down["state"], &down["detail"]), (&json!("down"), &json!("no connection can be made")));
    assert!(down["checkedAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{down}");
    assert_eq!(health(&acme, "well").await["state"], "up");
    let back = tokio::net::TcpListener::bind(address).await.expect("the port is free still");
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut socket, _)) = back.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
        }
    });
    let began = Instant::now();
    while ping(&ben, "gone").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "it is not found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(health(&acme, "gone").await["state"], "up");
    ping(&ana, "gone").await.expect(200);
}

#[tokio::test]
async fn a_caller_whose_calls_fail_is_held_back_alone() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("ill", &upstream.url("/status/503")).await;
    let key = app.key(&acme.client().await.token);
    let as_user = |user: &'static str| {
        let key = key.clone();
        async move { key.mcp("ill", &format!("?user_id={user}"), "ping", json!({})).await }
    };
    for _ in 0..THRESHOLD {
        // The server's own answer, as it is.
        assert_eq!(as_user("bad").await.status, 503);
    }
    left_alone(&as_user("bad").await);
    assert_eq!(upstream.seen().len(), THRESHOLD);
    // Another tenant of the same key is no part of it.
    assert_eq!(as_user("good").await.status, 503);
    assert_eq!(upstream.seen().len(), THRESHOLD + 1);
    assert_eq!(health(&acme, "ill").await["state"], "failing");
}

#[tokio::test]
async fn a_caller_that_the_server_hangs_up_on_is_held_back_alone() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    acme.server("rude", &format!("http://{}/mcp", listener.local_addr().expect("an address"))).await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 4096]).await;
        }
    });
    let (ana, ben) = (app.key(&acme.solo().await.token), app.key(&acme.solo().await.token));
    for _ in 0..THRESHOLD {
        let answer = ping(&ana, "rude").await;
        answer.refused(502, "upstream_error");
        assert!(!answer.headers.contains_key("retry-after"));
    }
    left_alone(&ping(&ana, "rude").await);
    let other = ping(&ben, "rude").await;
    other.refused(502, "upstream_error");
    assert!(!other.headers.contains_key("retry-after"), "another key is no part of it");
}

#[tokio::test]
async fn refusals_by_the_server_and_callers_who_leave_never_hold_anybody_back() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let caller = app.key(&acme.solo().await.token);
    for status in [400, 401, 403, 404, 429] {
        let slug = format!("s{status}");
        acme.server(&slug, &upstream.url(&format!("/status/{status}"))).await;
        let before = upstream.seen().len();
        for _ in 0..2 * THRESHOLD {
            ping(&caller, &slug).await;
        }
        assert_eq!(upstream.seen().len(), before + 2 * THRESHOLD, "{status}");
    }
    let before = upstream.seen().len();
    acme.server("slow", &upstream.url("/gate")).await;
    for call in 1..=2 * THRESHOLD {
        let left = caller.clone();
        let call_under_way = tokio::spawn(async move { ping(&left, "slow").await });
        upstream.began(before + call).await;
        call_under_way.abort();
        upstream.ended(before + call).await;
    }
    upstream.open_gate();
    ping(&caller, "slow").await.expect(200);
}

#[tokio::test]
async fn a_server_that_moves_is_not_judged_by_where_it_was() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", "http://127.0.0.1:9/mcp").await;
    let caller = app.key(&acme.solo().await.token);
    for _ in 0..=THRESHOLD {
        ping(&caller, "up").await.refused(502, "upstream_error");
    }
    let change = json!({"url": upstream.url("/echo")});
    acme.owner().with_body(reqwest::Method::PATCH, "/api/v1/mcp-servers/up", &change).await.expect(200);
    ping(&caller, "up").await.expect(200);
}
