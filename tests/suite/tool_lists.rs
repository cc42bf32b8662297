//! The tools that the platform's own endpoint lists: all that can be called and no other, soon, and as they are now.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support::{App, AppOptions, Toolbox};

use super::platform::{ask, call, listed, names, none, server, told, tools_of_servers};

#[tokio::test]
async fn every_reachable_servers_tools_are_listed_whole_and_can_be_called() {
    let (app, one, two) = (App::spawn().await, Toolbox::start(&["look", "find_it"]), Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    server(&acme, "one", &one, none()).await;
    server(&acme, "two-b", &two, json!({"kind": "bearer", "secret": "organizations"})).await;
    let caller = app.key(&acme.client().await.token);
    let path = "/mcp?user_id=marina";
    let tools = listed(&caller, path).await;
    let found = tools.iter().find(|tool| tool["name"] == "one_find_it").expect("the tool is listed");
    assert_eq!(found["description"], "Does find_it.");
    assert_eq!(found["inputSchema"]["x-kept"], json!([1, {"a": null}]), "schemas arrive as they are");
    assert_eq!(found["inputSchema"]["properties"]["text"], json!({"type": "string"}));
    assert_eq!(found["inputSchema"]["properties"]["telemetry"]["type"], "object", "and telemetry is advertised");
    let look: Vec<&str> =
        tools.iter().filter_map(|tool| tool["name"].as_str()).filter(|name| name.contains("look")).collect();
    assert_eq!(look, ["one_look", "two-b_look"]);

    let telemetry = json!({"intent": "find a note", "frustration": "none"});
    let saw = told(&caller, path, "two-b_look", json!({"text": "x", "telemetry": telemetry})).await;
    assert_eq!(
        (&saw["tool"], &saw["arguments"]),
        (&json!("look"), &json!({"text": "x"})),
        "telemetry is not the tool's"
    );
    assert_eq!(saw["authorization"], "Bearer organizations");
    assert_eq!((&saw["claims"]["tenantUser"], &saw["claims"]["organization"]), (&json!("marina"), &json!("acme")));

    for unknown in ["one_nothing", "three_look", "look", "one_", "_look"] {
        let answer = call(&caller, path, unknown, json!({})).await;
        assert_eq!(answer["error"]["code"], -32602, "{unknown}: {answer}");
    }
    let system = names(&caller, "/mcp?user_id=marina&system_only=true").await;
    assert!(system.iter().all(|name| !name.contains("look")), "{system:?}");
    let answer = call(&caller, "/mcp?user_id=marina&system_only=true", "one_look", json!({})).await;
    assert_eq!(answer["error"]["code"], -32602, "what is not listed cannot be called");
    assert_eq!((one.called(), two.called()), (0, 1));
}

#[tokio::test]
async fn a_tool_is_listed_exactly_when_it_can_be_called() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let all = names(&app.key(&acme.key(json!({"role": "owner"})).await.token), "/mcp?system_only=true").await;
    assert!(all.len() >= 7, "{all:?}");
    let mut callers = Vec::new();
    for role in ["viewer", "editor", "admin", "owner"] {
        callers.push((role, acme.key(json!({"role": role})).await));
    }
    callers.push(("mcp_only", acme.key(json!({"permissions": ["mcp:connect"]})).await));
    callers.push(("some", acme.key(json!({"permissions": ["mcp:connect", "connections:read", "usage:read"]})).await));
    for (who, key) in callers {
        let caller = app.key(&key.token);
        let listed = names(&caller, "/mcp?system_only=true").await;
        for tool in &all {
            // Whoever may call it is told what is wrong with the argument; whoever may not, that they may not.
            let answer = call(&caller, "/mcp?system_only=true", tool, json!({"no_such_argument": true})).await;
            let code = answer["error"]["data"]["code"].as_str();
            let may = code.is_none();
            assert!(may || matches!(code, Some("forbidden_role" | "forbidden_permission")), "{who} {tool}: {answer}");
            assert_eq!(listed.contains(tool), may, "{who} {tool}: {answer}");
            if may {
                assert_eq!(
                    answer["result"]["structuredContent"]["error"]["code"], "validation_failed",
                    "{who} {tool}: {answer}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_dead_server_costs_its_own_tools_only_and_is_told_of() {
    let (app, well, slow) = (App::spawn().await, Toolbox::start(&["look"]), Toolbox::start(&["look"]));
    slow.delay(Duration::from_secs(20));
    let acme = app.organization("acme").await;
    server(&acme, "well", &well, none()).await;
    server(&acme, "slow", &slow, none()).await;
    acme.server("gone", "http://127.0.0.1:1/mcp").await;
    let caller = app.key(&acme.solo().await.token);
    let began = Instant::now();
    let names = names(&caller, "/mcp").await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(
        names.contains(&"well_look".to_owned())
            && !names.iter().any(|name| name.starts_with("slow") || name.starts_with("gone"))
    );
    let providers = told(&caller, "/mcp", "list_providers", json!({})).await;
    let status = |slug: &str| {
        let found =
            providers["providers"].as_array().expect("providers").iter().find(|provider| provider["slug"] == slug);
        found.expect("the provider is shown").clone()
    };
    assert_eq!(status("well")["status"], "ready");
    for slug in ["slow", "gone"] {
        assert_eq!(status(slug)["status"], "unavailable");
        assert!(status(slug)["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    let answer = call(&caller, "/mcp", "gone_look", json!({})).await;
    assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "upstream_error", "{answer}");
}

#[tokio::test]
async fn a_server_that_others_waited_for_in_vain_is_not_waited_for_again() {
    let (app, well, slow) = (App::spawn().await, Toolbox::start(&["look"]), Toolbox::start(&["look"]));
    slow.delay(Duration::from_secs(4));
    let acme = app.organization("acme").await;
    server(&acme, "well", &well, none()).await;
    server(&acme, "slow", &slow, none()).await;
    let caller = app.key(&acme.solo().await.token);
    assert_eq!(tools_of_servers(&caller).await, ["well_look"]);
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(tools_of_servers(&caller).await, ["well_look"]);
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let providers = told(&caller, "/mcp", "list_providers", json!({})).await;
    let reason = providers["providers"][0]["reason"].as_str().unwrap_or_default();
    assert!(providers["providers"][0]["slug"] == "slow" && reason.contains("has not answered yet"), "{providers}");
    // What is under way goes on: its tools are there as soon as they are.
    slow.delay(Duration::ZERO);
    let deadline = Instant::now() + Duration::from_secs(20);
    while tools_of_servers(&caller).await != ["slow_look", "well_look"] {
        assert!(Instant::now() < deadline, "its tools are never listed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_server_that_comes_changes_or_goes_is_so_in_the_next_list() {
    let (app, toolbox, other) = (App::spawn().await, Toolbox::start(&["look"]), Toolbox::start(&["new_look"]));
    let acme = app.organization("acme").await;
    let caller = app.key(&acme.solo().await.token);
    assert!(tools_of_servers(&caller).await.is_empty());
    for slug in ["one", "two"] {
        server(&acme, slug, &toolbox, none()).await;
        assert!(tools_of_servers(&caller).await.contains(&format!("{slug}_look")), "{slug} is new");
    }
    acme.owner().with_body(Method::PATCH, "/api/v1/mcp-servers/two", &json!({"url": other.url})).await.expect(200);
    assert_eq!(tools_of_servers(&caller).await, ["one_look", "two_new_look"]);
    acme.owner().post("/api/v1/mcp-servers/one/archive", &json!({})).await.expect(200);
    assert_eq!(tools_of_servers(&caller).await, ["two_new_look"]);
}

#[tokio::test]
async fn no_two_tools_have_one_name_and_none_is_in_the_place_of_keyracks_own() {
    let tool = |name: &str, description: &str| json!({"name": name, "description": description, "inputSchema": {"type": "object"}});
    let tools = vec![tool("providers", "x"), tool("look", "first"), tool("look", "second"), tool("servers", "x")];
    let (app, toolbox) = (App::spawn().await, Toolbox::with(tools));
    let acme = app.organization("acme").await;
    server(&acme, "list", &toolbox, none()).await;
    // Also a tool that this caller does not have itself is Keyrack's.
    let caller = app.key(&acme.key(json!({"permissions": ["mcp:connect"]})).await.token);
    let tools = listed(&caller, "/mcp").await;
    let of = |name: &str| tools.iter().filter(|tool| tool["name"] == name).collect::<Vec<_>>();
    assert_eq!((of("list_providers").len(), of("list_look").len(), of("list_servers").len()), (1, 1, 0), "{tools:?}");
    assert_ne!(of("list_providers")[0]["description"], "x");
    assert_eq!(of("list_look")[0]["description"], "first");
    // Its quotes are the caller's, and stay where they are.
    let id = "\"tools\":[]";
    let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {}});
    let request = caller
        .request(Method::POST, "/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&message);
    let answer = caller.send(format!("POST /mcp {message}"), request).await.expect(200);
    assert_eq!((&answer["id"], answer["result"]["tools"].as_array()), (&json!(id), Some(&tools)));
}

#[tokio::test]
async fn a_server_out_of_reach_has_no_tools_here() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    server(&acme, "mine", &toolbox, none()).await;
    server(&globex, "theirs", &toolbox, none()).await;
    let other = acme.server("other", &toolbox.url).await;
    let narrow = app.key(&acme.key(json!({"servers": [other["id"]]})).await.token);
    assert_eq!(tools_of_servers(&narrow).await, ["other_look"]);
    let answer = call(&narrow, "/mcp", "mine_look", json!({})).await;
    assert_eq!(answer["error"]["data"]["code"], "server_not_allowed", "{answer}");
    let answer = call(&narrow, "/mcp", "theirs_look", json!({})).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let wide = app.key(&acme.solo().await.token);
    assert_eq!(tools_of_servers(&wide).await, ["mine_look", "other_look"]);
    acme.owner().post("/api/v1/mcp-servers/mine/archive", &json!({})).await.expect(200);
    assert_eq!(tools_of_servers(&wide).await, ["other_look"]);
    assert_eq!(call(&wide, "/mcp", "mine_look", json!({})).await["error"]["code"], -32602);
    assert_eq!(toolbox.called(), 0);
}

#[tokio::test]
async fn lists_are_remembered_for_a_while_and_fetched_once_however_many_ask() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let caller = app.key(&acme.solo().await.token);
    let all = (0..20).map(|_| names(&caller, "/mcp"));
    for names in futures_util::future::join_all(all).await {
        assert!(names.contains(&"up_look".to_owned()));
    }
    call(&caller, "/mcp", "up_look", json!({})).await;
    assert_eq!((toolbox.listed(), toolbox.called()), (1, 1));
    // A server that is elsewhere has another list.
    let moved = Toolbox::start(&["other_look"]);
    acme.owner().with_body(Method::PATCH, "/api/v1/mcp-servers/up", &json!({"url": moved.url})).await.expect(200);
    assert_eq!(tools_of_servers(&caller).await, ["up_other_look"]);
}

#[tokio::test]
async fn a_project_narrows_the_tools_and_an_explicit_argument_wins() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look"]));
    let acme = app.organization("acme").await;
    let mut ids = Vec::new();
    for slug in ["one", "two"] {
        ids.push(acme.server(slug, &toolbox.url).await["id"].clone());
    }
    for (slug, id) in ["first", "second"].iter().zip(&ids) {
        let body = json!({"name": slug, "slug": slug, "servers": [id]});
        acme.owner().post("/api/v1/projects", &body).await.expect(201);
    }
    let caller = app.key(&acme.solo().await.token);
    let path = "/mcp?projectId=first";
    let tools = names(&caller, path).await;
    assert!(tools.contains(&"one_look".to_owned()) && !tools.contains(&"two_look".to_owned()), "{tools:?}");
    assert_eq!(call(&caller, path, "two_look", json!({})).await["error"]["code"], -32602);
    told(&caller, path, "one_look", json!({})).await;
    let slugs = async |arguments: Value| {
        let told = told(&caller, path, "list_providers", arguments).await;
        let slug = |provider: &Value| provider["slug"].as_str().expect("a slug").to_owned();
        told["providers"].as_array().expect("providers").iter().map(slug).collect::<Vec<_>>()
    };
    assert_eq!(slugs(json!({})).await, ["one"]);
    assert_eq!(slugs(json!({"projectId": "second"})).await, ["two"]);
    let unknown = call(&caller, path, "list_providers", json!({"projectId": "third"})).await;
    assert_eq!(unknown["result"]["structuredContent"]["error"]["code"], "not_found", "{unknown}");
    let refused = ask(&caller, "/mcp?projectId=third", "tools/list", json!({})).await;
    refused.expect_status(404);
    assert_eq!(refused.json()["error"]["data"]["code"], "not_found");
}

#[tokio::test]
async fn a_changed_tool_waits_for_an_admin_where_the_organization_wants_it() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["look", "find"]));
    let acme = app.organization("acme").await;
    server(&acme, "up", &toolbox, none()).await;
    let admin = app.key(&acme.key(json!({"role": "admin"})).await.token);
    let features = json!({"features": {"tool_approval": true}});
    acme.owner().with_body(Method::PATCH, "/api/v1/org", &features).await.expect(200);
    assert_eq!(
        names(&admin, "/mcp").await.iter().filter(|name| name.starts_with("up_")).count(),
        0,
        "nobody looked yet"
    );
    let synced = told(&admin, "/mcp", "sync_server_capabilities", json!({"server": "up"})).await;
    assert_eq!(synced["server"]["tools"].as_array().map(Vec::len), Some(2), "{synced}");
    let offered = async || {
        let all = names(&admin, "/mcp").await;
        all.into_iter().filter(|name| name.starts_with("up_")).collect::<Vec<_>>()
    };
    assert_eq!(offered().await, ["up_look", "up_find"]);
    let changed =
        json!({"name": "look", "description": "Does look.", "inputSchema": {"type": "object", "required": ["a"]}});
    let find = json!({"name": "find", "description": "Other words.", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "x-kept": [1, {"a": null}]}});
    toolbox.offer(vec![changed, find]);
    // The list is remembered for a while, and another server's is not: the same server under another address.
    let elsewhere = toolbox.url.replace("127.0.0.1", "localhost");
    acme.owner().with_body(Method::PATCH, "/api/v1/mcp-servers/up", &json!({"url": elsewhere})).await.expect(200);
    assert_eq!(offered().await, ["up_find"], "other words are harmless, another schema is not");
    assert_eq!(call(&admin, "/mcp", "up_look", json!({})).await["error"]["code"], -32602);
    told(&admin, "/mcp", "up_find", json!({})).await;
}

fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description, "inputSchema": {"type": "object"}})
}

#[tokio::test]
async fn a_list_that_changed_is_seen_when_it_is_old_and_told_in_the_log() {
    let settings = vec![("signup", "open".to_owned()), ("tool-list-ttl", "1".to_owned())];
    let app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let acme = app.organization("acme").await;
    let toolbox = Toolbox::with(vec![tool("read", "Reads."), tool("drop", "Drops.")]);
    server(&acme, "notes", &toolbox, none()).await;
    let caller = app.key(&acme.solo().await.token);
    assert!(names(&caller, "/mcp").await.iter().any(|name| name == "notes_drop"));
    toolbox.offer(vec![tool("read", "Reads everything."), tool("wipe", "Wipes.")]);
    let begun = Instant::now();
    while !names(&caller, "/mcp").await.iter().any(|name| name == "notes_wipe") {
        assert!(begun.elapsed() < Duration::from_secs(20), "the change is not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.settled().await;
    let events = acme.owner().get("/api/v1/audit-events?action=server.tools_change").await.expect(200);
    let reasons: Vec<_> = events["items"].as_array().expect("events").iter().map(|event| &event["reason"]).collect();
    assert_eq!(reasons, ["new: wipe; changed: read; gone: drop"]);
    assert_eq!(events["items"][0]["actor"]["kind"], "system");
}

#[tokio::test]
async fn what_a_sync_found_is_listed_at_once() {
    let (app, toolbox) = (App::spawn().await, Toolbox::start(&["read"]));
    let acme = app.organization("acme").await;
    server(&acme, "notes", &toolbox, none()).await;
    let caller = app.key(&acme.solo().await.token);
    assert!(names(&caller, "/mcp").await.iter().any(|name| name == "notes_read"));
    toolbox.offer(vec![tool("wipe", "Wipes.")]);
    assert!(names(&caller, "/mcp").await.iter().any(|name| name == "notes_read"), "it is remembered");
    acme.owner().post("/api/v1/mcp-servers/notes/sync", &json!({})).await.expect(200);
    let listed = names(&caller, "/mcp").await;
    assert!(listed.iter().any(|name| name == "notes_wipe") && !listed.iter().any(|name| name == "notes_read"));
}
