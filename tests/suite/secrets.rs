//! The plaintext of no secret exists anywhere after creation: not in the database file, its WAL, the logs at trace
//! level, or the audit rows, which are in that database.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use support::{App, AppOptions, Browser, MailSink, OAuthServer, OAuthSettings, Upstream, logs};

#[tokio::test]
async fn a_secret_that_somebody_gives_as_a_name_or_an_id_is_redacted_in_the_audit_log() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let vendors = format!("ghp_{}", "0Az9By8Cx7Dw6Ev5Fu4Gt3Hs2Ir1Jq");
    let named = acme.key(json!({"name": format!("was {vendors}"), "type": "client"})).await;
    app.key(&named.token).mcp("up", &format!("?user_id={vendors}"), "ping", json!({})).await.expect(200);
    app.settled().await;
    let list = format!("/api/v1/audit-events?actorId={}", named.id);
    let events = acme.owner().get(&list).await.expect(200);
    let connected = events["items"].as_array().expect("events").iter().find(|event| event["action"] == "mcp.connect");
    let connected = connected.expect("the call is in the log");
    assert_eq!(connected["actor"]["name"], "was [redacted:github]");
    assert_eq!(connected["tenant"]["user"]["id"], "[redacted:github]");
    let all = acme.owner().get("/api/v1/audit-events?limit=200").await.expect(200).to_string();
    assert!(!all.contains(&vendors), "{all}");
}

#[tokio::test]
async fn no_secret_is_in_the_database_its_wal_or_the_logs() {
    let (sink, upstream) = (MailSink::start().await, Upstream::start());
    let settings = vec![
        ("signup", "open".to_owned()),
        ("smtp-url", sink.url.clone()),
        ("smtp-from", "keys@example.com".to_owned()),
    ];
    let mut app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let acme = app.organization("acme").await;
    let upstream_secret = "upstream-credential-5f2c8a";
    let auth = json!({"kind": "bearer", "secret": upstream_secret});
    acme.server_with(json!({"name": "up", "slug": "up", "url": upstream.url("/echo"), "auth": auth})).await;
    let connected_secret = "tenants-credential-7e31d0";
    let auth = json!({"kind": "bearer", "scope": "tenant"});
    acme.server_with(json!({"name": "own", "slug": "own", "url": upstream.url("/echo"), "auth": auth})).await;
    let tenant = app.key(&acme.client().await.token);
    let connection = json!({"kind": "bearer", "secret": connected_secret});
    tenant.with_body(Method::PUT, "/api/v1/connections/own?user_id=marina", &connection).await.expect(200);
    tenant.mcp("own", "?user_id=marina", "ping", json!({})).await.expect(200);
    let sent = format!("Bearer {connected_secret}");
    assert_eq!(upstream.last().header("authorization"), Some(sent.as_str()));
    let mut secrets = vec![upstream_secret.to_owned(), connected_secret.to_owned(), "correct horse battery".to_owned()];
    secrets.extend(acme.access_token.split('.').next_back().map(str::to_owned));
    for key in [acme.solo().await, acme.client().await, acme.platform().await] {
        let caller = app.key(&key.token);
        caller.get("/api/v1/me").await.expect(200);
        caller.mcp("up", "?org_id=acme&user_id=marina", "ping", json!({})).await;
        // Where it does not belong: in a query, a body and a path.
        app.anonymous().get(&format!("/api/v1/me?token={}", key.token)).await.expect(401);
        acme.owner().with_body(Method::POST, "/api/v1/api-keys", &json!({"name": 1, "x": key.token})).await.expect(400);
        let login = json!({"email": "owner@acme.example.com", "password": key.token});
        app.anonymous().post("/api/v1/auth/login", &login).await.expect(401);
        // Where the answer is kept for a repetition.
        let named = acme.owner().and("idempotency-key", &key.id);
        for status in [true, false] {
            let created = named.post("/api/v1/api-keys", &json!({"name": "kept"})).await.expect(201);
            assert_eq!(created["token"].is_string(), status);
            secrets.extend(created["token"].as_str().and_then(|token| token.rsplit('_').next()).map(str::to_owned));
        }
        acme.revoke(&key.id).await;
        caller.get("/api/v1/me").await.expect(401);
        secrets.push(key.token.rsplit('_').next().expect("three parts").to_owned());
    }
    let signed_up = app.sign_up("globex", &json!({})).await;
    let cookie = signed_up.headers["set-cookie"].to_str().expect("text").to_owned();
    secrets.push(cookie.split([';', '=']).nth(1).expect("a value").to_owned());
    for email in ["ann@example.com", "bob@example.com"] {
        let invited = acme.invite(email, "viewer").await;
        assert_eq!(invited["mailed"], true);
        let token = invited["token"].as_str().expect("a token").to_owned();
        if email == "ann@example.com" {
            acme.accept(&token).await.expect(200);
        }
        secrets.push(token.trim_start_matches("kri_").to_owned());
    }
    // Written, but not yet moved out of the write-ahead log: both files must be clean.
    scan(&app, &secrets);
    app.stop().await;
    scan(&app, &secrets);
    let log = logs::so_far();
    assert!(log.len() > 10_000, "the log at trace level is where to look");
    for secret in &secrets {
        assert!(!contains(&log, secret.as_bytes()), "the log has {secret}");
    }
}

