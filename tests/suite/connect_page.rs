//! The connect page: what it takes, from whom, how often, and what it says.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, AppOptions, BearerServer, Browser, OAuthServer, OAuthSettings, Organization, Page, Store};

on_both! {
    a_credential_that_is_typed_on_the_page_is_the_tenants_own
    a_link_works_once
    consent_at_the_authorization_server_connects_the_tenant
    of_many_who_send_the_same_form_one_connects
}

async fn server(acme: &Organization, slug: &str, url: &str, auth: Value) {
    acme.server_with(json!({"name": format!("The {slug}"), "slug": slug, "url": url, "auth": auth})).await;
}

/// A link of this key for a tenant user.
async fn link(key: &Actor, slug: &str, query: &str) -> String {
    let made = key.post(&format!("/api/v1/connections/{slug}/link{query}"), &json!({})).await.expect(201);
    assert!(made["expiresAt"].is_string());
    made["url"].as_str().expect("a url").to_owned()
}

async fn whoami(key: &Actor, slug: &str, query: &str) -> Value {
    let answer = key.mcp(slug, query, "tools/call", json!({"name": "whoami", "arguments": {}})).await;
    answer.expect(200)["result"]["structuredContent"].clone()
}

fn secret(secret: &str) -> [(&str, &str); 1] {
    [("secret", secret)]
}

async fn give(browser: &mut Browser, link: &str, typed: &[(&str, &str)]) -> Page {
    let page = browser.open(link).await;
    assert_eq!(page.status, 200, "{}", page.body);
    browser.submit(&page, "", &["proof"], typed).await
}

#[track_caller]
fn is_dead(page: &Page) {
    assert_eq!((page.status, page.says("This link does not work")), (404, true), "{}", page.body);
}

async fn a_credential_that_is_typed_on_the_page_is_the_tenants_own(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let upstream = BearerServer::start();
    server(&acme, "notes", &upstream.url, json!({"kind": "bearer", "scope": "tenant"})).await;
    let key = app.key(&acme.platform().await.token);
    let marina = "?org_id=globex&user_id=marina";
    let address = link(&key, "notes", marina).await;
    assert!(address.starts_with(&format!("{}/connect/", app.base)), "{address}");
    let mut browser = Browser::default();
    let page = browser.open(&address).await;
    for said in ["The notes", "The acme", "(<bdi>acme</bdi>)", "<bdi>marina</bdi> of <bdi>globex</bdi>"] {
        assert!(page.says(said), "{said}: {}", page.body);
    }
    let done = give(&mut browser, &address, &secret("marinas-token")).await;
    assert!(done.status == 200 && done.says("is connected"), "{}", done.body);
    assert!(!done.says("marinas-token"));
    assert_eq!(whoami(&key, "notes", marina).await, json!({"bearer": "marinas-token"}));
    for other in ["?org_id=globex&user_id=otto", "?org_id=initech&user_id=marina"] {
        key.mcp("notes", other, "tools/list", json!({})).await.refused(403, "connection_required");
    }
    let shown = key.get(&format!("/api/v1/connections/notes{marina}")).await.expect(200);
    assert_eq!((shown["status"].as_str(), shown["kind"].as_str()), (Some("connected"), Some("bearer")));
}

async fn a_link_works_once(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let upstream = BearerServer::start();
    server(&acme, "notes", &upstream.url, json!({"kind": "bearer", "scope": "tenant"})).await;
    let key = app.key(&acme.client().await.token);
    let address = link(&key, "notes", "?user_id=marina").await;
    let mut browser = Browser::default();
    // Programs look at links before people do.
    for _ in 0..3 {
        assert_eq!(Browser::default().open(&address).await.status, 200);
    }
    let page = browser.open(&address).await;
    assert_eq!(browser.submit(&page, "", &["proof"], &secret("first")).await.status, 200);
    is_dead(&browser.submit(&page, "", &["proof"], &secret("second")).await);
    is_dead(&browser.open(&address).await);
    assert_eq!(whoami(&key, "notes", "?user_id=marina").await, json!({"bearer": "first"}));
    let again = link(&key, "notes", "?user_id=marina").await;
    assert_eq!(give(&mut browser, &again, &secret("third")).await.status, 200);
    assert_eq!(whoami(&key, "notes", "?user_id=marina").await, json!({"bearer": "third"}));
}

