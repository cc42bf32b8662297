//! The platform's own MCP endpoint: what it lists is what can be called, and nobody's is anybody else's.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Browser, Organization, Store, Toolbox};

on_both! {
    a_tenants_own_credential_goes_with_its_calls_and_nobody_elses
    usage_is_the_tenants_own
    what_a_model_says_of_a_call_is_kept_without_secrets
    no_character_of_a_caller_holds_up_the_log
}

pub(super) async fn ask(caller: &Actor, path: &str, method: &str, params: Value) -> Answer {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let request = caller
        .request(Method::POST, path)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&message);
    caller.send(format!("POST {path} {message}"), request).await
}

pub(super) async fn listed(caller: &Actor, path: &str) -> Vec<Value> {
    let answer = ask(caller, path, "tools/list", json!({})).await.expect(200);
    answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("no tools in {answer}")).clone()
}

pub(super) async fn names(caller: &Actor, path: &str) -> Vec<String> {
    listed(caller, path).await.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// The whole answer's body.
pub(super) async fn call(caller: &Actor, path: &str, tool: &str, arguments: Value) -> Value {
    ask(caller, path, "tools/call", json!({"name": tool, "arguments": arguments})).await.expect(200)
}

/// What a tool that went well told.
pub(super) async fn told(caller: &Actor, path: &str, tool: &str, arguments: Value) -> Value {
    let answer = call(caller, path, tool, arguments).await;
    assert_ne!(answer["result"]["isError"], true, "{answer}");
    let told = answer["result"]["structuredContent"].clone();
    let text = answer["result"]["content"][0]["text"].as_str().expect("text beside it");
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), told);
    told
}

pub(super) async fn server(acme: &Organization, slug: &str, toolbox: &Toolbox, auth: Value) {
    acme.server_with(json!({"name": slug, "slug": slug, "url": toolbox.url, "auth": auth})).await;
}

pub(super) fn none() -> Value {
    json!({"kind": "none"})
}

#[tokio::test]
async fn it_speaks_every_revision_on_both_paths_with_and_without_a_slash() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let caller = app.key(&acme.solo().await.token);
    for path in ["/mcp", "/mcp/", "/api/mcp", "/api/mcp/"] {
        for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
            let params =
                json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
            let request = caller.request(Method::POST, path).header("accept", "application/json, text/event-stream");
            let answer = caller.send(format!("POST {path} {message}"), request.json(&message)).await;
            assert!(!answer.headers.contains_key("mcp-session-id"), "no session, so that any node answers");
            let result = &answer.expect(200)["result"];
            assert_eq!(
                (&result["protocolVersion"], &result["serverInfo"]["name"]),
                (&json!(version), &json!("keyrack"))
            );
        }
        for method in [Method::GET, Method::DELETE] {
            let request = caller.request(method, path).header("accept", "text/event-stream");
            caller.send(path.to_owned(), request).await.expect_status(405);
        }
    }
}

