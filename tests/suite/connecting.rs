//! The story of a newcomer with a real client: a server that wants a credential is found, connected in a real browser, and
//! called; and a colleague below the same key has nothing of it, by any way.

use reqwest::Method;
use serde_json::{Value, json};
use support::{App, BearerServer, Chromium};

use crate::clients::{Client, run};

const CLIENTS: [(Client, &str); 3] = [
    (("mcp2", "mcp_client.py", &["--mode", "auto"], true), "x-api-key"),
    (("langchain", "langchain_client.py", &[], false), "bearer"),
    (("agno", "agno_client.py", &["--mode", "auto"], true), "x-api-key"),
];

fn lists(seen: &Value, tool: &str) -> bool {
    seen["tools"].as_array().expect("tools").iter().any(|listed| listed == tool)
}

/// What the tool of this place told, as JSON.
fn told(seen: &Value, place: usize) -> Value {
    let text = seen["answers"][place].as_str().unwrap_or_else(|| panic!("no answer {place}: {seen}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_user_finds_connects_and_calls_a_server_and_a_colleague_has_nothing_of_it() {
    let (app, upstream) = (App::spawn().await, BearerServer::start());
    let acme = app.organization("acme").await;
    let auth = json!({"kind": "bearer", "scope": "tenant"});
    acme.server_with(json!({"name": "Notes", "slug": "notes", "url": upstream.url, "auth": auth})).await;
    let token = acme.client().await.token;
    let browser = Chromium::start().await;
    for (number, (client, header)) in CLIENTS.iter().enumerate() {
        // A user of their own for each client, so that each begins without.
        let (user, colleague) = (format!("marina-{number}"), format!("otto-{number}"));
        let at = |user: &str| format!("{}/mcp?user_id={user}", app.base);
        let secret = format!("marinas-token-{number}");

        // What there is, and that it has to be connected.
        let calls = [("list_providers", json!({})), ("connect_provider", json!({"server": "notes"}))];
        let found = run(client, &at(&user), header, &token, &calls).await;
        assert!(!lists(&found, "notes_whoami"), "{client:?}: {found}");
        let provider = &told(&found, 0)["providers"][0];
        assert_eq!(
            (&provider["slug"], &provider["needsConnection"], &provider["status"]),
            (&json!("notes"), &json!(true), &json!("connection_required")),
            "{client:?}"
        );

        // The link, where a person opens it.
        browser.open(told(&found, 1)["url"].as_str().expect("a link")).await;
        browser.reads("Connect Notes").await;
        browser.reads(&user).await;
        browser.type_into("#secret", &secret).await;
        browser.press("button").await;
        browser.reads("is connected").await;

        // The server's own tool, with the credential of whoever calls.
        let calls = [("notes_whoami", json!({})), ("list_connections", json!({}))];
        let used = run(client, &at(&user), header, &token, &calls).await;
        assert!(lists(&used, "notes_whoami"), "{client:?}: {used}");
        assert_eq!(told(&used, 0), json!({"bearer": secret}), "{client:?}");
        let connections = told(&used, 1);
        assert_eq!(connections["connections"][0]["status"], "connected", "{client:?}: {connections}");

        // The colleague, with the same key and the same client.
        let calls = [("list_providers", json!({})), ("list_connections", json!({})), ("get_usage", json!({}))];
        let seen = run(client, &at(&colleague), header, &token, &calls).await;
        assert!(!lists(&seen, "notes_whoami"), "{client:?}: {seen}");
        assert_eq!(told(&seen, 0)["providers"][0]["status"], "connection_required", "{client:?}");
        assert_eq!(told(&seen, 1)["connections"], json!([]), "{client:?}");
        assert!(!seen.to_string().contains(&user) && !seen.to_string().contains(&secret), "{client:?}: {seen}");
        nothing_by_any_other_way(&app, &token, &colleague, &user).await;
    }
}

/// The colleague has no connection and sees nothing of the user's through the gateway, REST and bare messages.
async fn nothing_by_any_other_way(app: &App, token: &str, colleague: &str, user: &str) {
    let (key, query) = (app.key(token), format!("?user_id={colleague}"));
    let call = json!({"name": "whoami", "arguments": {}});
    key.mcp("notes", &query, "tools/call", call).await.refused(403, "connection_required");
    key.get(&format!("/api/v1/connections/notes{query}")).await.refused(404, "not_found");
    let listed = key.get(&format!("/api/v1/connections{query}")).await.expect(200);
    assert_eq!(listed["items"], json!([]));
    // Asking for the tool although it is not listed, and ending what is not one's own.
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "notes_whoami", "arguments": {}}});
    let path = format!("/mcp{query}");
    let request = key.request(Method::POST, &path).header("accept", "application/json, text/event-stream");
    let request = request.header("mcp-protocol-version", "2025-11-25").json(&message);
    let answer = key.send(format!("POST {path}"), request).await.expect(200);
    assert!(answer["result"]["structuredContent"]["bearer"].is_null(), "{answer}");
    assert!(!answer.to_string().contains("marinas-token"), "{answer}");
    key.with_body(Method::DELETE, &format!("/api/v1/connections/notes{query}"), &json!({})).await;
    let own = key.get(&format!("/api/v1/connections/notes?user_id={user}")).await.expect(200);
    assert_eq!(own["status"], "connected", "only the user's own hand ends it");
}
