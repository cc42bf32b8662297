//! Rotation: a new token under the same id, and the earlier ones until their end and not longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::time::{Clock, SystemClock, Timestamp};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::{App, Organization, Store, Upstream};

async fn rotate(acme: &Organization, id: &str, grace_seconds: u32) -> (String, Value) {
    let path = format!("/api/v1/api-keys/{id}/rotate");
    let answer = acme.owner().post(&path, &json!({"graceSeconds": grace_seconds})).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let rotated = answer.expect(200);
    (rotated["token"].as_str().expect("a token").to_owned(), rotated["apiKey"].clone())
}

fn end_of(view: &Value, number: usize) -> Timestamp {
    Timestamp::parse(view["previousTokens"][number]["endsAt"].as_str().expect("an end")).expect("a time")
}

#[tokio::test]
async fn a_rotated_key_keeps_its_id_and_settings_and_its_old_token_ends_at_once() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.key(json!({"description": "for builds", "rateLimit": {"requests": 5, "perSeconds": 1}})).await;
    app.key(&key.token).get("/api/v1/me").await.expect(200);
    let (token, view) = rotate(&acme, &key.id, 0).await;
    assert_ne!(token, key.token);
    assert_eq!(token.split('_').nth(1), key.token.split('_').nth(1));
    let mut expected = key.view.clone();
    expected["lastUsedAt"] = view["lastUsedAt"].clone();
    assert_eq!(view, expected);
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    app.key(&token).get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn with_grace_no_token_fails_before_its_end_and_the_old_one_never_after_it() {
    under_load(Store::Sqlite).await;
}

#[tokio::test]
async fn with_grace_no_token_fails_before_its_end_and_the_old_one_never_after_it_on_postgres() {
    under_load(Store::Postgres).await;
}

/// Callers with the old token hammer the key all the while; others begin with the new one when it is there. Both compare
/// each answer with the end that the rotation told.
async fn under_load(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let key = acme.solo().await;
    let (stop, end) = (Arc::new(AtomicBool::new(false)), Arc::new(std::sync::OnceLock::<Timestamp>::new()));
    let hammer = |token: &str, old: bool| {
        let (caller, stop, end) = (app.key(token), Arc::clone(&stop), Arc::clone(&end));
        tokio::spawn(async move {
            let (mut accepted, mut refused) = (0, 0);
            // However slow the machine is: an answer that is not refused after the end fails below.
            while !stop.load(Ordering::SeqCst) || (old && refused <= 10) {
                let began = SystemClock.now();
                let status = caller.mcp("up", "", "ping", json!({})).await.status;
                let ended = SystemClock.now();
                let over = end.get().filter(|_| old);
                match status {
                    // The end is told in milliseconds, rounded down.
                    200 => assert!(over.is_none_or(|end| began <= end.after(Duration::from_millis(1))), "too late"),
                    401 => assert!(over.is_some_and(|end| ended >= *end), "refused before its end"),
                    other => panic!("answered {other}"),
                }
                if status == 200 { accepted += 1 } else { refused += 1 }
            }
            (accepted, refused)
        })
    };
    let old: Vec<_> = (0..3).map(|_| hammer(&key.token, true)).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (token, view) = rotate(&acme, &key.id, 2).await;
    end.set(end_of(&view, 0)).expect("once");
    let new: Vec<_> = (0..3).map(|_| hammer(&token, false)).collect();
    while SystemClock.now() < end_of(&view, 0).after(Duration::from_millis(300)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::SeqCst);
    for caller in old {
        let (accepted, refused) = caller.await.expect("no failure");
        assert!(accepted > 10 && refused > 10, "{accepted} accepted, {refused} refused");
    }
    for caller in new {
        let (accepted, refused) = caller.await.expect("no failure");
        assert!(accepted > 10 && refused == 0, "{accepted} accepted, {refused} refused");
    }
}