/// A message of the newest revision, with the headers that repeat what it says and these.
pub(super) async fn ask_modern(caller: &Actor, method: &str, mut params: Value, headers: &[(&str, &str)]) -> Answer {
    let version = "2026-07-28";
    params["_meta"] =
        json!({"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}});
    let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let request = caller.request(Method::POST, "/mcp").header("accept", "application/json, text/event-stream");
    let request = request.header("mcp-protocol-version", version).header("mcp-method", method);
    let named = name.as_deref().map(|name| ("mcp-name", name));
    let headers = headers.iter().copied().chain(named);
    let request = headers.clone().fold(request, |request, (name, value)| request.header(name, value));
    let headers: Vec<_> = headers.collect();
    caller.send(format!("POST /mcp {headers:?} {message}"), request.json(&message)).await
}

#[tokio::test]
async fn lists_are_the_callers_own_and_what_is_not_there_has_its_revisions_number() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let caller = app.key(&acme.solo().await.token);
    for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"] {
        let listed = ask_modern(&caller, method, json!({}), &[]).await.expect(200);
        assert_eq!(listed["result"]["cacheScope"], "private", "{method}: {listed}");
        assert!(listed["result"]["ttlMs"].is_u64(), "{method}: {listed}");
    }
    let (uri, name) = (json!({"uri": "test://none"}), json!({"name": "none"}));
    let modern = ask_modern(&caller, "resources/read", uri.clone(), &[]).await.expect(200);
    assert_eq!((&modern["error"]["code"], &modern["error"]["data"]), (&json!(-32602), &uri), "{modern}");
    let legacy = ask(&caller, "/mcp", "resources/read", uri.clone()).await.expect(200);
    assert_eq!((&legacy["error"]["code"], &legacy["error"]["data"]), (&json!(-32002), &uri), "{legacy}");
    for answer in [
        ask_modern(&caller, "prompts/get", name.clone(), &[]).await.expect(200),
        ask(&caller, "/mcp", "prompts/get", name.clone()).await.expect(200),
    ] {
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

#[tokio::test]
async fn a_legacy_servers_result_is_a_whole_one_for_modern_callers_and_unchanged_for_others() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let caller = app.key(&acme.solo().await.token);
    let params = json!({"name": "up_look", "arguments": {}});
    let modern = ask_modern(&caller, "tools/call", params.clone(), &[]).await.expect(200);
    assert_eq!(modern["result"]["resultType"], "complete", "{modern}");
    let legacy = ask(&caller, "/mcp", "tools/call", params).await.expect(200);
    assert_eq!(legacy["result"].get("resultType"), None, "{legacy}");
}

#[tokio::test]
async fn arguments_that_a_tool_wants_in_headers_are_held_against_them() {
    let region = json!({"type": "string", "x-mcp-header": "Region"});
    let schema = json!({"type": "object", "properties": {"region": region, "text": {"type": "string"}}});
    let tools = vec![json!({"name": "look", "description": "Looks.", "inputSchema": schema})];
    let (app, toolbox) = (App::spawn().await, Toolbox::with(tools));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let caller = app.key(&acme.solo().await.token);
    let params = json!({"name": "up_look", "arguments": {"region": "eu", "text": "x"}});
    for refused in [None, Some("us"), Some("=?base64?ZXU?=")] {
        let headers: Vec<_> = refused.map(|value| ("mcp-param-region", value)).into_iter().collect();
        let answer = ask_modern(&caller, "tools/call", params.clone(), &headers).await;
        answer.expect_status(400);
        assert_eq!((&answer.json()["error"]["code"], &answer.json()["id"]), (&json!(-32020), &json!(1)));
    }
    assert_eq!(toolbox.called(), 0);
    for value in ["eu", "=?base64?ZXU=?="] {
        let answer =
            ask_modern(&caller, "tools/call", params.clone(), &[("mcp-param-region", value)]).await.expect(200);
        assert_eq!(answer["result"]["structuredContent"]["arguments"], params["arguments"]);
    }
    // Earlier revisions have no such headers.
    told(&caller, "/mcp", "up_look", json!({"region": "eu"})).await;
    assert_eq!(toolbox.called(), 3);
}

#[tokio::test]
async fn a_caller_is_proven_before_anything_else() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    ask(&app.anonymous(), "/mcp", "tools/list", json!({})).await.expect_status(401);
    let client = app.key(&acme.client().await.token);
    let refused = ask(&client, "/mcp", "tools/list", json!({})).await;
    refused.expect_status(400);
    assert_eq!(
        (&refused.json()["error"]["data"]["code"], &refused.json()["id"]),
        (&json!("tenant_required"), &json!(1))
    );
    // People sign in to manage; the endpoint is for keys.
    ask(&acme.owner(), "/mcp", "tools/list", json!({})).await.expect_status(401);
    let none = acme.key(json!({"permissions": ["servers:read"]})).await;
    let refused = ask(&app.key(&none.token), "/mcp", "tools/list", json!({})).await;
    refused.expect_status(403);
    assert_eq!(refused.json()["error"]["data"]["code"], "forbidden_permission");
    let secret = json!({"name": "report_issue", "arguments": {"message": "x", "password": "p"}});
    let refused = ask(&app.key(&acme.solo().await.token), "/mcp", "tools/call", secret).await.expect(200);
    assert_eq!(refused["error"]["data"]["code"], "secret_argument");
}

