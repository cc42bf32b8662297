//! Messages of the modern revisions (2026-07-28 and later): what headers repeat is what the message says, there are no
//! sessions, and what steers negotiation passes byte for byte.

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Organization, Upstream};

const VERSION: &str = "2026-07-28";

async fn scene(behaviour: &str) -> (App, Upstream, Organization, Actor) {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url(behaviour)).await;
    let caller = app.key(&acme.solo().await.token);
    (app, upstream, acme, caller)
}

fn message(method: &str, mut params: Value) -> Value {
    params["_meta"] =
        json!({"io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {}});
    json!({"jsonrpc": "2.0", "id": "m-1", "method": method, "params": params})
}

/// Sends a message with these headers.
async fn post(caller: &Actor, server: &str, headers: &[(&str, &str)], message: &Value) -> Answer {
    let request = caller.request(Method::POST, &format!("/mcp-connect/{server}/mcp"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    caller.send(format!("POST {headers:?} {message}"), request.json(message)).await
}

#[tokio::test]
async fn headers_that_say_what_the_message_says_pass_with_everything_beside_them() {
    let (_app, upstream, _, caller) = scene("/echo").await;
    for (method, params, name) in [
        ("tools/call", json!({"name": "add", "arguments": {"region": "eu"}}), "add"),
        ("tools/call", json!({"name": "世界"}), "=?base64?5LiW55WM?="),
        ("prompts/get", json!({"name": "greet"}), "greet"),
        ("resources/read", json!({"uri": "file:///a b"}), "file:///a b"),
        ("tasks/get", json!({"taskId": "t-1"}), "t-1"),
        ("tools/call", json!({"name": "add", "inputResponses": {"q": {}}, "requestState": "opaque"}), "add"),
    ] {
        let headers = [
            ("MCP-PROTOCOL-VERSION", VERSION),
            ("mcp-method", method),
            ("Mcp-Name", name),
            ("mcp-param-region", "eu"),
            ("Mcp-Param-Never-Heard-Of", "=?base64?eA==?="),
        ];
        let message = message(method, params);
        post(&caller, "up", &headers, &message).await.expect(200);
        let seen = upstream.last();
        assert_eq!(seen.body, message.to_string().as_bytes());
        for (name, value) in headers {
            assert_eq!(seen.header(&name.to_lowercase()), Some(value), "{name}");
        }
    }
    for method in ["server/discover", "subscriptions/listen", "tasks/unheard-of", "vendor/thing"] {
        let headers = [("mcp-protocol-version", VERSION), ("mcp-method", method)];
        post(&caller, "up", &headers, &message(method, json!({}))).await.expect(200);
    }
}

#[tokio::test]
async fn headers_that_do_not_are_400_with_the_protocols_number_and_the_id() {
    let (_app, upstream, _, caller) = scene("/echo").await;
    let call = message("tools/call", json!({"name": "add", "arguments": {}}));
    let (version, method, name) =
        (("mcp-protocol-version", VERSION), ("mcp-method", "tools/call"), ("mcp-name", "add"));
    for headers in [
        vec![method, name],
        vec![("mcp-protocol-version", "2025-11-25"), method, name],
        vec![("mcp-protocol-version", "2027-01-01"), method, name],
        vec![version, version, method, name],
        vec![version, name],
        vec![version, method],
        vec![version, ("mcp-method", "tools/list"), name],
        vec![version, ("mcp-method", "TOOLS/CALL"), name],
        vec![version, method, ("mcp-method", "tools/list"), name],
        vec![version, method, ("mcp-name", "subtract")],
        vec![version, method, ("mcp-name", "ADD")],
        vec![version, method, ("mcp-name", "=?base64?c3VidHJhY3Q=?=")],
        vec![version, method, ("mcp-name", "=?base64?%%%?=")],
        vec![version, method, name, ("mcp-name", "subtract")],
    ] {
        let answer = post(&caller, "up", &headers, &call).await;
        let body = answer.refused(400, "invalid_request").json();
        assert_eq!((&body["error"]["code"], &body["id"]), (&json!(-32020), &json!("m-1")), "{headers:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
    for (method, params) in [("resources/read", json!({"uri": "a"})), ("tasks/cancel", json!({"taskId": "a"}))] {
        let headers = [version, ("mcp-method", method), ("mcp-name", "b")];
        let answer = post(&caller, "up", &headers, &message(method, params)).await;
        assert_eq!(answer.refused(400, "invalid_request").json()["error"]["code"], -32020);
    }
}

#[tokio::test]
async fn headers_of_legacy_messages_mean_nothing_and_pass() {
    let (_app, upstream, _, caller) = scene("/echo").await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {}}});
    for version in [Some("2025-11-25"), Some("2025-06-18"), None] {
        let mut headers = vec![("mcp-method", "tools/list"), ("mcp-name", "=?base64?%?=")];
        headers.extend(version.map(|version| ("mcp-protocol-version", version)));
        post(&caller, "up", &headers, &call).await.expect(200);
        assert_eq!(upstream.last().header("mcp-method"), Some("tools/list"));
    }
    // Nor does the guard believe them.
    let secret = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"token": "x"}}});
    let headers = [("mcp-method", "tools/list"), ("mcp-protocol-version", "2025-11-25")];
    post(&caller, "up", &headers, &secret).await.refused(200, "secret_argument");
}