async fn consent_at_the_authorization_server_connects_the_tenant(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let upstream = OAuthServer::start(OAuthSettings { consents: None, ..OAuthSettings::default() });
    server(&acme, "notes", &upstream.url, json!({"kind": "oauth2"})).await;
    let key = app.key(&acme.client().await.token);
    for (tenant, subject) in [("?user_id=marina", "marina-there"), ("?user_id=otto", "otto-there")] {
        let mut browser = Browser::default();
        let page = browser.open(&link(&key, "notes", tenant).await).await;
        let sent = browser.submit(&page, "", &["proof"], &[]).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        let consent = browser.open(sent.refresh().expect("on to the authorization server").as_str()).await;
        assert!(consent.url.as_str().starts_with(&upstream.base) && consent.says("Let "), "{}", consent.body);
        let typed = [("subject", subject), ("decision", "allow")];
        let back = browser.submit(&consent, "/as/consent", &["asked"], &typed).await;
        let done = browser.open(back.headers["location"].to_str().expect("text")).await;
        assert!(done.status == 200 && done.says("is connected"), "{}", done.body);
        assert_eq!(whoami(&key, "notes", tenant).await["subject"], subject);
    }
    assert_eq!(upstream.counts().registrations, 1, "tenants of one server share Keyrack's client there");
    key.mcp("notes", "?user_id=eve", "tools/list", json!({})).await.refused(403, "connection_required");
}

async fn of_many_who_send_the_same_form_one_connects(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let upstream = BearerServer::start();
    server(&acme, "notes", &upstream.url, json!({"kind": "bearer", "scope": "tenant"})).await;
    let key = app.key(&acme.solo().await.token);
    let address = link(&key, "notes", "").await;
    let mut browser = Browser::default();
    let page = browser.open(&address).await;
    let tries = (0..8).map(|number| {
        let (mut browser, page) = (browser.clone(), page.clone());
        async move { browser.submit(&page, "", &["proof"], &secret(&format!("token-{number}"))).await.status }
    });
    let mut statuses = futures_util::future::join_all(tries).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
}

/// A client key of acme and a server that takes bearer tokens.
async fn bearer(app: &App) -> (Organization, support::Key, BearerServer) {
    let acme = app.organization("acme").await;
    let upstream = BearerServer::start();
    server(&acme, "notes", &upstream.url, json!({"kind": "bearer", "scope": "tenant"})).await;
    let key = acme.client().await;
    (acme, key, upstream)
}

#[tokio::test]
async fn a_form_of_another_page_or_another_browser_changes_nothing() {
    let app = App::spawn().await;
    let (_acme, key, _upstream) = bearer(&app).await;
    let key = app.key(&key.token);
    let address = link(&key, "notes", "?user_id=marina").await;
    let (mut own, mut other) = (Browser::default(), Browser::default());
    let page = own.open(&address).await;
    other.open(&address).await;
    let elsewhere = own.open(&link(&key, "notes", "?user_id=otto").await).await;
    // The proof of another browser, none, that of another link; and the right one without the cookie.
    let foreign = other.submit(&page, "", &["proof"], &secret("evil")).await;
    let none = own.submit(&page, "", &[], &secret("evil")).await;
    let wrong = Page { url: page.url.clone(), ..elsewhere };
    let crossed = own.submit(&wrong, "", &["proof"], &secret("evil")).await;
    let mut without = own.clone();
    without.forget();
    let bare = without.submit(&page, "", &["proof"], &secret("evil")).await;
    for refused in [foreign, none, crossed, bare] {
        assert_eq!((refused.status, refused.says("Nothing was changed")), (403, true), "{}", refused.body);
    }
    let evil = Page { url: "http://evil.example/".parse().expect("a URL"), ..page.clone() };
    let posted = own.submit(&evil, page.url.as_str(), &["proof"], &secret("evil")).await;
    assert_eq!(posted.status, 403, "a form that says it is of another origin");
    key.mcp("notes", "?user_id=marina", "tools/list", json!({})).await.refused(403, "connection_required");
    assert_eq!(own.submit(&page, "", &["proof"], &secret("good")).await.status, 200, "the link was not used up");
}

