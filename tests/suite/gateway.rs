//! The gateway: what goes upstream, what comes back, and what happens when something is wrong.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::{App, AppOptions, Organization, Upstream};

async fn scene(behaviour: &str) -> (App, Upstream, Organization, String) {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url(behaviour)).await;
    let token = acme.solo().await.token;
    (app, upstream, acme, token)
}

#[tokio::test]
async fn nothing_of_the_callers_own_goes_upstream() {
    let (app, upstream, _, token) = scene("/echo").await;
    let caller = app
        .key(&token)
        .and("authorization", &format!("Bearer {token}"))
        .and("cookie", "session=1")
        .and("x-forwarded-for", "1.2.3.4")
        .and("x-keyrack-assertion", "forged")
        .and("connection", "x-hop")
        .and("x-hop", "1");
    caller.mcp("up", "", "ping", json!({})).await.expect(200);
    let seen = upstream.last();
    let raw = format!("{seen:?}");
    assert!(!raw.contains(&token), "the key went upstream: {raw}");
    for absent in ["authorization", "x-api-key", "cookie", "x-forwarded-for", "x-hop", "origin"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
    assert_eq!(seen.header("host"), Some(upstream.base.trim_start_matches("http://")));
    assert_ne!(seen.header("x-keyrack-assertion"), Some("forged"));
    assert_eq!(seen.headers.iter().filter(|(name, _)| name == "x-keyrack-assertion").count(), 1);
}

#[tokio::test]
async fn what_the_protocol_needs_goes_upstream_and_the_query_does_not() {
    let (app, upstream, acme, _) = scene("/echo?own=1").await;
    let caller = app
        .key(&acme.client().await.token)
        .and("mcp-method", "ping")
        .and("mcp-param-region", "eu")
        .and("last-event-id", "7")
        .and("traceparent", "00-1-2-01");
    caller.mcp("up", "?user_id=marina&secret=x", "ping", json!({"deep": [1, 2]})).await.expect(200);
    let seen = upstream.last();
    assert_eq!(seen.target, "/echo?own=1");
    for (name, value) in [
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "ping"),
        ("mcp-param-region", "eu"),
        ("last-event-id", "7"),
        ("traceparent", "00-1-2-01"),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(body, json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"deep": [1, 2]}}));
}

#[tokio::test]
async fn the_organizations_credential_is_injected_by_kind() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let cases = [
        ("bearer", json!({"kind": "bearer", "secret": "s3cret"}), "authorization", "Bearer s3cret"),
        ("header", json!({"kind": "header", "header": "X-API-Key", "secret": "s3cret"}), "x-api-key", "s3cret"),
        ("basic", json!({"kind": "basic", "username": "u", "secret": "p"}), "authorization", "Basic dTpw"),
    ];
    let caller = app.key(&acme.solo().await.token);
    for (slug, auth, header, value) in cases {
        acme.server_with(json!({"name": slug, "slug": slug, "url": upstream.url("/echo"), "auth": auth})).await;
        caller.mcp(slug, "", "ping", json!({})).await.expect(200);
        assert_eq!(upstream.last().header(header), Some(value));
    }
}

#[tokio::test]
async fn a_callers_header_never_stands_beside_the_credential_of_its_name() {
    let (app, upstream, acme, token) = scene("/echo").await;
    let auth = json!({"kind": "header", "header": "X-Service-Token", "secret": "s3cret"});
    acme.server_with(json!({"name": "s", "slug": "s", "url": upstream.url("/echo"), "auth": auth})).await;
    app.key(&token).and("x-service-token", "forged").mcp("s", "", "ping", json!({})).await.expect(200);
    let seen = upstream.last();
    let values: Vec<_> = seen.headers.iter().filter(|(name, _)| name == "x-service-token").collect();
    assert_eq!(values, [&("x-service-token".to_owned(), "s3cret".to_owned())]);
}

