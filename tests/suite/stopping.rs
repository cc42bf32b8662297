//! A node that stops: answers under way arrive, streams end between two events, and what does not end is cut.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::json;
use support::{Actor, App, AppOptions, Store, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn scene(grace: usize) -> (App, Upstream, Actor) {
    let settings = vec![("signup", "open".to_owned()), ("shutdown-timeout", grace.to_string())];
    let (app, upstream) = (App::with(AppOptions { settings, ..AppOptions::default() }).await, Upstream::start());
    let acme = app.organization("acme").await;
    for (slug, behaviour) in [("slow", "/gate"), ("events", "/sse"), ("never", "/hang")] {
        acme.server(slug, &upstream.url(behaviour)).await;
    }
    let caller = app.key(&acme.solo().await.token);
    (app, upstream, caller)
}

async fn stream(caller: &Actor, method: Method) -> Response {
    let request = caller.request(method, "/mcp-connect/events/mcp");
    let stream = request.json(&json!({"jsonrpc": "2.0", "id": 1, "method": "x"})).send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    stream
}

/// Reads a stream to its end, which must be one, and between two events.
async fn ends_well(stream: Response) {
    let mut chunks = stream.bytes_stream();
    let mut text = Vec::new();
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk.expect("the stream was cut"));
    }
    assert!(text.starts_with(b"id: 0\n") && text.ends_with(b"\n\n"), "{:?}", String::from_utf8_lossy(&text));
}

#[tokio::test]
async fn streams_end_between_events_and_calls_get_their_answers() {
    let (mut app, upstream, caller) = scene(8).await;
    let listening = tokio::spawn(ends_well(stream(&caller, Method::GET).await));
    let waiting = caller.clone();
    let call = tokio::spawn(async move { waiting.mcp("slow", "", "ping", json!({"x": 1})).await });
    upstream.began(2).await;
    let stopping = std::sync::Arc::clone(&app.services().stopping);
    let began = Instant::now();
    let meanwhile = async {
        while !stopping.begun() {
            tokio::task::yield_now().await;
        }
        // Long before the grace period is over.
        listening.await.expect("a good end");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        // Whoever would cut the call has had the time to.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!call.is_finished());
        upstream.open_gate();
        assert_eq!(call.await.expect("no panic").expect(200)["result"]["echo"], json!({"x": 1}));
    };
    tokio::join!(app.stop(), meanwhile);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_event_that_has_begun_is_finished_before_its_stream_ends() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    acme.server("up", &format!("http://{}/mcp", listener.local_addr().expect("an address"))).await;
    let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let _ = socket.read(&mut [0; 4096]).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\ndata: t";
        socket.write_all(head).await.expect("the gateway reads");
        waits.await.expect("the test goes on");
        let _ = socket.write_all(b"wo\n\ndata: three\n\n").await;
        socket
    });
    let stream = app.key(&acme.solo().await.token).request(Method::GET, "/mcp-connect/up/mcp").send().await;
    let mut chunks = stream.expect("an answer").bytes_stream();
    let mut text = Vec::new();
    while !text.ends_with(b"data: t") {
        text.extend_from_slice(&chunks.next().await.expect("an event").expect("bytes"));
    }
    app.services().stopping.begin(Duration::from_mins(1));
    let more = tokio::time::timeout(Duration::from_millis(300), chunks.next()).await;
    assert!(more.is_err(), "the stream ended within an event: {more:?}");
    go_on.send(()).expect("the server waits");
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk.expect("a good end"));
    }
    assert_eq!(String::from_utf8_lossy(&text), "data: one\n\ndata: two\n\n");
    drop(server);
}

#[tokio::test]
async fn a_modern_stream_that_only_listens_ends_at_once_as_well() {
    let (mut app, _upstream, caller) = scene(8).await;
    let listener = caller.and("mcp-protocol-version", "2026-07-28").and("mcp-method", "subscriptions/listen");
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"_meta": meta}});
    let request = listener.request(Method::POST, "/mcp-connect/events/mcp").json(&message);
    let listening = tokio::spawn(ends_well(request.send().await.expect("an answer")));
    let began = Instant::now();
    app.stop().await;
    listening.await.expect("a good end");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_node_that_stops_is_not_ready_and_keeps_no_connection() {
    let (app, _upstream, _) = scene(1).await;
    app.anonymous().get("/ready").await.expect(200);
    app.services().stopping.begin(Duration::from_mins(1));
    let answer = app.anonymous().get("/ready").await;
    answer.refused(503, "unavailable");
    assert_eq!(answer.headers["connection"], "close");
}

/// Whoever balances between nodes has connections to this one, and learns with an answer that each is over.
#[tokio::test]
async fn a_node_among_others_answers_on_new_connections_for_a_moment_after_it_began_to_stop() {
    let settings = vec![("signup", "open".to_owned()), ("shutdown-timeout", "8".to_owned())];
    let mut node = App::with(AppOptions { store: Store::Postgres, settings }).await;
    let ready = format!("{}/ready", node.base);
    let (began, mut last) = (Instant::now(), Duration::ZERO);
    let asking = async {
        loop {
            // A client of its own each time: no connection is kept.
            match reqwest::get(&ready).await {
                Ok(answer) => assert!(answer.status() == 200 || answer.headers()["connection"] == "close"),
                Err(_) => break,
            }
            last = began.elapsed();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(node.stop(), asking);
    assert!(last > Duration::from_millis(500), "{last:?}");
}

#[tokio::test]
async fn a_stream_that_brings_an_answer_is_waited_for_and_then_ended_well() {
    let (mut app, _upstream, caller) = scene(3).await;
    let answering = tokio::spawn(ends_well(stream(&caller, Method::POST).await));
    let began = Instant::now();
    app.stop().await;
    answering.await.expect("a good end");
    // Half of the grace period at least was its.
    assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_does_not_end_is_cut_when_the_grace_period_is_over() {
    let (mut app, upstream, caller) = scene(1).await;
    let request = caller.request(Method::POST, "/mcp-connect/never/mcp").json(&json!({"jsonrpc": "2.0", "id": 1}));
    let call = tokio::spawn(request.send());
    upstream.began(1).await;
    let began = Instant::now();
    app.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(call.await.expect("no panic").is_err());
    upstream.ended(1).await;
}