#[tokio::test]
async fn an_answer_counts_only_in_the_browser_that_asked_and_only_once() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = OAuthServer::start(OAuthSettings::default());
    server(&acme, "notes", &upstream.url, json!({"kind": "oauth2"})).await;
    let key = app.key(&acme.client().await.token);
    let (mut own, mut other) = (Browser::default(), Browser::default());
    let page = own.open(&link(&key, "notes", "?user_id=marina").await).await;
    let sent = own.submit(&page, "", &["proof"], &[]).await;
    let there = other.look(sent.refresh().expect("on").as_str()).await;
    let back = there.headers["location"].to_str().expect("text").to_owned();
    // Somebody else's browser, which has a cookie of its own.
    other.open(&link(&key, "notes", "?user_id=otto").await).await;
    for mut wrong in [other, Browser::default()] {
        let refused = wrong.open(&back).await;
        assert_eq!((refused.status, refused.says("did not begin here")), (403, true), "{}", refused.body);
    }
    assert_eq!(upstream.counts().exchanges, 0);
    is_dead(&own.open(&back.replace("state=", "state=x")).await);
    is_dead(&own.open(&format!("{}/connect/callback", app.base)).await);
    is_dead(&own.open(&format!("{back}&state=twice")).await);
    let issuer = back.find("iss=").expect("an issuer");
    is_dead(&own.open(&back[..issuer - 1]).await);
    is_dead(&own.open(&format!("{}iss=https%3A%2F%2Fevil.example", &back[..issuer])).await);
    assert_eq!(own.open(&back).await.status, 200);
    is_dead(&own.open(&back).await);
    assert_eq!(upstream.counts().exchanges, 1);
    assert_eq!(whoami(&key, "notes", "?user_id=marina").await["subject"], "ann");
}

#[tokio::test]
async fn who_does_not_agree_is_not_connected() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = OAuthServer::start(OAuthSettings { consents: None, ..OAuthSettings::default() });
    server(&acme, "notes", &upstream.url, json!({"kind": "oauth2"})).await;
    let key = app.key(&acme.client().await.token);
    let mut browser = Browser::default();
    let page = browser.open(&link(&key, "notes", "?user_id=marina").await).await;
    let sent = browser.submit(&page, "", &["proof"], &[]).await;
    let consent = browser.open(sent.refresh().expect("on").as_str()).await;
    let back = browser.submit(&consent, "/as/consent", &["asked"], &[("subject", "x"), ("decision", "deny")]).await;
    let refused = browser.open(back.headers["location"].to_str().expect("text")).await;
    assert_eq!((refused.status, refused.says("Not connected")), (400, true), "{}", refused.body);
    key.mcp("notes", "?user_id=marina", "tools/list", json!({})).await.refused(403, "connection_required");
}

#[tokio::test]
async fn a_link_whose_maker_tenant_or_server_is_over_is_dead_and_only_the_log_says_why() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = BearerServer::start();
    let (mut pages, mut suspended) = (Vec::new(), String::new());
    for (number, end) in ["key", "tenant", "server", "policy", "kind"].into_iter().enumerate() {
        let slug = format!("notes-{number}");
        server(&acme, &slug, &upstream.url, json!({"kind": "bearer", "scope": "tenant"})).await;
        let made = acme.client().await;
        let address = link(&app.key(&made.token), &slug, "?user_id=marina").await;
        let mut browser = Browser::default();
        let page = browser.open(&address).await;
        assert_eq!(page.status, 200);
        match end {
            "key" => drop(acme.revoke(&made.id).await),
            "tenant" => {
                let users = acme.owner().get("/api/v1/tenants/users").await.expect(200);
                suspended = format!("/api/v1/tenants/users/{}", users["items"][0]["id"].as_str().expect("an id"));
                drop(acme.owner().post(&format!("{suspended}/suspend"), &Value::Null).await.expect(200));
            }
            "server" => {
                let path = format!("/api/v1/mcp-servers/{slug}/archive");
                drop(acme.owner().post(&path, &json!({})).await.expect(200));
            }
            "kind" => {
                let body = json!({"auth": {"kind": "none"}});
                let path = format!("/api/v1/mcp-servers/{slug}");
                drop(acme.owner().with_body(Method::PATCH, &path, &body).await.expect(200));
            }
            _ => {
                let policies = acme.owner().get("/api/v1/access-policies").await.expect(200);
                let id = policies["items"][0]["id"].as_str().expect("an id");
                acme.owner().delete(&format!("/api/v1/access-policies/{id}")).await.expect_status(200);
            }
        }
        let given = browser.submit(&page, "", &["proof"], &secret("late")).await;
        is_dead(&given);
        let shown = browser.open(&address).await;
        is_dead(&shown);
        pages.extend([given.body, shown.body]);
        match end {
            "tenant" => {
                drop(acme.owner().post(&format!("{suspended}/resume"), &Value::Null).await.expect(200));
            }
            "policy" => {
                let everyone =
                    json!({"name": "all", "subjects": [{"type": "everyone"}], "resources": [{"type": "every_server"}]});
                drop(acme.owner().post("/api/v1/access-policies", &everyone).await.expect(201));
            }
            _ => {}
        }
    }
    pages.push(Browser::default().open(&format!("{}/connect/not-a-link", app.base)).await.body);
    pages.dedup();
    assert_eq!(pages.len(), 1, "one page for every reason");
    app.settled().await;
    let events = acme.owner().get("/api/v1/audit-events?action=connect.open&outcome=refused").await.expect(200);
    let reasons: Vec<&str> =
        events["items"].as_array().expect("items").iter().filter_map(|event| event["reason"].as_str()).collect();
    for reason in [
        "who made the link may do nothing any more",
        "the tenant is suspended",
        "no such server",
        "the server takes no connections",
    ] {
        assert!(reasons.contains(&reason), "{reason}: {reasons:?}");
    }
}