#[tokio::test]
async fn the_assertion_says_who_calls_and_verifies_with_the_published_key() {
    let (app, upstream, acme, _) = scene("/echo").await;
    let key = acme.key(json!({"type": "platform", "role": "editor", "tenants": {"orgs": "*"}})).await;
    app.key(&key.token).mcp("up", "?org_id=globex&user_id=marina", "ping", json!({})).await.expect(200);
    let assertion = upstream.last().header("x-keyrack-assertion").expect("an assertion").to_owned();
    let jwks = app.anonymous().get("/.well-known/jwks.json").await.expect(200);
    let public =
        jsonwebtoken::DecodingKey::from_ed_components(jwks["keys"][0]["x"].as_str().expect("x")).expect("a key");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&[upstream.url("/echo")]);
    validation.set_issuer(&[&app.base]);
    let claims = jsonwebtoken::decode::<Value>(&assertion, &public, &validation).expect("verifies").claims;
    for (claim, value) in [
        ("organization", "acme"),
        ("tenantOrg", "globex"),
        ("tenantUser", "marina"),
        ("role", "editor"),
        ("keyId", &key.id),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    assert!(claims["sub"].as_str().is_some_and(|sub| sub.starts_with("tus_")));
    let lifetime = claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat");
    assert!(lifetime <= 60, "{lifetime}");
    // The access tokens of people are signed with another key.
    let person = acme.access_token.clone();
    assert!(jsonwebtoken::decode::<Value>(&person, &public, &validation).is_err());
}

#[tokio::test]
async fn every_path_form_reaches_the_server_by_slug_and_id() {
    let (app, upstream, acme, token) = scene("/echo").await;
    let id = acme.owner().get("/api/v1/mcp-servers/up").await.expect(200)["id"].as_str().expect("an id").to_owned();
    let caller = app.key(&token);
    let paths = ["up", "up/", "up/mcp", "up/mcp/"].map(|tail| format!("/mcp-connect/{tail}"));
    for path in paths.into_iter().chain([format!("/mcp-connect/{id}/mcp")]) {
        caller.post(&path, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await.expect(200);
    }
    for method in [Method::GET, Method::DELETE] {
        let request = caller.request(method.clone(), "/mcp-connect/up/mcp");
        assert_eq!(caller.send(method.to_string(), request).await.status, 200);
        assert_eq!(upstream.last().method, method.as_str());
    }
}

#[tokio::test]
async fn servers_that_are_unknown_foreign_or_outside_the_key_are_refused_in_order() {
    let (app, upstream, acme, token) = scene("/echo").await;
    let globex = app.organization("globex").await;
    let theirs = globex.server("theirs", &upstream.url("/echo")).await;
    let caller = app.key(&token);
    let unknown = caller.mcp("nothing", "", "ping", json!({})).await;
    unknown.refused(404, "server_not_found");
    for foreign in ["theirs", theirs["id"].as_str().expect("an id")] {
        let answer = caller.mcp(foreign, "", "ping", json!({})).await;
        assert_eq!(answer.body_without_request_id(), unknown.body_without_request_id());
    }
    for path in ["/mcp-connect", "/mcp-connect/", "/mcp-connect/a/b", "/mcp-connect/up/mcp/x", "/mcp-connect/%FF/mcp"] {
        caller.post(path, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await.refused(404, "server_not_found");
        app.anonymous().get(path).await.refused(401, "unauthenticated");
    }
    let other = acme.server("other", &upstream.url("/echo")).await;
    let narrow = app.key(&acme.key(json!({"servers": [other["id"]]})).await.token);
    narrow.mcp("other", "", "ping", json!({})).await.expect(200);
    narrow.mcp("up", "", "ping", json!({})).await.refused(403, "server_not_allowed");
    let blind = app.key(&acme.key(json!({"permissions": ["servers:read"]})).await.token);
    blind.mcp("up", "", "ping", json!({})).await.refused(403, "forbidden_permission");
    blind.mcp("nothing", "", "ping", json!({})).await.refused(403, "forbidden_permission");
    assert!(upstream.seen().iter().all(|seen| !seen.body.is_empty()), "a refused call went upstream");
}

#[tokio::test]
async fn refusals_carry_the_requests_id_inside_json_rpc() {
    let (app, _upstream, _, token) = scene("/echo").await;
    let message = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
    for id in [json!(7), json!("seven"), json!(null)] {
        let body = app
            .key("kr_wrong")
            .mcp_message("up", "", &message(id.clone()))
            .await
            .refused(401, "unauthenticated")
            .json();
        assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &id));
        assert!(body["error"]["code"].as_i64().is_some_and(|code| !(-32768..=-32000).contains(&code)));
        let body = app
            .key(&token)
            .mcp_message("nothing", "", &message(id.clone()))
            .await
            .refused(404, "server_not_found")
            .json();
        assert_eq!(body["id"], id);
    }
}