async fn a_tenants_own_credential_goes_with_its_calls_and_nobody_elses(store: Store) {
    let (app, notes) = (App::on(store).await, Toolbox::start(&["read"]));
    let acme = app.organization("acme").await;
    server(&acme, "notes", &notes, json!({"kind": "bearer", "scope": "tenant"})).await;
    let caller = app.key(&acme.client().await.token);
    let (marina, otto) = ("/mcp?user_id=marina", "/mcp?user_id=otto");
    let provider = async |path: &str| told(&caller, path, "list_providers", json!({})).await["providers"][0].clone();
    assert_eq!(provider(marina).await["status"], "connection_required");
    assert!(!names(&caller, marina).await.contains(&"notes_read".to_owned()));
    let answer = call(&caller, marina, "notes_read", json!({})).await;
    assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "connection_required", "{answer}");
    let body = json!({"kind": "bearer", "secret": "marinas"});
    caller.with_body(Method::PUT, "/api/v1/connections/notes?user_id=marina", &body).await.expect(200);
    assert_eq!(provider(marina).await["status"], "ready");
    assert_eq!(told(&caller, marina, "notes_read", json!({})).await["authorization"], "Bearer marinas");
    assert_eq!(provider(otto).await["status"], "connection_required");
    assert!(!names(&caller, otto).await.contains(&"notes_read".to_owned()), "not even the list is Otto's");
    assert_eq!(call(&caller, otto, "notes_read", json!({})).await["result"]["isError"], true);
    assert_eq!(told(&caller, otto, "list_connections", json!({})).await["connections"], json!([]));
    let refused = call(&caller, otto, "disconnect_provider", json!({"server": "notes"})).await;
    assert_eq!(refused["result"]["structuredContent"]["error"]["code"], "not_found", "{refused}");
    let own = told(&caller, marina, "list_connections", json!({})).await;
    assert_eq!(
        (&own["connections"][0]["server"]["slug"], &own["connections"][0]["tenant"]["user"]),
        (&json!("notes"), &json!("marina"))
    );
    told(&caller, marina, "disconnect_provider", json!({"server": "notes"})).await;
    assert_eq!(call(&caller, marina, "notes_read", json!({})).await["result"]["isError"], true);
    assert_eq!(notes.called(), 1);
}

#[tokio::test]
async fn connect_provider_gives_a_link_that_connects_the_tenant_and_takes_no_credential() {
    let (app, notes) = (App::spawn().await, Toolbox::start(&["read"]));
    let acme = app.organization("acme").await;
    server(&acme, "notes", &notes, json!({"kind": "bearer", "scope": "tenant"})).await;
    server(&acme, "open", &notes, none()).await;
    let caller = app.key(&acme.client().await.token);
    let otto = "/mcp?user_id=otto";
    let refused = call(&caller, otto, "connect_provider", json!({"server": "notes", "secret": "s"})).await;
    assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    for (server, code) in [("open", "validation_failed"), ("missing", "server_not_found")] {
        let refused = call(&caller, otto, "connect_provider", json!({"server": server})).await;
        assert_eq!(refused["result"]["structuredContent"]["error"]["code"], code, "{refused}");
    }
    let given = told(&caller, otto, "connect_provider", json!({"server": "notes"})).await;
    let mut browser = Browser::default();
    let page = browser.open(given["url"].as_str().expect("a url")).await;
    assert!(page.says("<bdi>otto</bdi>"), "{}", page.body);
    let done = browser.submit(&page, "", &["proof"], &[("secret", "ottos")]).await;
    assert_eq!(done.status, 200, "{}", done.body);
    let saw = told(&caller, otto, "notes_read", json!({})).await;
    assert_eq!(saw["authorization"], "Bearer ottos");
}