#[tokio::test]
async fn a_modern_request_has_no_session_and_gets_none() {
    let (_app, upstream, _, caller) = scene("/session").await;
    let headers = [("mcp-protocol-version", VERSION), ("mcp-method", "ping"), ("mcp-session-id", "a stray one")];
    let answer = post(&caller, "up", &headers, &message("ping", json!({}))).await;
    answer.expect(200);
    assert_eq!(upstream.last().header("mcp-session-id"), None);
    assert!(!answer.headers.contains_key("mcp-session-id"), "a session was handed out");
    // The same stray id in a legacy request is no session.
    let headers = [("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", "a stray one")];
    post(&caller, "up", &headers, &json!({"id": 1, "method": "ping"})).await.refused(404, "session_not_found");
    // A handshake begins one, whatever the header says.
    let handshake =
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
    let answer = post(&caller, "up", &[("mcp-protocol-version", VERSION)], &handshake).await;
    answer.expect(200);
    assert!(answer.headers.contains_key("mcp-session-id"));
}

#[tokio::test]
async fn what_steers_negotiation_comes_back_byte_for_byte() {
    let (app, upstream, acme, caller) = scene("/echo").await;
    let headers = [("mcp-protocol-version", VERSION), ("mcp-method", "server/discover")];
    let discover = message("server/discover", json!({}));
    for status in [400, 404] {
        let url = upstream.url(&format!("/status/{status}"));
        acme.server(&format!("s{status}"), &url).await;
        let answer = post(&caller, &format!("s{status}"), &headers, &discover).await;
        let direct = app.http.post(&url).json(&discover).send().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.headers["content-type"].clone()),
            (status, direct.headers()["content-type"].clone())
        );
        assert_eq!(answer.body, direct.text().await.expect("a body"));
    }
    // A version that nobody knows is the server's to answer.
    let mut newer = discover.clone();
    newer["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2031-01-01");
    let headers = [("mcp-protocol-version", "2031-01-01"), ("mcp-method", "server/discover")];
    post(&caller, "up", &headers, &newer).await.expect(200);
    assert_eq!(upstream.last().header("mcp-protocol-version"), Some("2031-01-01"));
    // So is a request that lacks what a modern one must say.
    let bare = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    post(&caller, "s400", &[("mcp-protocol-version", VERSION), ("mcp-method", "tools/list")], &bare).await.expect(400);
    assert_eq!(upstream.last().body, bare.to_string().as_bytes());
}