#[tokio::test]
async fn answers_come_back_byte_for_byte_without_what_would_mislead() {
    let (app, upstream, acme, token) = scene("/rude").await;
    let caller = app.key(&token);
    let answer = caller.mcp("up", "", "ping", json!({})).await;
    answer.expect(200);
    for absent in ["set-cookie", "www-authenticate", "location"] {
        assert!(!answer.headers.contains_key(absent), "{absent}");
    }
    assert_eq!(answer.headers["x-custom"], "kept");
    for status in [400, 404, 405, 429, 500] {
        acme.server(&format!("s{status}"), &upstream.url(&format!("/status/{status}"))).await;
        let answer = caller.mcp(&format!("s{status}"), "", "ping", json!({})).await;
        assert_eq!(answer.status, status);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}});
        let direct =
            app.http.post(upstream.url(&format!("/status/{status}"))).json(&message).send().await.expect("an answer");
        assert_eq!(answer.body, direct.text().await.expect("a body"));
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_our_credential_is_502_and_never_401() {
    let (app, upstream, acme, token) = scene("/echo").await;
    for status in [401, 403] {
        acme.server(&format!("s{status}"), &upstream.url(&format!("/status/{status}"))).await;
        let answer = app.key(&token).mcp(&format!("s{status}"), "", "ping", json!({})).await;
        answer.refused(502, "upstream_error");
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn redirects_are_followed_once_within_the_origin_and_never_elsewhere() {
    let (app, upstream, acme, token) = scene("/echo").await;
    let elsewhere = Upstream::start();
    let quoted = |to: &str| percent_encoding::utf8_percent_encode(to, percent_encoding::NON_ALPHANUMERIC).to_string();
    acme.server("near", &upstream.url(&format!("/redirect/{}", quoted("/echo")))).await;
    acme.server("loop", &upstream.url(&format!("/redirect/{}", quoted(&format!("/redirect/{}", quoted("/echo"))))))
        .await;
    acme.server_with(json!({"name": "far", "slug": "far", "url": upstream.url(&format!("/redirect/{}", quoted(&elsewhere.url("/echo")))), "auth": {"kind": "bearer", "secret": "s3cret"}})).await;
    let caller = app.key(&token);
    caller.mcp("near", "", "ping", json!({"x": 1})).await.expect(200);
    assert_eq!(upstream.last().target, "/echo");
    // These would make a GET of the call.
    for status in [301, 302, 303] {
        let url = upstream.url(&format!("/redirect/{}?{status}", quoted("/echo")));
        acme.server(&format!("s{status}"), &url).await;
        let before = upstream.seen().len();
        caller.mcp(&format!("s{status}"), "", "ping", json!({})).await.refused(502, "upstream_error");
        assert_eq!(upstream.seen().len(), before + 1, "{status}");
    }
    for server in ["loop", "far"] {
        let answer = caller.mcp(server, "", "ping", json!({})).await;
        answer.refused(502, "upstream_error");
        assert!(!answer.headers.contains_key("location"));
    }
    assert!(elsewhere.seen().is_empty(), "the credential went elsewhere");
}

#[tokio::test]
async fn events_arrive_as_they_are_sent() {
    let (app, _upstream, _, token) = scene("/sse").await;
    let response = app.key(&token).request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let began = Instant::now();
    let mut chunks = response.bytes_stream();
    let first = chunks.next().await.expect("an event").expect("bytes");
    // The stream never ends, so that it arrives at all shows that nothing waits for its end.
    assert!(first.starts_with(b"id: 0\n"), "{first:?}");
    chunks.next().await.expect("an event").expect("bytes");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_event_does_not_wait_for_the_next_one() {
    let (app, _upstream, _, token) = scene("/legacy").await;
    let response = app.key(&token).request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("an answer");
    let mut chunks = response.bytes_stream();
    // The server says nothing more.
    let first = tokio::time::timeout(Duration::from_secs(2), chunks.next()).await.expect("it was held back");
    first.expect("an event").expect("bytes");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_upstream_within_a_second() {
    for behaviour in ["/sse", "/hang"] {
        let (app, upstream, _, token) = scene(behaviour).await;
        let caller = app.key(&token);
        let request = caller
            .request(Method::POST, "/mcp-connect/up/mcp")
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "x"}));
        let call = tokio::spawn(async move {
            let response = request.send().await.expect("an answer");
            let mut chunks = response.bytes_stream();
            while chunks.next().await.is_some() {}
        });
        upstream.began(1).await;
        let left = Instant::now();
        call.abort();
        upstream.ended(1).await;
        assert!(left.elapsed() < Duration::from_secs(1), "{behaviour}: {:?}", left.elapsed());
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_upstream_breaks_off_here() {
    let (app, _upstream, _, token) = scene("/half").await;
    let response =
        app.key(&token).request(Method::POST, "/mcp-connect/up/mcp").json(&json!({})).send().await.expect("a head");
    assert_eq!(response.status(), 200, "the head and half of the body were there");
    assert!(response.bytes().await.is_err(), "half an answer passed for a whole one");
}

#[tokio::test]
async fn a_silent_upstream_is_504_and_an_unreachable_one_502() {
    let settings = [("signup", "open"), ("upstream-idle-timeout", "1"), ("upstream-connect-timeout", "1")];
    let settings = settings.map(|(flag, value)| (flag, value.to_owned())).to_vec();
    let (app, upstream) = (App::with(AppOptions { settings, ..AppOptions::default() }).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("silent", &upstream.url("/hang")).await;
    acme.server("nobody", "http://127.0.0.1:9/mcp").await;
    let caller = app.key(&acme.solo().await.token);
    let answer = caller.mcp("silent", "", "ping", json!({})).await;
    answer.refused(504, "upstream_timeout");
    assert_eq!(answer.json()["id"], 1);
    caller.mcp("nobody", "", "ping", json!({})).await.refused(502, "upstream_error");
    upstream.ended(1).await;
}

#[tokio::test]
async fn an_address_is_checked_at_every_connect_and_not_only_at_registration() {
    let (mut app, upstream, _, token) = scene("/echo").await;
    app.key(&token).mcp("up", "", "ping", json!({})).await.expect(200);
    let data = app.data.path().display().to_string();
    app.stop().await;
    // The operator takes loopback away; the server is registered still.
    let settings = vec![("data-dir", data), ("egress-allow", "10.0.0.0/8".to_owned())];
    let strict = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let before = upstream.seen().len();
    let answer = strict.key(&token).mcp("up", "", "ping", json!({})).await;
    answer.refused(502, "upstream_error");
    assert!(answer.body.contains("KEYRACK_EGRESS_ALLOW"), "{}", answer.body);
    assert_eq!(upstream.seen().len(), before);
}

#[tokio::test]
async fn four_mebibytes_pass_and_more_is_413() {
    let (app, upstream, _, token) = scene("/echo").await;
    let caller = app.key(&token);
    let text =
        |length: usize| json!({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"text": "a".repeat(length)}});
    let overhead = text(0).to_string().len();
    caller.mcp_message("up", "", &text((4 << 20) - overhead)).await.expect(200);
    assert_eq!(upstream.last().body.len(), 4 << 20);
    let before = upstream.seen().len();
    caller.mcp_message("up", "", &text((4 << 20) - overhead + 1)).await.refused(413, "payload_too_large");
    assert_eq!(upstream.seen().len(), before);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_403() {
    let (app, upstream, _, token) = scene("/echo").await;
    for (header, value) in [("host", "evil.example.com"), ("origin", "http://evil.example.com"), ("origin", "null")] {
        let caller = app.key(&token).and(header, value);
        caller.mcp("up", "", "ping", json!({})).await.refused(403, "origin_not_allowed");
        caller.get("/api/v1/me").await.refused(403, "origin_not_allowed");
        // Whether a session or a stream is there is nothing that a page may find out.
        for method in [Method::GET, Method::DELETE] {
            let request = caller.request(method.clone(), "/mcp-connect/up/mcp").header("mcp-session-id", "x");
            caller.send(method.to_string(), request).await.refused(403, "origin_not_allowed");
        }
    }
    assert!(upstream.seen().is_empty());
    app.key(&token).and("origin", "http://localhost:6274").mcp("up", "", "ping", json!({})).await.expect(200);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_passed_on_whole() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    acme.server("up", &format!("http://{}/mcp", listener.local_addr().expect("an address"))).await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut request = [0_u8; 4096];
        let _ = socket.read(&mut request).await;
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"jsonrpc\":\"2.0\"}";
        let _ = socket.write_all(answer).await;
    });
    let answer = app.key(&acme.solo().await.token).mcp("up", "", "ping", json!({})).await;
    assert_eq!(answer.expect(200), json!({"jsonrpc": "2.0"}));
}