async fn what_a_model_says_of_a_call_is_kept_without_secrets(store: Store) {
    let (app, notes) = (App::on(store).await, Toolbox::start(&["read"]));
    let acme = app.organization("acme").await;
    server(&acme, "notes", &notes, none()).await;
    let caller = app.key(&acme.solo().await.token);
    let telemetry = json!({"intent": "find the invoice", "context": "with ghp_0Az9By8Cx7Dw6Ev5Fu4Gt3Hs2Ir1Jq"});
    let saw = told(&caller, "/mcp", "notes_read", json!({"text": "x", "telemetry": telemetry})).await;
    assert_eq!(saw["arguments"], json!({"text": "x"}));
    told(&caller, "/mcp", "notes_read", json!({})).await;
    app.settled().await;
    let sql = app.sql().await;
    let query = "SELECT intent, context, frustration FROM call_telemetry";
    let statement = sea_orm::Statement::from_string(sea_orm::ConnectionTrait::get_database_backend(&sql), query);
    let rows = sea_orm::ConnectionTrait::query_all_raw(&sql, statement).await.expect("rows");
    let texts: Vec<Option<String>> =
        rows.iter().flat_map(|row| (0..3).map(|column| row.try_get_by_index(column).expect("a text"))).collect();
    let expected = [Some("find the invoice"), Some("with [redacted:github]"), None];
    assert_eq!(texts.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "of one call, and none of the other");
}

/// PostgreSQL takes the character nought in no text: whoever sends it must not hold up what is written of others.
async fn no_character_of_a_caller_holds_up_the_log(store: Store) {
    let (app, notes) = (App::on(store).await, Toolbox::start(&["read"]));
    let acme = app.organization("acme").await;
    server(&acme, "notes", &notes, none()).await;
    let caller = app.key(&acme.solo().await.token);
    let telemetry = json!({"intent": "a\u{0}b", "context": "\u{0}", "frustration": "\u{0}c"});
    told(&caller, "/mcp", "notes_read", json!({"text": "x", "telemetry": telemetry})).await;
    told(&caller, "/mcp", "report_issue", json!({"message": "it is\u{0}slow"})).await;
    app.settled().await;
    let log = acme.owner().get("/api/v1/audit-events?action=issue.report").await.expect(200);
    assert_eq!(log["items"][0]["reason"], "it is\u{fffd}slow", "{log}");
}

async fn usage_is_the_tenants_own(store: Store) {
    let (app, notes) = (App::on(store).await, Toolbox::start(&["read"]));
    let acme = app.organization("acme").await;
    server(&acme, "notes", &notes, none()).await;
    let caller = app.key(&acme.client().await.token);
    for _ in 0..3 {
        told(&caller, "/mcp?user_id=marina", "notes_read", json!({})).await;
    }
    // The gateway's calls are calls, too.
    caller.mcp("notes", "?user_id=otto", "ping", json!({})).await;
    app.settled().await;
    let usage = async |user: &str| {
        told(&caller, &format!("/mcp?user_id={user}"), "get_usage", json!({})).await["servers"].clone()
    };
    let servers = usage("marina").await;
    assert_eq!(
        (&servers[0]["server"], &servers[0]["calls"], &servers[0]["errors"]),
        (&json!("notes"), &json!(3), &json!(0))
    );
    assert_eq!(usage("otto").await[0]["calls"], 1);
    assert_eq!(usage("nobody").await, json!([]));
}

pub(super) async fn tools_of_servers(caller: &Actor) -> Vec<String> {
    names(caller, "/mcp").await.into_iter().filter(|name| name.ends_with("_look")).collect()
}

