//! A server's own times, where they differ from the installation's.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use support::{App, Upstream};

#[tokio::test]
async fn a_server_may_be_given_less_time_to_answer_than_others() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let body = |slug: &str, idle: serde_json::Value| {
        let url = upstream.url("/gate");
        json!({"name": slug, "slug": slug, "url": url, "timeouts": {"idleMs": idle}})
    };
    acme.server_with(body("hasty", json!(1000))).await;
    acme.server_with(body("patient", json!(null))).await;
    let caller = app.key(&acme.solo().await.token);
    let patient = caller.clone();
    let waits = tokio::spawn(async move { patient.mcp("patient", "", "ping", json!({})).await });
    let began = Instant::now();
    let (hasty, long) = (caller.mcp("hasty", "", "ping", json!({})), Duration::from_secs(10));
    let answer = tokio::time::timeout(long, hasty).await.expect("its own time is over");
    answer.refused(504, "upstream_timeout");
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(!waits.is_finished(), "the other server has the installation's time");
    upstream.open_gate();
    waits.await.expect("no panic").expect(200);
}

#[tokio::test]
async fn a_stream_that_goes_on_has_no_end_however_short_the_silence_may_be() {
    use futures_util::StreamExt;
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server_with(json!({"name": "s", "slug": "s", "url": upstream.url("/sse"), "timeouts": {"idleMs": 1000}}))
        .await;
    let caller = app.key(&acme.solo().await.token);
    let stream = caller.request(Method::GET, "/mcp-connect/s/mcp").send().await.expect("an answer");
    let (began, mut chunks) = (Instant::now(), stream.bytes_stream());
    while began.elapsed() < Duration::from_millis(2500) {
        chunks.next().await.expect("an event").expect("bytes");
    }
}

#[tokio::test]
async fn a_server_may_be_given_less_time_to_connect_than_others() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    // It accepts connections and never answers the greeting of TLS.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/mcp", silent.local_addr().expect("an address"));
    acme.server_with(json!({"name": "s", "slug": "s", "url": url, "timeouts": {"connectMs": 100}})).await;
    let began = Instant::now();
    let answer = app.key(&acme.solo().await.token).mcp("s", "", "ping", json!({})).await;
    answer.refused(504, "upstream_timeout");
    // The installation's time is five seconds.
    assert!((Duration::from_millis(100)..Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stream_that_falls_silent_for_too_long_is_cut_and_does_not_seem_to_end() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    // It says something once and nothing more.
    let url = upstream.url("/legacy");
    acme.server_with(json!({"name": "s", "slug": "s", "url": url, "timeouts": {"idleMs": 1000}})).await;
    let caller = app.key(&acme.solo().await.token);
    let stream = caller.request(Method::GET, "/mcp-connect/s/mcp").send().await.expect("an answer");
    let read = tokio::time::timeout(Duration::from_secs(5), stream.bytes()).await.expect("it is over in time");
    assert!(read.is_err(), "a part passed for the whole");
    upstream.ended(1).await;
}
