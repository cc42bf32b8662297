//! The protocol to the letter, whatever its revision: what is no message is refused with the protocol's own numbers, what is
//! one passes, and HTTP is used as MCP says.

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, AppOptions, Organization, Upstream};

async fn scene(behaviour: &str) -> (App, Upstream, Organization, Actor) {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url(behaviour)).await;
    let caller = app.key(&acme.solo().await.token);
    (app, upstream, acme, caller)
}

/// Sends a body as it is; without a version when `version` is empty.
async fn post(caller: &Actor, version: &str, body: impl Into<Vec<u8>>) -> Answer {
    let body = body.into();
    let mut request = caller.request(Method::POST, "/mcp-connect/up/mcp").header("content-type", "application/json");
    if !version.is_empty() {
        request = request.header("mcp-protocol-version", version);
    }
    caller.send(format!("POST {version} {}", String::from_utf8_lossy(&body)), request.body(body)).await
}

#[track_caller]
fn refused(answer: &Answer, number: i64, id: &Value) {
    let body = answer.refused(400, "invalid_request").json();
    assert_eq!((&body["error"]["code"], &body["id"]), (&json!(number), id), "{body}");
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn what_is_no_message_is_refused_with_the_protocols_number_and_never_sent() {
    let (_app, upstream, _, caller) = scene("/echo").await;
    let (parse, invalid) = (-32700, -32600);
    for (body, number) in [
        ("", parse),
        ("no json", parse),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, parse),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"#, parse),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":1e999}}}"#, parse),
        ("5", invalid),
        ("null", invalid),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, invalid),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, invalid),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping"}"#, invalid),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#, invalid),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}"#, invalid),
    ] {
        let answer = post(&caller, "2025-11-25", body).await;
        // The id of what cannot be read is not known, as JSON-RPC says; the guard's refusals have read it.
        let id = if body.contains("1e999") { json!(1) } else { Value::Null };
        refused(&answer, number, &id);
    }
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn arrays_pass_where_the_revision_has_them_and_nowhere_else() {
    let (_app, upstream, _, caller) = scene("/echo").await;
    let batch = r#" [{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"}]"#;
    for version in ["", "2025-03-26"] {
        post(&caller, version, batch).await.expect(200);
        assert_eq!(upstream.last().body, batch.as_bytes());
        assert_eq!(upstream.last().header("mcp-protocol-version"), Some(version).filter(|version| !version.is_empty()));
    }
    let before = upstream.seen().len();
    for version in ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28", "draft"] {
        refused(&post(&caller, version, batch).await, -32600, &Value::Null);
    }
    let many = format!("[{}]", vec![r#"{"id":1,"method":"ping"}"#; 101].join(","));
    for body in ["[]", "[5]", "[[]]", r#"[{"method":"ping"},{"method":"a","method":"b"}]"#, &many] {
        refused(&post(&caller, "", body).await, -32600, &Value::Null);
    }
    assert_eq!(upstream.seen().len(), before, "nothing was sent");
}

#[tokio::test]
async fn a_secret_in_a_batch_is_refused_for_each_of_its_requests() {
    let (_app, upstream, _, caller) = scene("/echo").await;
    let call = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "x", "arguments": {"password": "hunter2"}}});
    let ping = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
    let note = json!({"jsonrpc": "2.0", "method": "notifications/x"});
    let answer = post(&caller, "", json!([ping, note, call(json!(7))]).to_string()).await;
    let errors = answer.expect(200);
    let ids: Vec<_> = errors.as_array().expect("a batch").iter().map(|error| &error["id"]).collect();
    assert_eq!(ids, [&json!("p"), &json!(7)]);
    assert!(
        errors.as_array().expect("a batch").iter().all(|error| error["error"]["data"]["code"] == "secret_argument")
    );
    assert!(!answer.body.contains("hunter2"));
    // Where nobody awaits an answer, the HTTP status says it.
    let mut told = call(Value::Null);
    told.as_object_mut().expect("an object").remove("id");
    for body in [told.to_string(), json!([told, note]).to_string()] {
        let answer = post(&caller, "", body).await;
        assert_eq!(answer.refused(403, "secret_argument").json()["id"], Value::Null);
    }
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn notifications_and_responses_get_the_servers_202_without_a_body() {
    let (_app, upstream, _, caller) = scene("/legacy").await;
    for message in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}),
        json!({"jsonrpc": "2.0", "id": 3, "result": {"action": "accept"}}),
        json!({"jsonrpc": "2.0", "id": 3, "error": {"code": -1, "message": "no"}}),
    ] {
        let answer = post(&caller, "2025-11-25", message.to_string()).await;
        answer.expect_status(202);
        assert_eq!(answer.body, "");
        assert_eq!(upstream.last().body, message.to_string().as_bytes());
    }
}

