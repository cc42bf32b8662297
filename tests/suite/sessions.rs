//! Session ids of legacy protocol versions: bound to key, tenant and server.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use support::{App, AppOptions, Upstream};

async fn begin(caller: &support::Actor, query: &str) -> String {
    let answer = caller.mcp("up", query, "initialize", json!({})).await;
    answer.expect(200);
    answer.headers["mcp-session-id"].to_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_session_works_for_its_own_caller_alone() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/session")).await;
    acme.server("other", &upstream.url("/session")).await;
    let token = acme.client().await.token;
    let session = begin(&app.key(&token), "?user_id=marina").await;
    assert!(session.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
    assert!(!session.contains("upstream-session"), "the upstream's own id was handed out");
    let with = |token: &str| app.key(token).and("mcp-session-id", &session);
    with(&token).mcp("up", "?user_id=marina", "ping", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("mcp-session-id"), Some("upstream-session-1"));
    let before = upstream.seen().len();
    with(&token).mcp("up", "?user_id=otto", "ping", json!({})).await.refused(404, "session_not_found");
    with(&token).mcp("other", "?user_id=marina", "ping", json!({})).await.refused(404, "session_not_found");
    with(&acme.client().await.token)
        .mcp("up", "?user_id=marina", "ping", json!({}))
        .await
        .refused(404, "session_not_found");
    for forged in ["upstream-session-1", "", "AAAA", &format!("{session}A"), &session[..session.len() - 2]] {
        let caller = app.key(&token).and("mcp-session-id", forged);
        caller.mcp("up", "?user_id=marina", "ping", json!({})).await.refused(404, "session_not_found");
    }
    assert_eq!(upstream.seen().len(), before, "a foreign session went upstream");
}

#[tokio::test]
async fn a_platform_keys_session_is_one_tenants_alone() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/session")).await;
    let caller = app.key(&acme.platform().await.token);
    let session = begin(&caller, "?org_id=globex&user_id=marina").await;
    let own = caller.and("mcp-session-id", &session);
    for query in ["?org_id=initech&user_id=marina", "?org_id=globex&user_id=otto", "?org_id=marina&user_id=globex"] {
        own.mcp("up", query, "ping", json!({})).await.refused(404, "session_not_found");
    }
    own.mcp("up", "?org_id=globex&user_id=marina", "ping", json!({})).await.expect(200);
}

#[tokio::test]
async fn a_session_survives_a_restart() {
    let (mut app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/session")).await;
    let token = acme.solo().await.token;
    let session = begin(&app.key(&token), "").await;
    let settings = vec![("data-dir", app.data.path().display().to_string())];
    app.stop().await;
    let again = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    again.key(&token).and("mcp-session-id", &session).mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("mcp-session-id"), Some("upstream-session-1"));
}

#[tokio::test]
async fn no_byte_of_a_session_id_can_be_changed() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/legacy")).await;
    let caller = app.key(&acme.solo().await.token);
    let session = begin(&caller, "").await;
    let before = upstream.seen().len();
    for position in 0..session.len() {
        let mut altered = session.clone().into_bytes();
        // The last character of base64 has bits that mean nothing; what is not canonical is refused as well.
        altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).expect("text");
        caller
            .clone()
            .and("mcp-session-id", &altered)
            .mcp("up", "", "ping", json!({}))
            .await
            .refused(404, "session_not_found");
    }
    assert_eq!(upstream.seen().len(), before, "an altered session went upstream");
    caller.and("mcp-session-id", &session).mcp("up", "", "ping", json!({})).await.expect(200);
}

#[tokio::test]
async fn every_method_opens_the_session_and_a_foreign_one_is_404_to_each() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/legacy")).await;
    let caller = app.key(&acme.solo().await.token);
    let session = begin(&caller, "").await;
    let before = upstream.seen().len();
    let stranger = app.key(&acme.solo().await.token).and("mcp-session-id", &session);
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let request = stranger.request(method.clone(), "/mcp-connect/up/mcp").json(&json!({"id": 1, "method": "ping"}));
        let answer = stranger.send(method.to_string(), request).await;
        answer.refused(404, "session_not_found");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert_eq!(upstream.seen().len(), before, "a foreign session went upstream");
    let own = caller.and("mcp-session-id", &session);
    let stream = own.request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("a stream");
    assert_eq!((stream.status().as_u16(), upstream.last().header("mcp-session-id")), (200, Some("upstream-session-1")));
}

