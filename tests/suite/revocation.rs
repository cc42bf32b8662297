//! Revocation on one node: when it is answered, the key is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use support::{App, Store, Upstream};

#[tokio::test]
async fn no_request_that_starts_after_the_answer_is_accepted() {
    no_request_after(Store::Sqlite).await;
}

#[tokio::test]
async fn no_request_that_starts_after_the_answer_is_accepted_on_postgres() {
    no_request_after(Store::Postgres).await;
}

/// Many callers hammer a key while it is revoked; each checks, before it asks, whether the revocation was answered.
async fn no_request_after(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    for _ in 0..20 {
        let key = acme.solo().await;
        let answered = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (caller, answered) = (app.key(&key.token), Arc::clone(&answered));
                tokio::spawn(async move {
                    let mut accepted = 0;
                    loop {
                        let after = answered.load(Ordering::SeqCst);
                        let status = caller.get("/api/v1/me").await.status;
                        assert!(!(after && status == 200), "accepted after the revocation was answered");
                        accepted += usize::from(status == 200);
                        if after {
                            return accepted;
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(5)).await;
        acme.revoke(&key.id).await;
        answered.store(true, Ordering::SeqCst);
        for caller in callers {
            caller.await.expect("no late acceptance");
        }
        app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_call_in_flight_gets_401_and_its_upstream_is_cancelled() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/hang")).await;
    let key = acme.solo().await;
    let caller = app.key(&key.token);
    let call = tokio::spawn(async move { caller.mcp("up", "", "x", json!({})).await });
    upstream.began(1).await;
    acme.revoke(&key.id).await;
    let revoked = Instant::now();
    let answer = call.await.expect("an answer");
    answer.refused(401, "unauthenticated");
    assert_eq!(answer.json()["id"], 1);
    assert!(revoked.elapsed() < Duration::from_secs(1));
    upstream.ended(1).await;
}

#[tokio::test]
async fn an_open_stream_is_cut_within_a_second() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/sse")).await;
    let (key, other) = (acme.solo().await, acme.solo().await);
    let open = async |token: &str| {
        let response = app.key(token).request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("a stream");
        let mut chunks = response.bytes_stream();
        chunks.next().await.expect("an event").expect("bytes");
        chunks
    };
    let mut cut = open(&key.token).await;
    let mut kept = open(&other.token).await;
    acme.revoke(&key.id).await;
    let revoked = Instant::now();
    while let Some(Ok(_)) = cut.next().await {}
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    for _ in 0..3 {
        kept.next().await.expect("other keys' streams go on").expect("bytes");
    }
}

#[tokio::test]
async fn a_stream_of_a_key_that_the_cache_forgot_is_cut_all_the_same() {
    let settings = vec![("signup", "open".to_owned()), ("cache-entries", "16".to_owned())];
    let app = App::with(support::AppOptions { settings, ..Default::default() }).await;
    let upstream = Upstream::start();
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/sse")).await;
    let key = acme.solo().await;
    let response = app.key(&key.token).request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("a stream");
    let mut chunks = response.bytes_stream();
    chunks.next().await.expect("an event").expect("bytes");
    for _ in 0..64 {
        app.key(&acme.solo().await.token).get("/api/v1/me").await.expect(200);
    }
    acme.revoke(&key.id).await;
    let revoked = Instant::now();
    while let Some(Ok(_)) = chunks.next().await {}
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
}

/// Actix drops a handler whose client leaves; what it committed must be forgotten by the caches all the same.
#[tokio::test]
async fn a_revocation_whose_client_leaves_ends_the_key_all_the_same() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let mut revoked = 0;
    for round in 0..60_u64 {
        let key = acme.solo().await;
        let caller = app.key(&key.token);
        caller.get("/api/v1/me").await.expect(200);
        let delete = acme.owner().request(Method::DELETE, &format!("/api/v1/api-keys/{}", key.id));
        // The client leaves at another moment of the work each time.
        let _ = tokio::time::timeout(Duration::from_micros(200 + round * 150), delete.send()).await;
        let mut ended = false;
        for _ in 0..40 {
            let shown = acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
            if shown["revokedAt"].is_string() {
                ended = true;
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if ended {
            revoked += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            caller.get("/api/v1/me").await.refused(401, "unauthenticated");
        }
    }
    assert!(revoked > 5, "only {revoked} of the revocations began: the rounds miss the moment");
}
