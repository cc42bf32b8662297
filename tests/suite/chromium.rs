//! The connect page in a real browser, without JavaScript: what its policies let through is what its visitors need.

use serde_json::{Value, json};
use support::{Actor, App, BearerServer, Chromium, OAuthServer, OAuthSettings, Organization};

async fn link(acme: &Organization, key: &Actor, url: &str, auth: Value) -> String {
    acme.server_with(json!({"name": "Notes", "slug": "notes", "url": url, "auth": auth})).await;
    let made = key.post("/api/v1/connections/notes/link?user_id=marina", &json!({})).await.expect(201);
    made["url"].as_str().expect("a url").to_owned()
}

async fn whoami(key: &Actor) -> Value {
    let call = json!({"name": "whoami", "arguments": {}});
    let answer = key.mcp("notes", "?user_id=marina", "tools/call", call).await;
    answer.expect(200)["result"]["structuredContent"].clone()
}

#[tokio::test]
async fn a_credential_is_given_in_a_real_browser_without_javascript() {
    let (app, upstream) = (App::spawn().await, BearerServer::start());
    let acme = app.organization("acme").await;
    let key = app.key(&acme.client().await.token);
    let address = link(&acme, &key, &upstream.url, json!({"kind": "basic", "scope": "tenant"})).await;
    let browser = Chromium::start().await;
    browser.open(&address).await;
    browser.reads("Connect Notes").await;
    browser.reads("marina").await;
    assert_eq!(browser.computed("#username", "label").await, "User name");
    assert_eq!(browser.computed("#secret", "label").await, "Password");
    assert_eq!(browser.computed("button", "role").await, "button");
    browser.type_into("#username", "mari:na").await;
    browser.type_into("#secret", "s3cret").await;
    browser.press("button").await;
    browser.reads("without a colon").await;
    assert_eq!(browser.computed("[role=alert]", "role").await, "alert");
    browser.type_into("#username", "marina").await;
    browser.type_into("#secret", "s3cret").await;
    browser.press("button").await;
    browser.reads("is connected").await;
    assert_eq!(whoami(&key).await, json!({"authorization": "Basic bWFyaW5hOnMzY3JldA=="}));
}

#[tokio::test]
async fn consent_is_given_in_a_real_browser_without_javascript() {
    let settings = OAuthSettings { consents: None, ..OAuthSettings::default() };
    let (app, upstream) = (App::spawn().await, OAuthServer::start(settings));
    let acme = app.organization("acme").await;
    let key = app.key(&acme.client().await.token);
    let address = link(&acme, &key, &upstream.url, json!({"kind": "oauth2"})).await;
    let browser = Chromium::start().await;
    browser.open(&address).await;
    browser.reads("Connect Notes").await;
    browser.press("button").await;
    browser.reads("Your name at the sample service").await;
    assert!(browser.url().await.starts_with(&upstream.base));
    browser.type_into("input[name=subject]", "marina-there").await;
    browser.press("button[value=allow]").await;
    browser.reads("is connected").await;
    assert!(browser.url().await.starts_with(&app.base));
    assert_eq!(whoami(&key).await["subject"], "marina-there");
}
