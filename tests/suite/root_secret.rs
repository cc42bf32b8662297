//! Replacing the root secret: nobody has to notice who comes by while both are given.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use support::{Actor, App, AppOptions, Browser, OAuthServer, OAuthSettings, PASSWORD, Store, Upstream, Workbench};

use super::runs::{dispatched, over, step, workflow};

const OLD: &str = "the old root secret of the tests, long enough";
const NEW: &str = "the new root secret of the tests, long enough";
const NEWEST: &str = "the newest root secret of the tests, long enough";

/// The same installation under other root secrets, one process after the other.
struct Installation {
    store: Store,
    first: App,
    running: Option<App>,
    more: Vec<(&'static str, String)>,
}

impl Installation {
    async fn new(store: Store) -> Self {
        Self::with(store, vec![]).await
    }

    async fn with(store: Store, more: Vec<(&'static str, String)>) -> Self {
        let mut settings = vec![("signup", "open".to_owned()), ("root-secret", OLD.to_owned())];
        settings.extend(more.clone());
        Self { store, first: App::with(AppOptions { store, settings }).await, running: None, more }
    }

    async fn stop(&mut self) {
        self.first.stop().await;
        if let Some(mut running) = self.running.take() {
            running.stop().await;
        }
    }

    async fn try_again(&mut self, root: &str, previous: Option<&str>) -> Result<&App, String> {
        self.stop().await;
        let mut settings = vec![("signup", "open".to_owned()), ("root-secret", root.to_owned())];
        settings.extend(previous.map(|previous| ("previous-root-secret", previous.to_owned())));
        settings.extend(self.more.clone());
        match self.store {
            Store::Sqlite => settings.push(("data-dir", self.first.data.path().display().to_string())),
            Store::Postgres => settings.push(("database-url", self.first.database_url.clone().expect("its url"))),
        }
        let app = support::app::try_start(AppOptions { store: Store::Sqlite, settings }).await?;
        Ok(self.running.insert(app))
    }

    async fn again(&mut self, root: &str, previous: Option<&str>) -> &App {
        self.try_again(root, previous).await.unwrap_or_else(|fault| panic!("{fault}"))
    }
}

#[tokio::test]
async fn who_comes_by_while_both_are_given_notices_nothing() {
    Box::pin(replaced(Store::Sqlite)).await;
}

#[tokio::test]
async fn who_comes_by_while_both_are_given_notices_nothing_on_postgres() {
    Box::pin(replaced(Store::Postgres)).await;
}

/// Connects the caller to the server `there`, by consent.
async fn consent(caller: &Actor) {
    let made = caller.post("/api/v1/connections/there/link", &json!({})).await.expect(201);
    let mut browser = Browser::default();
    let page = browser.open(made["url"].as_str().expect("a url")).await;
    let sent = browser.submit(&page, "", &["proof"], &[]).await;
    let done = browser.open(sent.refresh().unwrap_or_else(|| panic!("{}", sent.body)).as_str()).await;
    assert!(done.says("is connected"), "{}", done.body);
}

async fn replaced(store: Store) {
    let (mut installation, upstream) = (Installation::new(store).await, Upstream::start());
    let app = &installation.first;
    let acme = app.organization("acme").await;
    let auth = json!({"kind": "bearer", "secret": "s3cret"});
    acme.server_with(json!({"name": "up", "slug": "up", "url": upstream.url("/session"), "auth": auth})).await;
    let auth = json!({"kind": "basic", "scope": "tenant"});
    acme.server_with(json!({"name": "own", "slug": "own", "url": upstream.url("/echo"), "auth": auth})).await;
    let connection = json!({"kind": "basic", "username": "u", "secret": "p"});
    acme.owner().with_body(Method::PUT, "/api/v1/connections/own", &connection).await.expect(200);
    let there = OAuthServer::start(OAuthSettings::default());
    let auth = json!({"kind": "oauth2"});
    acme.server_with(json!({"name": "there", "slug": "there", "url": there.url, "auth": auth})).await;
    consent(&acme.owner()).await;
    let (used, unused, rotated) = (acme.solo().await, acme.solo().await, acme.solo().await);
    let path = format!("/api/v1/api-keys/{}/rotate", rotated.id);
    let second = acme.owner().post(&path, &json!({"graceSeconds": 1000})).await.expect(200);
    let second = second["token"].as_str().expect("a token").to_owned();
    let session = app.key(&used.token).mcp("up", "", "ping", json!({})).await.headers["mcp-session-id"].clone();
    let session = session.to_str().expect("text").to_owned();
    let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
    let cookie = app.anonymous().post("/api/v1/auth/login", &login).await.headers["set-cookie"].clone();
    let cookie = cookie.to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let bearer = format!("Bearer {}", acme.access_token);
    let invited = acme.invite("ann@example.com", "viewer").await;

    assert!(installation.try_again(NEW, None).await.is_err_and(|fault| fault.contains("root secret")));
    assert!(installation.try_again(NEW, Some(NEWEST)).await.is_err_and(|fault| fault.contains("root secret")));

    let app = installation.again(NEW, Some(OLD)).await;
    // The assertions' key, and the checkpoints' keys under both root secrets.
    let keys = app.anonymous().get("/.well-known/jwks.json").await.expect(200)["keys"].as_array().map(Vec::len);
    assert_eq!(keys, Some(3));
    let body = json!({"token": invited["token"], "password": PASSWORD});
    app.anonymous().post("/api/v1/auth/invitations/accept", &body).await.expect(200);
    for token in [&used.token, &rotated.token, &second] {
        app.key(token).get("/api/v1/me").await.expect(200);
        app.key(token).get("/api/v1/me").await.expect(200);
    }
    let in_session = app.key(&used.token).and("mcp-session-id", &session);
    in_session.mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer s3cret"));
    assert_eq!(upstream.last().header("mcp-session-id"), Some("upstream-session-1"));
    // Whoever has the old root secret could sign an access token; a refresh token nobody can make.
    app.headers(&[("authorization", &bearer)]).get("/api/v1/me").await.refused(401, "unauthenticated");
    let refreshed = app.anonymous().and("cookie", &cookie).post("/api/v1/auth/refresh", &json!({})).await.expect(200);
    let bearer = format!("Bearer {}", refreshed["accessToken"].as_str().expect("a token"));
    let owner = app.headers(&[("authorization", &bearer)]);
    let made = owner.post("/api/v1/api-keys", &json!({"name": "made in between"})).await.expect(201);
    let made = made["token"].as_str().expect("a token").to_owned();
    // A token of the old root secret ends like any other, also right after it was moved.
    let gone = owner.post("/api/v1/api-keys", &json!({"name": "gone"})).await.expect(201);
    owner.delete(&format!("/api/v1/api-keys/{}", gone["apiKey"]["id"].as_str().expect("an id"))).await.expect(200);

    let app = installation.again(NEW, None).await;
    for token in [&used.token, &rotated.token, &second, &made] {
        app.key(token).get("/api/v1/me").await.expect(200);
    }
    app.key(&unused.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    app.headers(&[("authorization", &bearer)]).get("/api/v1/me").await.expect(200);
    app.key(&used.token).mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer s3cret"));
    app.key(&used.token).mcp("own", "", "ping", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Basic dTpw"));
    // The grant, and Keyrack's own client at the authorization server.
    let whoami = json!({"name": "whoami", "arguments": {}});
    app.key(&used.token).mcp("there", "", "tools/call", whoami).await.expect(200);
    consent(&app.key(&used.token)).await;
    assert!(installation.try_again(OLD, None).await.is_err(), "the old one still opens the database");

    // And once more: what was issued two root secrets ago works on, checksum and all.
    let app = installation.again(NEWEST, Some(NEW)).await;
    app.key(&used.token).get("/api/v1/me").await.expect(200);
    let app = installation.again(NEWEST, None).await;
    app.key(&used.token).get("/api/v1/me").await.expect(200);
    app.key(&made).get("/api/v1/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_replacement_can_be_taken_back() {
    let mut installation = Installation::new(Store::Sqlite).await;
    let acme = installation.first.organization("acme").await;
    let (moved, waiting) = (acme.solo().await.token, acme.solo().await.token);
    let app = installation.again(NEW, Some(OLD)).await;
    app.key(&moved).get("/api/v1/me").await.expect(200);
    let app = installation.again(OLD, Some(NEW)).await;
    for token in [&moved, &waiting] {
        app.key(token).get("/api/v1/me").await.expect(200);
    }
    let app = installation.again(OLD, None).await;
    for token in [&moved, &waiting] {
        app.key(token).get("/api/v1/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_token_that_is_moved_while_its_key_is_revoked_is_revoked() {
    for store in [Store::Sqlite, Store::Postgres] {
        let mut installation = Installation::new(store).await;
        let acme = installation.first.organization("acme").await;
        let mut keys = Vec::new();
        for _ in 0..20 {
            keys.push(acme.solo().await);
        }
        let app = installation.again(NEW, Some(OLD)).await;
        let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
        let session = app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
        let bearer = format!("Bearer {}", session["accessToken"].as_str().expect("a token"));
        let owner = app.headers(&[("authorization", &bearer)]);
        for key in keys {
            let calls: Vec<_> = (0..3)
                .map(|_| {
                    let caller = app.key(&key.token);
                    tokio::spawn(async move { caller.get("/api/v1/me").await.status })
                })
                .collect();
            owner.delete(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
            app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
            for call in calls {
                let status = call.await.expect("an answer");
                assert!(matches!(status, 200 | 401), "answered {status}");
            }
            app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
        }
    }
}

/// Between two steps of a run its node stops, and the next one moves the database without doing runs.
#[tokio::test]
async fn a_run_under_way_keeps_what_it_carries_from_step_to_step() {
    for store in [Store::Sqlite, Store::Postgres] {
        let bench = Workbench::start();
        let mut installation = Installation::with(store, vec![("shutdown-timeout", "8".to_owned())]).await;
        let acme = installation.first.organization("acme").await;
        acme.server("bench", &bench.url).await;
        bench.delay(Duration::from_millis(600));
        let steps = json!([
            step("add", "sum", json!({"arguments": {"numbers": [1, 2, 4]}})),
            step("say", "echo", json!({"arguments": {"number": "{{steps.add.result/structuredContent/total}}"}})),
        ]);
        let id = dispatched(&acme.owner(), &workflow(&acme, steps).await).await;
        bench.until_called("sum", 1).await;
        installation.stop().await;
        assert_eq!(bench.called("echo"), 0);
        bench.delay(Duration::ZERO);
        installation.more.push(("runs-at-once", "0".to_owned()));
        installation.again(NEW, Some(OLD)).await;
        installation.more.pop();
        let app = installation.again(NEW, None).await;
        let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
        let session = app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
        let bearer = format!("Bearer {}", session["accessToken"].as_str().expect("a token"));
        let run = over(&app.headers(&[("authorization", &bearer)]), &id).await;
        assert_eq!(run["status"], "pass", "{run:#}");
        assert_eq!(bench.calls().last(), Some(&("echo".to_owned(), json!({"number": 7}))));
    }
}

#[test]
fn the_same_secret_twice_is_no_replacement_and_nobody_is_in_the_middle_of_two() {
    let faults = |set: &[(&str, &str)]| {
        let read = |row: &api::settings::Row| {
            set.iter().find(|(flag, _)| *flag == row.flag).map(|(_, secret)| (*secret).to_owned())
        };
        let faults = api::settings::Settings::read(read).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.variable).collect::<Vec<_>>()
    };
    let with = |other| faults(&[("root-secret", OLD), (other, OLD)]);
    assert_eq!(with("previous-root-secret"), ["KEYRACK_PREVIOUS_ROOT_SECRET"]);
    assert_eq!(with("next-root-secret"), ["KEYRACK_NEXT_ROOT_SECRET"]);
    let three = [("root-secret", NEW), ("previous-root-secret", OLD), ("next-root-secret", NEWEST)];
    assert_eq!(faults(&three), ["KEYRACK_NEXT_ROOT_SECRET"]);
    assert!(faults(&three[..2]).is_empty());
}