#[tokio::test]
async fn a_session_that_was_deleted_is_404_although_the_server_forgot_to_forget() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/legacy")).await;
    let caller = app.key(&acme.solo().await.token);
    let (session, other) = (begin(&caller, "").await, begin(&caller, "").await);
    let with = |session: &str| caller.clone().and("mcp-session-id", session);
    with(&session).delete("/mcp-connect/up/mcp").await.expect(204);
    assert_eq!(upstream.last().header("mcp-session-id"), Some("upstream-session-1"));
    let before = upstream.seen().len();
    with(&session).mcp("up", "", "ping", json!({})).await.refused(404, "session_not_found");
    with(&session).delete("/mcp-connect/up/mcp").await.refused(404, "session_not_found");
    assert_eq!(upstream.seen().len(), before);
    with(&other).mcp("up", "", "ping", json!({})).await.expect(200);
}

#[tokio::test]
async fn a_delete_that_the_server_refuses_ends_nothing() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/legacy?keep")).await;
    let caller = app.key(&acme.solo().await.token);
    let own = caller.clone().and("mcp-session-id", &begin(&caller, "").await);
    own.delete("/mcp-connect/up/mcp").await.expect_status(405);
    own.mcp("up", "", "ping", json!({})).await.expect(200);
}

#[tokio::test]
async fn a_server_that_repeats_its_session_gets_the_same_id_repeated() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/legacy")).await;
    let caller = app.key(&acme.solo().await.token);
    let session = begin(&caller, "").await;
    let answer = caller.and("mcp-session-id", &session).mcp("up", "", "ping", json!({})).await;
    answer.expect(200);
    assert_eq!(answer.headers["mcp-session-id"], session.as_str());
    assert_eq!(app.services().sessions_in_use.len(), 1, "a call makes no session");
}

/// Keeps asking until the answer is that there is no such session; fails after a hundred times.
async fn until_over(mut ask: impl AsyncFnMut(usize) -> support::Answer) -> usize {
    for turn in 0..100 {
        let answer = ask(turn).await;
        if answer.status == 404 {
            answer.refused(404, "session_not_found");
            return turn;
        }
        answer.expect(200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the session never ended");
}

async fn short(setting: &'static str) -> (App, Upstream, support::Actor) {
    let settings = vec![("signup", "open".to_owned()), (setting, "1".to_owned())];
    let (app, upstream) = (App::with(AppOptions { settings, ..AppOptions::default() }).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/legacy")).await;
    let caller = app.key(&acme.solo().await.token);
    (app, upstream, caller)
}

#[tokio::test]
async fn a_session_that_is_unused_for_too_long_is_over_and_one_with_a_stream_is_not() {
    let (_app, _upstream, caller) = short("session-idle-timeout").await;
    let with = |session: &str| caller.clone().and("mcp-session-id", session);
    let streaming = begin(&caller, "").await;
    let stream = with(&streaming).request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("a stream");
    // To ask is to use: each of these is asked once.
    let mut unused = Vec::new();
    for _ in 0..100 {
        unused.push(begin(&caller, "").await);
    }
    let turn = until_over(async |turn| with(&unused[turn]).mcp("up", "", "ping", json!({})).await).await;
    with(&unused[turn]).mcp("up", "", "ping", json!({})).await.refused(404, "session_not_found");
    with(&streaming).mcp("up", "", "ping", json!({})).await.expect(200);
    drop(stream);
}

#[tokio::test]
async fn a_session_past_its_lifetime_is_over_although_it_is_used() {
    let (_app, _upstream, caller) = short("session-lifetime").await;
    let session = begin(&caller, "").await;
    let own = caller.clone().and("mcp-session-id", &session);
    until_over(async |_| own.mcp("up", "", "ping", json!({})).await).await;
    begin(&caller, "").await;
}