#[tokio::test]
async fn a_stream_and_a_call_of_the_old_token_end_with_its_grace_and_those_of_the_new_one_go_on() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("sse", &upstream.url("/sse")).await;
    acme.server("hang", &upstream.url("/hang")).await;
    let key = acme.solo().await;
    let open = async |token: &str| {
        let response = app.key(token).request(Method::GET, "/mcp-connect/sse/mcp").send().await.expect("a stream");
        let mut chunks = response.bytes_stream();
        chunks.next().await.expect("an event").expect("bytes");
        chunks
    };
    let mut cut = open(&key.token).await;
    let caller = app.key(&key.token);
    let call = tokio::spawn(async move { caller.mcp("hang", "", "x", json!({})).await });
    upstream.began(2).await;
    let (token, view) = rotate(&acme, &key.id, 1).await;
    let mut kept = open(&token).await;
    while let Some(Ok(_)) = cut.next().await {}
    let late = SystemClock.now().as_micros() - end_of(&view, 0).as_micros();
    assert!((0..1_000_000).contains(&late), "cut {late} µs after its end");
    call.await.expect("an answer").refused(401, "unauthenticated");
    for _ in 0..3 {
        kept.next().await.expect("the new token's stream goes on").expect("bytes");
    }
}

#[tokio::test]
async fn a_stream_of_the_old_token_ends_at_once_without_grace() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/sse")).await;
    let key = acme.solo().await;
    let response = app.key(&key.token).request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("a stream");
    let mut chunks = response.bytes_stream();
    chunks.next().await.expect("an event").expect("bytes");
    rotate(&acme, &key.id, 0).await;
    let rotated = Instant::now();
    while let Some(Ok(_)) = chunks.next().await {}
    assert!(rotated.elapsed() < Duration::from_secs(1), "{:?}", rotated.elapsed());
}