#[tokio::test]
async fn a_link_is_over_after_ten_minutes() {
    let app = App::spawn().await;
    let (_acme, key, _upstream) = bearer(&app).await;
    let address = link(&app.key(&key.token), "notes", "?user_id=marina").await;
    let token = address.rsplit('/').next().expect("a token");
    let sealer = &app.services().sealer;
    let mut link = sealer.open_link(token).expect("a link");
    assert_eq!(domain::connect::LINK_LASTS, Duration::from_mins(10));
    link.ends = domain::time::Clock::now(&domain::time::SystemClock);
    let over = format!("{}/connect/{}", app.base, sealer.seal_link(&link).expect("randomness"));
    is_dead(&Browser::default().open(&over).await);
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_on_the_page_and_not_echoed() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = BearerServer::start();
    server(&acme, "notes", &upstream.url, json!({"kind": "basic", "scope": "tenant"})).await;
    let key = app.key(&acme.client().await.token);
    let mut browser = Browser::default();
    let page = browser.open(&link(&key, "notes", "?user_id=marina").await).await;
    let wrong = [("username", "a\"><script>:"), ("secret", "s3cr\u{e9}t")];
    let again = browser.submit(&page, "", &["proof"], &wrong).await;
    assert_eq!(again.status, 400);
    assert!(again.says("role=\"alert\"") && again.says("aria-invalid=\"true\""), "{}", again.body);
    assert!(!again.says("s3cr") && !again.says("<script>"), "{}", again.body);
    let typed = [("username", "marina"), ("secret", "s3cret")];
    let done = browser.submit(&again, "", &["proof"], &typed).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(whoami(&key, "notes", "?user_id=marina").await["authorization"], "Basic bWFyaW5hOnMzY3JldA==");
}

#[tokio::test]
async fn the_page_lets_nothing_in_and_nothing_out() {
    let app = App::spawn().await;
    let (_acme, key, _upstream) = bearer(&app).await;
    // The caller's own words may be anything.
    let query = "?user_id=%3Cimg%20src%3Dx%3E%E2%80%AE";
    let mut browser = Browser::default();
    let page = browser.open(&link(&app.key(&key.token), "notes", query).await).await;
    assert!(page.says("&lt;img src=x&gt;") && !page.says("<img") && !page.says("<script"), "{}", page.body);
    let header = |name: &str| page.headers.get(name).map_or("", |value| value.to_str().expect("text"));
    assert_eq!(
        header("content-security-policy"),
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    assert_eq!((header("cache-control"), header("x-frame-options")), ("no-store", "DENY"));
    assert_eq!((header("referrer-policy"), header("x-content-type-options")), ("same-origin", "nosniff"));
    let cookie = header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(page.says("<html lang=\"en\">") && page.says("<label for=\"secret\">"));
    let style = browser.open(&format!("{}/connect/page.css", app.base)).await;
    assert_eq!((style.status, style.headers["content-type"].to_str().ok()), (200, Some("text/css; charset=utf-8")));
}

#[tokio::test]
async fn a_server_without_connections_and_a_caller_without_permission_get_no_link() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = BearerServer::start();
    acme.server("open", &upstream.url).await;
    server(&acme, "notes", &upstream.url, json!({"kind": "bearer", "scope": "tenant"})).await;
    let owner = acme.owner();
    owner
        .post("/api/v1/connections/open/link", &json!({}))
        .await
        .refused(400, "validation_failed")
        .names_field("server");
    owner.post("/api/v1/connections/missing/link", &json!({})).await.refused(404, "server_not_found");
    let weak = acme.key(json!({"type": "client", "permissions": ["mcp:connect", "connections:read"]})).await;
    let weak = app.key(&weak.token);
    weak.post("/api/v1/connections/notes/link?user_id=marina", &json!({})).await.refused(403, "forbidden_permission");
    let client = app.key(&acme.client().await.token);
    client.post("/api/v1/connections/notes/link", &json!({})).await.refused(400, "tenant_required");
}

