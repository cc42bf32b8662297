//! Secrets in arguments: refused before anything is sent, in the protocol, by place and never by value.

use serde_json::{Value, json};
use support::{App, Organization, Upstream};

async fn scene(allowed: Value) -> (App, Upstream, Organization, String) {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let body = json!({"name": "up", "slug": "up", "url": upstream.url("/echo"), "allowedSecretFields": allowed});
    let server = acme.server_with(body).await;
    assert_eq!(server["allowedSecretFields"], allowed);
    let token = acme.solo().await.token;
    (app, upstream, acme, token)
}

#[tokio::test]
async fn a_secret_argument_is_refused_in_the_protocol_and_never_sent() {
    let (app, upstream, _, token) = scene(json!([])).await;
    let params = json!({"name": "x", "arguments": {"db": {"password": "hunter2"}}});
    let answer = app.key(&token).mcp("up", "", "tools/call", params).await;
    let body = answer.refused(200, "secret_argument").json();
    assert_eq!((&body["id"], &body["jsonrpc"]), (&json!(1), &json!("2.0")));
    assert!(answer.body.contains("/db/password") && !answer.body.contains("hunter2"), "{}", answer.body);
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
    let ours = json!({"name": "x", "arguments": {"note": format!("use {token}")}});
    let answer = app.key(&token).mcp("up", "", "tools/call", ours).await;
    assert!(!answer.refused(200, "secret_argument").body.contains(&token));
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
    let fine = json!({"name": "x", "arguments": {"pageToken": "abc"}});
    app.key(&token).mcp("up", "", "tools/call", fine).await.expect(200);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_server_may_allow_fields_by_name_and_by_place() {
    let (app, upstream, acme, token) = scene(json!(["pin.secret", "passphrase"])).await;
    for (arguments, status) in
        [(json!({"pin": {"secret": "x"}, "pass_phrase": "y"}), ""), (json!({"secret": "x"}), "secret_argument")]
    {
        let answer = app.key(&token).mcp("up", "", "tools/call", json!({"name": "x", "arguments": arguments})).await;
        assert_eq!((answer.status, answer.code().as_str()), (200, status));
    }
    assert_eq!(upstream.seen().len(), 1);
    for wrong in [json!([""]), json!(["a..b"]), json!(["__"])] {
        let body = json!({"name": "x", "url": "https://x.example.com/mcp", "allowedSecretFields": wrong});
        let answer = acme.owner().post("/api/v1/mcp-servers", &body).await;
        answer.refused(400, "validation_failed").names_field("allowedSecretFields[0]");
    }
}

#[tokio::test]
async fn the_dry_run_looks_at_arguments_as_the_gateway_does() {
    let (_app, _upstream, acme, _) = scene(json!(["passphrase"])).await;
    let key = acme.solo().await;
    for (arguments, code) in [
        (json!({"passphrase": "x", "nextToken": "y"}), Value::Null),
        (json!({"cookie": "x"}), json!("secret_argument")),
        (json!({"deep": [{"note": key.token}]}), json!("secret_argument")),
    ] {
        let body = json!({"apiKeyId": key.id, "server": "up", "tool": "add", "arguments": arguments});
        let ruled = acme.owner().post("/api/v1/authorize", &body).await.expect(200);
        assert_eq!((&ruled["code"], &ruled["allowed"]), (&code, &json!(code.is_null())));
        assert_eq!(ruled["trail"].as_array().and_then(|trail| trail.last()).expect("a trail")["check"], "arguments");
        assert!(!ruled.to_string().contains(&key.token));
    }
}

#[tokio::test]
async fn what_the_guard_cannot_read_is_not_sent_on() {
    let (app, upstream, _, token) = scene(json!([])).await;
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":1e999,"password":"x"}}}"#;
    for (headers, body) in [
        (vec![("content-type", "application/json")], message.as_bytes().to_vec()),
        (vec![("content-type", "application/json"), ("content-encoding", "gzip")], b"{}".to_vec()),
        (vec![("content-type", "application/json; charset=utf-16le")], b"{}".to_vec()),
        (vec![("content-type", "application/json")], b"{\"x\":\"\xff\"}".to_vec()),
        (vec![("content-type", "application/json")], b"no json".to_vec()),
    ] {
        let caller = headers.iter().fold(app.key(&token), |caller, (name, value)| caller.and(name, value));
        let request = caller.request(reqwest::Method::POST, "/mcp-connect/up/mcp").body(body.clone());
        caller.send(format!("POST {headers:?} {body:?}"), request).await.refused(400, "invalid_request");
    }
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
}