#[tokio::test]
async fn no_earlier_token_outlives_its_key_its_own_end_or_the_newest_grace() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let soon = SystemClock.now().after(Duration::from_mins(10)).to_string();
    let short = acme.key(json!({"expiresAt": soon})).await;
    let (_, view) = rotate(&acme, &short.id, 3600).await;
    assert_eq!(view["previousTokens"][0]["endsAt"], view["expiresAt"], "never later than the key");

    let key = acme.solo().await;
    let (second, view) = rotate(&acme, &key.id, 100).await;
    let first_end = end_of(&view, 0);
    let (third, view) = rotate(&acme, &key.id, 10_000).await;
    assert_eq!(end_of(&view, 1), first_end, "an end that was set is not put off");
    assert!(end_of(&view, 0) > first_end);
    let (fourth, view) = rotate(&acme, &key.id, 50).await;
    assert!((0..3).all(|number| end_of(&view, number) < first_end), "a shorter grace counts for all: {view}");
    for token in [&key.token, &second, &third, &fourth] {
        app.key(token).get("/api/v1/me").await.expect(200);
    }
    let (fifth, _) = rotate(&acme, &key.id, 50).await;
    let path = format!("/api/v1/api-keys/{}/rotate", key.id);
    acme.owner().post(&path, &json!({"graceSeconds": 50})).await.refused(409, "conflict");
    app.key(&fifth).get("/api/v1/me").await.expect(200);
    let (sixth, view) = rotate(&acme, &key.id, 0).await;
    assert_eq!(view["previousTokens"], json!([]));
    for token in [&key.token, &second, &third, &fourth, &fifth] {
        app.key(token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
    app.key(&sixth).get("/api/v1/me").await.expect(200);
    acme.revoke(&key.id).await;
    app.key(&sixth).get("/api/v1/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn revoking_ends_every_token_of_a_key() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.solo().await;
    let (token, _) = rotate(&acme, &key.id, 100).await;
    for token in [&key.token, &token] {
        app.key(token).get("/api/v1/me").await.expect(200);
    }
    acme.revoke(&key.id).await;
    for token in [&key.token, &token] {
        app.key(token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
    let path = format!("/api/v1/api-keys/{}/rotate", key.id);
    acme.owner().post(&path, &json!({})).await.refused(409, "conflict");
}

#[tokio::test]
async fn what_cannot_be_a_grace_is_refused_and_an_expired_key_gets_no_token() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.solo().await;
    let path = format!("/api/v1/api-keys/{}/rotate", key.id);
    for grace in [json!(2_592_001), json!(-1), json!("1h"), json!(1.5)] {
        let body = json!({"graceSeconds": grace});
        acme.owner().post(&path, &body).await.refused(400, "validation_failed").names_field("graceSeconds");
    }
    rotate(&acme, &key.id, 2_592_000).await;
    let patch = |body: Value| {
        let (owner, path) = (acme.owner(), format!("/api/v1/api-keys/{}", key.id));
        async move { owner.with_body(Method::PATCH, &path, &body).await.expect(200) }
    };
    let end = SystemClock.now().after(Duration::from_millis(300));
    patch(json!({"expiresAt": end.to_string()})).await;
    while SystemClock.now() <= end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    acme.owner().post(&path, &json!({})).await.refused(409, "conflict");
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    // Expiry is not for good; revoking is.
    patch(json!({"expiresAt": null})).await;
    app.key(&key.token).get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn it_is_told_who_still_uses_the_old_token() {
    let mut app = App::spawn().await;
    let acme = app.organization("acme").await;
    let (used, unused) = (acme.solo().await, acme.solo().await);
    for key in [&used, &unused] {
        rotate(&acme, &key.id, 1000).await;
    }
    app.key(&used.token).get("/api/v1/me").await.expect(200);
    let data = app.data.path().display().to_string();
    app.stop().await; // what waits to be written is written on the way down
    let settings = vec![("data-dir", data), ("signup", "open".to_owned())];
    let again = App::with(support::AppOptions { settings, ..Default::default() }).await;
    let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
    let session = again.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    let owner =
        again.headers(&[("authorization", &format!("Bearer {}", session["accessToken"].as_str().expect("a token")))]);
    for (key, seen) in [(&used, true), (&unused, false)] {
        let view = owner.get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
        assert_eq!(view["previousTokens"][0]["lastUsedAt"].is_string(), seen, "{view}");
        assert_eq!(view["lastUsedAt"].is_string(), seen, "a use of any token is a use of the key");
    }
}

/// Its token would be more than the admin may do; revoking it gives nobody anything.
#[tokio::test]
async fn an_admin_manages_everybodys_keys_but_gets_no_token_above_their_own_role() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    app.organization("globex").await;
    app.run_sql(
        "INSERT INTO memberships (organization_id, user_id, role, created_at) SELECT o.id, u.id, 'admin', 0 \
         FROM organizations o, users u WHERE o.slug = 'acme' AND u.email = 'owner@globex.example.com'",
    )
    .await;
    let login =
        json!({"email": "owner@globex.example.com", "password": "correct horse battery", "organization": "acme"});
    let session = app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    let admin =
        app.headers(&[("authorization", &format!("Bearer {}", session["accessToken"].as_str().expect("a token")))]);
    let (above, equal) = (acme.solo().await, acme.key(json!({"role": "admin"})).await);
    let path = |key: &support::actor::Key, rest: &str| format!("/api/v1/api-keys/{}{rest}", key.id);
    admin.post(&path(&above, "/rotate"), &json!({})).await.refused(403, "forbidden_role");
    app.key(&above.token).get("/api/v1/me").await.expect(200);
    admin.post(&path(&equal, "/rotate"), &json!({})).await.expect(200);
    app.key(&equal.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    admin.with_body(Method::PATCH, &path(&above, ""), &json!({"name": "watched"})).await.expect(200);
    admin.delete(&path(&above, "")).await.expect(200);
    app.key(&above.token).get("/api/v1/me").await.refused(401, "unauthenticated");
}