#[tokio::test]
async fn an_authorization_server_that_fails_leaves_the_link_usable() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = OAuthServer::start(OAuthSettings { registers: false, ..OAuthSettings::default() });
    server(&acme, "notes", &upstream.url, json!({"kind": "oauth2"})).await;
    let key = app.key(&acme.client().await.token);
    let mut browser = Browser::default();
    let page = browser.open(&link(&key, "notes", "?user_id=marina").await).await;
    let failed = browser.submit(&page, "", &["proof"], &[]).await;
    assert_eq!((failed.status, failed.says("role=\"alert\"")), (502, true), "{}", failed.body);
    app.settled().await;
    let events = acme.owner().get("/api/v1/audit-events?action=connect.authorize").await.expect(200);
    let reason = events["items"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("registers no clients by itself"), "{reason}");
    upstream.set(|settings| settings.registers = true);
    let sent = browser.submit(&failed, "", &["proof"], &[]).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    assert!(browser.open(sent.refresh().expect("on").as_str()).await.says("is connected"));
}

#[tokio::test]
async fn a_client_that_was_given_is_used_instead_of_a_new_one() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let back = format!("{}/connect/callback", app.base);
    let client = Some(("given".to_owned(), "s 3+cret".to_owned(), back));
    let upstream = OAuthServer::start(OAuthSettings { client, ..OAuthSettings::default() });
    let auth = json!({"kind": "oauth2", "clientId": "given", "secret": "s 3+cret", "scopes": ["mine"]});
    server(&acme, "notes", &upstream.url, auth).await;
    let key = app.key(&acme.client().await.token);
    let mut browser = Browser::default();
    let page = browser.open(&link(&key, "notes", "?user_id=marina").await).await;
    let sent = browser.submit(&page, "", &["proof"], &[]).await;
    let done = browser.open(sent.refresh().expect("on").as_str()).await;
    assert!(done.says("is connected"), "{}", done.body);
    assert_eq!(whoami(&key, "notes", "?user_id=marina").await, json!({"subject": "ann", "scope": "mine"}));
    assert_eq!(upstream.counts().registrations, 0);
    // A server that comes to name another authorization server does not get the client's secret sent there.
    let evil = OAuthServer::start(OAuthSettings::default());
    upstream.set(|settings| settings.authorization_server = Some(format!("{}/as", evil.base)));
    let page = browser.open(&link(&key, "notes", "?user_id=otto").await).await;
    let refused = browser.submit(&page, "", &["proof"], &[]).await;
    assert_eq!((refused.status, refused.says("role=\"alert\"")), (502, true), "{}", refused.body);
    app.settled().await;
    let events = acme.owner().get("/api/v1/audit-events?action=connect.authorize&outcome=error").await.expect(200);
    let reason = events["items"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("another authorization server"), "{reason}");
}

#[tokio::test]
async fn with_https_the_cookie_is_one_that_no_other_host_can_set() {
    let settings = vec![("signup", "open".to_owned()), ("public-url", "https://keyrack.example.com".to_owned())];
    let app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let (_acme, key, _upstream) = bearer(&app).await;
    let address = link(&app.key(&key.token), "notes", "?user_id=marina").await;
    let path = address.strip_prefix("https://keyrack.example.com/connect/").expect("the public URL");
    let page = Browser::default().open(&format!("{}/connect/{path}", app.base)).await;
    let cookie = page.headers["set-cookie"].to_str().expect("text");
    assert!(cookie.starts_with("__Host-keyrack-connect=") && cookie.contains("Secure"), "{cookie}");
    assert!(cookie.contains("Path=/;") && !cookie.contains("Domain"), "{cookie}");
}

#[tokio::test]
async fn an_answer_for_a_server_that_moved_meanwhile_is_not_kept() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = OAuthServer::start(OAuthSettings::default());
    let elsewhere = OAuthServer::start(OAuthSettings::default());
    server(&acme, "notes", &upstream.url, json!({"kind": "oauth2"})).await;
    let key = app.key(&acme.client().await.token);
    let mut browser = Browser::default();
    let page = browser.open(&link(&key, "notes", "?user_id=marina").await).await;
    let sent = browser.submit(&page, "", &["proof"], &[]).await;
    let back = browser.look(sent.refresh().expect("on").as_str()).await.headers["location"].clone();
    let body = json!({"url": elsewhere.url});
    acme.owner().with_body(Method::PATCH, "/api/v1/mcp-servers/notes", &body).await.expect(200);
    is_dead(&browser.open(back.to_str().expect("text")).await);
    assert_eq!(upstream.counts().exchanges, 0, "the code went nowhere");
}