#[tokio::test]
async fn nothing_that_an_authorization_server_hands_out_is_in_the_database_its_wal_or_the_logs() {
    // Over when it comes, so that it is renewed as well.
    let settings = OAuthSettings { access_lasts: Duration::ZERO, ..OAuthSettings::default() };
    let (mut app, upstream) = (App::spawn().await, OAuthServer::start(settings));
    let acme = app.organization("acme").await;
    let auth = json!({"kind": "oauth2"});
    acme.server_with(json!({"name": "Notes", "slug": "notes", "url": upstream.url, "auth": auth})).await;
    let key = app.key(&acme.client().await.token);
    let made = key.post("/api/v1/connections/notes/link?user_id=marina", &json!({})).await.expect(201);
    let address = made["url"].as_str().expect("a url");
    let mut browser = Browser::default();
    let page = browser.open(address).await;
    let sent = browser.submit(&page, "", &["proof"], &[]).await;
    let done = browser.open(sent.refresh().expect("on to the authorization server").as_str()).await;
    assert!(done.says("is connected"), "{}", done.body);
    upstream.set(|settings| settings.access_lasts = Duration::from_hours(1));
    let call = json!({"name": "whoami", "arguments": {}});
    for path in ["notes", "notes"] {
        key.mcp(path, "?user_id=marina", "tools/call", call.clone()).await.expect(200);
    }
    let counts = upstream.counts();
    assert_eq!((counts.registrations, counts.exchanges, counts.refreshes), (1, 1, 1));
    let mut secrets = upstream.secrets();
    // A client's secret, a code, its verifier, and two tokens of each kind.
    assert_eq!(secrets.len(), 7, "{secrets:?}");
    // The link itself, which whoever has it could use while it lasts.
    secrets.extend(address.rsplit('/').next().map(str::to_owned));
    app.settled().await;
    scan(&app, &secrets);
    app.stop().await;
    scan(&app, &secrets);
    let log = logs::so_far();
    for secret in &secrets {
        assert!(!contains(&log, secret.as_bytes()), "the log has {secret}");
    }
}

fn scan(app: &App, secrets: &[String]) {
    let mut bytes = 0;
    for (path, content) in app.files() {
        if path.ends_with("root.secret") {
            continue;
        }
        bytes += content.len();
        for secret in secrets {
            assert!(!contains(&content, secret.as_bytes()), "{} has {secret}", path.display());
        }
        // Audit rows are rows of this database; that there are some shows that the scan can fail.
        if path.ends_with("keyrack.db") && content.len() > 4096 {
            let marked = [b"key.create".as_slice(), b"mcp.connect"];
            let wal = std::fs::read(app.data.path().join("keyrack.db-wal")).unwrap_or_default();
            assert!(marked.iter().all(|mark| contains(&content, mark) || contains(&wal, mark)), "no audit rows");
        }
    }
    assert!(bytes > 50_000, "{bytes} bytes are no database");
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
