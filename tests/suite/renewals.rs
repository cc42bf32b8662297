//! Access tokens are renewed before they end, once for all who wait, and never without need.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Browser, Mood, OAuthServer, OAuthSettings, Organization, Store};

on_both! {
    a_storm_of_calls_makes_one_refresh
    a_grant_that_was_taken_back_needs_a_new_connection
}

async fn call(key: &Actor) -> Answer {
    key.mcp("notes", "?user_id=marina", "tools/call", json!({"name": "whoami", "arguments": {}})).await
}

async fn status(key: &Actor) -> Value {
    key.get("/api/v1/connections/notes?user_id=marina").await.expect(200)["status"].clone()
}

/// A client key whose tenant is connected, by consent.
async fn connected(app: &App, upstream: &OAuthServer) -> (Organization, Actor) {
    let acme = app.organization("acme").await;
    let auth = json!({"kind": "oauth2"});
    acme.server_with(json!({"name": "Notes", "slug": "notes", "url": upstream.url, "auth": auth})).await;
    let key = app.key(&acme.client().await.token);
    connect(&key).await;
    (acme, key)
}

async fn connect(key: &Actor) {
    let made = key.post("/api/v1/connections/notes/link?user_id=marina", &json!({})).await.expect(201);
    let mut browser = Browser::default();
    let page = browser.open(made["url"].as_str().expect("a url")).await;
    let sent = browser.submit(&page, "", &["proof"], &[]).await;
    let done = browser.open(sent.refresh().expect("on to the authorization server").as_str()).await;
    assert!(done.says("is connected"), "{}", done.body);
}

fn lasting(seconds: u64) -> OAuthServer {
    OAuthServer::start(OAuthSettings { access_lasts: Duration::from_secs(seconds), ..OAuthSettings::default() })
}

/// Waits until this holds; fails after ten seconds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

async fn a_storm_of_calls_makes_one_refresh(store: Store) {
    let app = App::on(store).await;
    // Over when it comes: every call needs another.
    let upstream = lasting(0);
    let (_acme, key) = connected(&app, &upstream).await;
    upstream.set(|settings| settings.access_lasts = Duration::from_hours(1));
    let answers = join_all((0..100).map(|_| call(&key))).await;
    for answer in &answers {
        assert_eq!(answer.expect(200)["result"]["structuredContent"]["subject"], "ann");
    }
    let counts = upstream.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
    call(&key).await.expect(200);
    assert_eq!(upstream.counts().refreshes, 1);
    assert_eq!(status(&key).await, "connected");
}

#[tokio::test]
async fn a_storm_of_calls_on_two_nodes_makes_one_refresh() {
    let app = App::on(Store::Postgres).await;
    let other = app.beside("other").await;
    let upstream = lasting(0);
    let (_acme, key) = connected(&app, &upstream).await;
    let elsewhere = key.at(&other);
    upstream.set(|settings| settings.access_lasts = Duration::from_hours(1));
    let answers = join_all((0..40).map(|number| call(if number % 2 == 0 { &key } else { &elsewhere }))).await;
    for answer in &answers {
        assert_eq!(answer.expect(200)["result"]["structuredContent"]["subject"], "ann");
    }
    let counts = upstream.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0), "a refresh token that is used twice ends the grant");
    for key in [&key, &elsewhere] {
        call(key).await.expect(200);
    }
    assert_eq!(upstream.counts().refreshes, 1);
}

async fn a_grant_that_was_taken_back_needs_a_new_connection(store: Store) {
    let app = App::on(store).await;
    let upstream = lasting(0);
    let (acme, key) = connected(&app, &upstream).await;
    upstream.take_back("ann");
    call(&key).await.refused(403, "connection_required");
    assert_eq!(status(&key).await, "needs_reconnect");
    call(&key).await.refused(403, "connection_required");
    app.settled().await;
    let events = acme.owner().get("/api/v1/audit-events?action=connection.refuse").await.expect(200);
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1));
    upstream.set(|settings| settings.access_lasts = Duration::from_hours(1));
    connect(&key).await;
    assert_eq!(status(&key).await, "connected");
    call(&key).await.expect(200);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_while_calls_go_on() {
    let app = App::spawn().await;
    // Due after 4 seconds, sent until 4.5.
    let upstream = lasting(5);
    let (_acme, key) = connected(&app, &upstream).await;
    call(&key).await.expect(200);
    assert_eq!(upstream.counts().refreshes, 0, "it is good for a while");
    upstream.set(|settings| settings.access_lasts = Duration::from_hours(1));
    eventually("a refresh", async || {
        call(&key).await.expect(200);
        upstream.counts().refreshes == 1
    })
    .await;
    // The first token ends meanwhile.
    upstream.expire_oldest();
    eventually("the new token is used", async || call(&key).await.status == 200).await;
    assert_eq!(upstream.counts().refreshes, 1);
}

