//! Session ids of legacy protocol versions: bound to key, tenant and server.

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