#[tokio::test]
async fn a_key_that_is_revoked_while_a_tool_runs_gets_no_result() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let key = acme.solo().await;
    let caller = app.key(&key.token);
    assert_eq!(tools_of_servers(&caller).await, ["up_look"]);
    toolbox.delay(Duration::from_secs(5));
    let running = tokio::spawn({
        let caller = caller.clone();
        async move { ask(&caller, "/mcp", "tools/call", json!({"name": "up_look", "arguments": {}})).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    acme.revoke(&key.id).await;
    running.await.expect("an answer").expect_status(401);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_tenant_that_is_suspended_while_a_tool_runs_gets_no_result() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let caller = app.key(&acme.client().await.token);
    told(&caller, "/mcp?user_id=marina", "up_look", json!({})).await;
    let users = acme.owner().get("/api/v1/tenants/users?userId=marina").await.expect(200);
    let id = users["items"][0]["id"].as_str().expect("an id").to_owned();
    toolbox.delay(Duration::from_secs(2));
    let running = tokio::spawn({
        let caller = caller.clone();
        let params = json!({"name": "up_look", "arguments": {}});
        async move { ask(&caller, "/mcp?user_id=marina", "tools/call", params).await }
    });
    while toolbox.called() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    acme.owner().post(&format!("/api/v1/tenants/users/{id}/suspend"), &json!({})).await.expect(200);
    let answer = running.await.expect("an answer");
    answer.expect_status(403);
    assert_eq!(answer.json()["error"]["data"]["code"], "tenant_suspended");
}

#[tokio::test]
async fn an_error_of_the_servers_own_reaches_the_caller_as_it_is() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["refuse"]));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let answer = call(&app.key(&acme.solo().await.token), "/mcp", "up_refuse", json!({})).await;
    let error = json!({"code": -32602, "message": "no such argument", "data": {"argument": "text"}});
    assert_eq!(answer["error"], error);
}

#[tokio::test]
async fn a_server_with_a_limit_counts_calls_of_its_tools() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    let limit = json!({"requests": 2, "perSeconds": 3600});
    acme.server_with(json!({"name": "up", "slug": "up", "url": toolbox.url, "rateLimit": limit})).await;
    let caller = app.key(&acme.solo().await.token);
    for expected in [Value::Null, Value::Null, json!("rate_limited")] {
        let answer = call(&caller, "/mcp", "up_look", json!({})).await;
        assert_eq!(answer["result"]["structuredContent"]["error"]["code"], expected, "{answer}");
    }
    assert_eq!(toolbox.called(), 2);
}

#[tokio::test]
async fn calls_of_tools_stand_in_the_audit_log_and_in_the_records_of_calls() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let key = acme.client().await;
    let caller = app.key(&key.token);
    told(&caller, "/mcp?user_id=marina", "up_look", json!({})).await;
    told(
        &caller,
        "/mcp?user_id=marina",
        "report_issue",
        json!({"message": "it is slow, and ghp_0Az9By8Cx7Dw6Ev5Fu4Gt3Hs2Ir1Jq"}),
    )
    .await;
    app.settled().await;
    let log = acme.owner().get("/api/v1/audit-events?limit=50").await.expect(200);
    let events = log["items"].as_array().expect("events");
    let of = |action: &str| {
        events.iter().find(|event| event["action"] == action).unwrap_or_else(|| panic!("{action}: {log}"))
    };
    assert_eq!(
        (&of("mcp.connect")["target"]["kind"], &of("mcp.connect")["tenant"]["user"]["id"]),
        (&json!("server"), &json!("marina"))
    );
    assert_eq!(of("mcp.endpoint")["outcome"], "allowed");
    let reason = of("issue.report")["reason"].as_str().expect("the report");
    assert!(reason.starts_with("it is slow") && !reason.contains("ghp_"), "{reason}");
    let scope = app.scope(&acme.access_token).await;
    let calls = app
        .services()
        .call_records
        .page(&scope, domain::page::PageRequest { limit: domain::page::Limit::default(), after: None })
        .await
        .expect("records");
    let call = calls.items.first().expect("a record");
    assert_eq!(call.tool.as_ref().map(domain::call::Label::as_str), Some("look"));
    assert_eq!(call.outcome, domain::call::Outcome::Answered);
}