#[tokio::test]
async fn an_authorization_server_that_is_down_takes_nothing_from_anybody() {
    let app = App::spawn().await;
    let upstream = lasting(0);
    let (_acme, key) = connected(&app, &upstream).await;
    upstream.feel(Mood::Down);
    call(&key).await.refused(502, "upstream_error");
    assert_eq!(status(&key).await, "connected");
}

#[tokio::test]
async fn a_token_that_is_good_yet_is_used_while_nobody_renews_it() {
    let app = App::spawn().await;
    // Due after 4 seconds, sent until 4.5.
    let upstream = lasting(5);
    let (_acme, key) = connected(&app, &upstream).await;
    upstream.feel(Mood::Silent);
    let before = upstream.counts().asked;
    // No call waits for the authorization server, which has ten seconds to say something.
    let quick = async || {
        let asked = Instant::now();
        call(&key).await.expect(200);
        assert!(asked.elapsed() < Duration::from_secs(2), "it waited");
    };
    eventually("a refresh begins", async || {
        quick().await;
        upstream.counts().asked > before
    })
    .await;
    for _ in 0..5 {
        quick().await;
    }
    assert_eq!((upstream.counts().asked, upstream.counts().refreshes), (before + 1, 0));
    upstream.set(|settings| settings.access_lasts = Duration::from_hours(1));
    upstream.feel(Mood::Well);
    eventually("it is renewed", async || call(&key).await.status == 200 && upstream.counts().refreshes == 1).await;
}

#[tokio::test]
async fn a_refresh_token_that_is_not_replaced_is_used_again() {
    let app = App::spawn().await;
    let upstream = OAuthServer::start(OAuthSettings {
        access_lasts: Duration::ZERO,
        rotates: false,
        confidential: false,
        ..OAuthSettings::default()
    });
    let (_acme, key) = connected(&app, &upstream).await;
    upstream.set(|settings| settings.access_lasts = Duration::from_secs(1));
    call(&key).await.expect(200);
    eventually("a second refresh", async || {
        call(&key).await.expect(200);
        upstream.counts().refreshes >= 2
    })
    .await;
    assert_eq!(upstream.counts().reuses, 0);
}

#[tokio::test]
async fn a_token_that_the_server_takes_no_more_is_renewed_or_its_connection_found_to_be_over() {
    let app = App::spawn().await;
    let upstream = lasting(3600);
    let (_acme, key) = connected(&app, &upstream).await;
    call(&key).await.expect(200);
    upstream.expire_oldest();
    call(&key).await.refused(502, "upstream_error");
    eventually("a new token", async || call(&key).await.status == 200).await;
    assert_eq!((upstream.counts().refreshes, status(&key).await), (1, json!("connected")));
    // A server that takes no token at all is not a reason to ask for one at every call.
    upstream.expire_oldest();
    for _ in 0..20 {
        call(&key).await.refused(502, "upstream_error");
    }
    assert_eq!(upstream.counts().refreshes, 1);
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_needs_a_new_connection_when_the_server_takes_it_no_more() {
    let app = App::spawn().await;
    let upstream = OAuthServer::start(OAuthSettings { refreshes: false, ..OAuthSettings::default() });
    let (_acme, key) = connected(&app, &upstream).await;
    call(&key).await.expect(200);
    upstream.expire_oldest();
    call(&key).await.refused(502, "upstream_error");
    eventually("it is found to be over", async || status(&key).await == "needs_reconnect").await;
    call(&key).await.refused(403, "connection_required");
}