#[tokio::test]
async fn initialize_and_whatever_is_unknown_pass_as_they_are() {
    let (_app, upstream, _, caller) = scene("/echo").await;
    for (version, body) in [
        ("", r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}"#),
        ("1999-01-01", r#"{ "jsonrpc" : "2.0", "id" : 1, "method" : "ping" }"#),
        ("2025-11-25", r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}"#),
        ("2025-11-25", r#"{"jsonrpc":"2.0","id":1,"method":"tasks/result","params":{"taskId":"t"}}"#),
        ("2025-11-25", r#"{"jsonrpc":"2.0","id":1,"method":"vendor/thing","params":{"name":"a","Name":"b"}}"#),
        ("2025-11-25", r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a"},"extra":[1]}"#),
    ] {
        post(&caller, version, body).await.expect(200);
        assert_eq!(upstream.last().body, body.as_bytes());
        assert_eq!(upstream.last().header("mcp-protocol-version"), Some(version).filter(|version| !version.is_empty()));
    }
}

#[tokio::test]
async fn a_get_stream_delivers_what_the_server_says_and_a_405_passes() {
    let (_app, upstream, acme, caller) = scene("/legacy").await;
    let request = caller.request(Method::GET, "/mcp-connect/up/mcp").header("last-event-id", "41");
    let response = request.header("accept", "text/event-stream").send().await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().expect("a value"))
    );
    let first = response.bytes_stream().next().await.expect("an event").expect("bytes");
    let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    let expected = format!(": hello\n\nid: 41+1\nretry: 10\ndata: {note}\n\nid: 41+2\ndata:\n\n");
    assert_eq!(String::from_utf8_lossy(&first), expected, "comments, ids, retry and empty data as they were sent");
    acme.server("still", &upstream.url("/status/405")).await;
    for method in [Method::GET, Method::DELETE] {
        let request = caller.request(method.clone(), "/mcp-connect/still/mcp");
        caller.send(method.to_string(), request).await.expect_status(405);
        assert_eq!(upstream.last().method, method.as_str());
    }
}

#[tokio::test]
async fn http_methods_that_mcp_does_not_have_go_nowhere() {
    let (app, upstream, _, caller) = scene("/echo").await;
    for method in ["PUT", "PATCH", "TRACE", "PURGE"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        for path in ["/mcp-connect/up/mcp", "/mcp-connect/up/"] {
            let answer = caller.send(format!("{method} {path}"), caller.request(method.clone(), path)).await;
            answer.refused(405, "method_not_allowed");
            assert_eq!(answer.headers["allow"], "GET, POST, DELETE, OPTIONS");
        }
        let nobody = app.anonymous();
        nobody
            .send(method.to_string(), nobody.request(method.clone(), "/mcp-connect/up/mcp"))
            .await
            .refused(401, "unauthenticated");
    }
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn every_request_needs_the_key_in_a_header() {
    let (app, upstream, acme, _) = scene("/legacy").await;
    let token = acme.solo().await.token;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for query in [String::new(), format!("?api_key={token}"), format!("?access_token={token}&x-api-key={token}")] {
            let nobody = app.anonymous().and("mcp-session-id", "anything");
            let request = nobody.request(method.clone(), &format!("/mcp-connect/up/mcp{query}"));
            let answer = nobody.send(method.to_string(), request).await;
            let body = answer.refused(401, "unauthenticated").json();
            assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &Value::Null));
            assert_eq!(answer.headers["www-authenticate"], r#"Bearer realm="keyrack""#);
            assert_eq!(answer.headers["content-type"], "application/json");
        }
    }
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn every_refusal_is_a_json_rpc_error_outside_the_reserved_numbers() {
    let settings = vec![
        ("signup", "open".to_owned()),
        ("body-limit", "2048".to_owned()),
        ("upstream-idle-timeout", "1".to_owned()),
    ];
    let (app, upstream) = (App::with(AppOptions { settings, ..AppOptions::default() }).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("hang", &upstream.url("/hang")).await;
    acme.server("nobody", "http://127.0.0.1:9/mcp").await;
    acme.server("proud", &upstream.url("/status/401")).await;
    let limited = json!({"name": "few", "slug": "few", "url": upstream.url("/echo"), "rateLimit": {"requests": 1, "perSeconds": 60}});
    acme.server_with(limited).await;
    let caller = app.key(&acme.solo().await.token);
    caller.mcp("few", "", "ping", json!({})).await.expect(200);
    let client = app.key(&acme.client().await.token);
    let long = "a".repeat(3000);
    for (actor, server, text, status, code) in [
        (&app.anonymous(), "hang", "", 401, "unauthenticated"),
        (&client, "hang", "", 400, "tenant_required"),
        (&caller, "nothing", "", 404, "server_not_found"),
        (&caller, "few", "", 429, "rate_limited"),
        (&caller, "hang", "", 504, "upstream_timeout"),
        (&caller, "nobody", "", 502, "upstream_error"),
        (&caller, "proud", "", 502, "upstream_error"),
        (&caller, "hang", long.as_str(), 413, "payload_too_large"),
        (&app.anonymous().and("origin", "https://evil.example.com"), "hang", "", 403, "origin_not_allowed"),
    ] {
        let answer = actor.mcp(server, "", "tools/list", json!({"text": text})).await;
        let body = answer.refused(status, code).json();
        let number = body["error"]["code"].as_i64().expect("a number");
        assert!(number > 0, "{number} is reserved or looks like it");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(body["error"]["data"]["requestId"], answer.headers["x-request-id"].to_str().expect("text"));
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_never_a_404_to_a_session() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    acme.server("up", &format!("http://{}/mcp", listener.local_addr().expect("an address"))).await;
    // It answers once and is gone.
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"{}}") && socket.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
        let answer = b"HTTP/1.1 200 OK\r\nmcp-session-id: s1\r\ncontent-type: application/json\r\n\
                       connection: close\r\ncontent-length: 2\r\n\r\n{}";
        let _ = socket.write_all(answer).await;
    });
    let caller = app.key(&acme.solo().await.token);
    let begun = caller.mcp("up", "", "initialize", json!({})).await;
    begun.expect(200);
    server.await.expect("it is over");
    let session = begun.headers["mcp-session-id"].to_str().expect("text");
    // Clients take a 404 for the end of their session.
    caller.and("mcp-session-id", session).mcp("up", "", "ping", json!({})).await.refused(502, "upstream_error");
}
