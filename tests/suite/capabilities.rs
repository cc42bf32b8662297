//! Asking servers what they offer: what is kept of it, how a change is told, and what must be approved.

use std::path::PathBuf;

use domain::access::permission::ServersSync;
use domain::audit::AuditEvent;
use domain::audit::AuditTarget;
use domain::capability::Snapshot;
use domain::capability::port::{Answer, KeepFault};
use domain::server::port::ServerName;
use domain::time::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Organization, Store, Upstream};

use super::audit_changes::refuse_changes;
use super::clients::{script, start};

on_both! {
    a_sync_keeps_what_the_server_offers_and_tells_how_it_changed
    a_changed_tool_is_offered_again_when_an_admin_has_approved_what_they_saw
    nothing_is_kept_or_approved_without_its_row_in_the_log
    syncs_at_once_come_one_after_the_other
    what_another_url_said_is_not_kept
}

const SYNC: &str = "/api/v1/mcp-servers/it/sync";
const VIEW: &str = "/api/v1/mcp-servers/it";
const APPROVE: &str = "/api/v1/mcp-servers/it/tools/approve";

fn tool(name: &str, schema: Value, hints: Value) -> Value {
    json!({"name": name, "description": "Does it.", "inputSchema": schema, "annotations": hints})
}

fn reads(name: &str) -> Value {
    tool(name, json!({"type": "object"}), json!({"readOnlyHint": true}))
}

async fn registered(store: Store) -> (App, Organization, Upstream) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("it", &upstream.url("/offer")).await;
    (app, acme, upstream)
}

async fn sync(actor: &Actor) -> Value {
    actor.post(SYNC, &json!({})).await.expect(200)
}

/// The log's rows of this action, oldest first, by their reasons.
async fn reasons(app: &App, acme: &Organization, action: &str) -> Vec<String> {
    app.settled().await;
    let events = acme.owner().get(&format!("/api/v1/audit-events?action={action}")).await.expect(200);
    let reason = |event: &Value| event["reason"].as_str().unwrap_or_default().to_owned();
    let mut reasons: Vec<_> = events["items"].as_array().expect("events").iter().map(reason).collect();
    reasons.reverse();
    reasons
}

fn statuses(server: &Value) -> Vec<(&str, &str)> {
    let tools = server["tools"].as_array().expect("tools");
    tools.iter().map(|tool| (text(&tool["name"]), text(&tool["status"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn a_sync_keeps_what_the_server_offers_and_tells_how_it_changed(store: Store) {
    let (app, acme, upstream) = registered(store).await;
    let before = acme.owner().get(VIEW).await.expect(200);
    assert_eq!((&before["tools"], &before["syncedAt"], &before["changes"]), (&json!([]), &Value::Null, &json!([])));
    let nul = json!({"name": "odd", "title": "A title", "description": "a\u{0}b", "inputSchema": {"type": "object"}});
    upstream.offer(json!({
        "tools": [reads("look"), reads("find"), nul],
        "prompts": [{"name": "ask", "arguments": [{"name": "what", "required": true}]}],
        "resources": [{"uri": "file:///a", "name": "a", "mimeType": "text/plain"}],
    }));
    let first = sync(&acme.owner()).await;
    assert_eq!(statuses(&first), [("find", "offered"), ("look", "offered"), ("odd", "offered")]);
    assert_eq!(first["tools"][2]["description"], "a\u{0}b");
    let silent = json!({"readOnlyHint": null, "destructiveHint": null, "idempotentHint": null, "openWorldHint": null});
    assert_eq!((&first["tools"][2]["annotations"], &first["changes"]), (&silent, &json!([])));
    assert_eq!(acme.owner().get(VIEW).await.expect(200), first, "what is answered is what is kept");
    assert_eq!(acme.owner().get("/api/v1/mcp-servers").await.expect(200)["items"], json!([first]));

    upstream.offer(json!({
        "tools": [
            tool("look", json!({"type": "object"}), json!({"destructiveHint": true})),
            tool("find", json!({"type": "object", "required": ["a"]}), json!({"readOnlyHint": true})),
            tool("drop", json!({"type": "object"}), json!({})),
        ],
        "prompts": [{"name": "ask", "description": "Asks.", "arguments": [{"name": "what", "required": true}]}],
        "resources": [{"uri": "file:///a", "name": "a", "mimeType": "text/plain"}, {"uri": "file:///b", "name": "b"}],
    }));
    let second = sync(&acme.owner()).await;
    let change = |change, grade, kind, name| json!({"change": change, "grade": grade, "kind": kind, "name": name});
    let expected = json!([
        change("new_destructive", "dangerous", "tool", "drop"),
        change("became_destructive", "dangerous", "tool", "look"),
        change("schema_changed", "changed", "tool", "find"),
        change("removed", "changed", "tool", "odd"),
        change("added", "changed", "resource", "file:///b"),
        change("text_changed", "harmless", "prompt", "ask"),
    ]);
    assert_eq!(second["changes"], expected);
    assert!(second["syncedAt"].as_str() > first["syncedAt"].as_str());
    assert_eq!(statuses(&second).len(), 3);
    let third = sync(&acme.owner()).await;
    assert_eq!(third["changes"], json!([]));
    let told = reasons(&app, &acme, "server.sync").await;
    assert_eq!(told[0], "3 tools, 1 prompt, 1 resource, 0 resource templates; first sync");
    let graded = "2 dangerous, 3 changed, 1 harmless (new_destructive tool drop, became_destructive tool look, ";
    assert!(told[1].contains(graded), "{}", told[1]);
    assert!(told[2].ends_with("; nothing changed"), "{}", told[2]);
}

async fn a_changed_tool_is_offered_again_when_an_admin_has_approved_what_they_saw(store: Store) {
    let (app, acme, upstream) = registered(store).await;
    let admin = acme.member("admin", "admin").await.actor();
    upstream.offer(json!({"tools": [reads("look"), reads("find")]}));
    sync(&admin).await;
    let features = |on: bool| json!({"features": {"tool_approval": on}});
    let org = admin.with_body(Method::PATCH, "/api/v1/org", &features(true)).await.expect(200);
    assert_eq!(org["features"]["tool_approval"], true);
    assert_eq!(
        statuses(&admin.get(VIEW).await.expect(200)),
        [("find", "offered"), ("look", "offered")],
        "what was offered goes on"
    );

    let mut worded = reads("find");
    worded["description"] = "Other words.".into();
    let changed = tool("look", json!({"type": "object", "required": ["a"]}), json!({"readOnlyHint": true}));
    upstream.offer(json!({"tools": [worded, changed, reads("new")]}));
    let server = sync(&admin).await;
    let waiting = [("find", "offered"), ("look", "awaiting_approval"), ("new", "awaiting_approval")];
    assert_eq!(statuses(&server), waiting);
    let seen = |server: &Value, index: usize| {
        let tool = &server["tools"][index];
        json!({"name": tool["name"], "fingerprint": tool["fingerprint"]})
    };
    let approval = json!({"tools": [seen(&server, 2), seen(&server, 1)]});

    // It changes once more before anybody approves it.
    let again = tool("look", json!({"type": "object", "required": ["b"]}), json!({"readOnlyHint": true}));
    upstream.offer(json!({"tools": [reads("find"), again, reads("new")]}));
    let server = sync(&admin).await;
    admin.post(APPROVE, &approval).await.refused(409, "conflict");
    assert_eq!(statuses(&admin.get(VIEW).await.expect(200)), waiting, "nor the other one of the two");
    let unknown = json!({"tools": [{"name": "gone", "fingerprint": server["tools"][0]["fingerprint"]}]});
    admin.post(APPROVE, &unknown).await.refused(400, "validation_failed").names_field("tools[0].name");
    let wrong = json!({"tools": [{"name": "look", "fingerprint": "?"}]});
    admin.post(APPROVE, &wrong).await.refused(400, "validation_failed").names_field("tools[0].fingerprint");
    admin.post(APPROVE, &json!({"tools": []})).await.refused(400, "validation_failed").names_field("tools");

    let approved = admin.post(APPROVE, &json!({"tools": [seen(&server, 1)]})).await.expect(200);
    let one = [("find", "offered"), ("look", "offered"), ("new", "awaiting_approval")];
    assert_eq!(statuses(&approved), one);
    admin.post(APPROVE, &json!({"tools": [seen(&server, 1)]})).await.expect(200);
    assert_eq!(statuses(&sync(&admin).await), one, "a sync that finds nothing new takes no approval back");
    assert_eq!(reasons(&app, &acme, "server.approve_tools").await, ["look"], "and approving again is none");

    admin.with_body(Method::PATCH, "/api/v1/org", &features(false)).await.expect(200);
    let all = [("find", "offered"), ("look", "offered"), ("new", "offered")];
    assert_eq!(statuses(&admin.get(VIEW).await.expect(200)), all);
}

async fn nothing_is_kept_or_approved_without_its_row_in_the_log(store: Store) {
    let (app, acme, upstream) = registered(store).await;
    upstream.offer(json!({"tools": [reads("look")]}));
    let features = json!({"features": {"tool_approval": true}});
    acme.owner().with_body(Method::PATCH, "/api/v1/org", &features).await.expect(200);
    sync(&acme.owner()).await;
    upstream.offer(json!({"tools": [reads("look"), reads("new")]}));
    let synced = sync(&acme.owner()).await;
    upstream.offer(json!({"tools": []}));
    let seen = json!({"tools": [{"name": "new", "fingerprint": synced["tools"][1]["fingerprint"]}]});
    refuse_changes(&app, store, true).await;
    for (path, body) in [(SYNC, json!({})), (APPROVE, seen.clone())] {
        let answer = acme.owner().post(path, &body).await;
        assert!(answer.status >= 500, "{} answered {}", answer.asked, answer.status);
    }
    refuse_changes(&app, store, false).await;
    assert_eq!(acme.owner().get(VIEW).await.expect(200), synced);
    assert_eq!(statuses(&acme.owner().post(APPROVE, &seen).await.expect(200))[1], ("new", "offered"));
}

async fn syncs_at_once_come_one_after_the_other(store: Store) {
    let (app, acme, upstream) = registered(store).await;
    upstream.offer(json!({"tools": [reads("look")]}));
    let owner = acme.owner();
    let four = futures_util::future::join_all((0..4).map(|_| sync(&owner))).await;
    assert!(four.iter().all(|server| statuses(server) == [("look", "offered")]));
    let told = reasons(&app, &acme, "server.sync").await;
    assert_eq!(told.iter().filter(|told| told.ends_with("first sync")).count(), 1, "{told:?}");
    assert_eq!(told.len(), 4);
}

async fn what_another_url_said_is_not_kept(store: Store) {
    let (app, acme, upstream) = registered(store).await;
    let grant = app.scope(&acme.access_token).await.grant::<ServersSync>().expect("an owner");
    let name = ServerName::parse("it").expect("a slug");
    let server = app.services().servers.to_sync(&grant, &name).await.expect("it is there");
    let keep = async || {
        let answer = Answer { snapshot: Snapshot::default(), at: SystemClock.now(), approval: false };
        let event = AuditEvent::allowed(&grant, "server.sync", AuditTarget::Server(server.id), SystemClock.now());
        app.services().capabilities.keep(&grant, &server, answer, event).await
    };
    keep().await.expect("nothing changed meanwhile");
    let moved = json!({"url": upstream.url("/elsewhere")});
    acme.owner().with_body(Method::PATCH, VIEW, &moved).await.expect(200);
    assert!(matches!(keep().await, Err(KeepFault::ServerChanged)));
    acme.owner().with_body(Method::PATCH, VIEW, &json!({"url": upstream.url("/offer")})).await.expect(200);
    keep().await.expect("it is the same again");
    acme.owner().post("/api/v1/mcp-servers/it/archive", &json!({})).await.expect(200);
    assert!(matches!(keep().await, Err(KeepFault::ServerChanged)));
    acme.owner().post(SYNC, &json!({})).await.refused(409, "conflict");
}

#[tokio::test]
async fn a_server_that_gives_no_answer_changes_nothing_and_says_why() {
    let (_app, acme, upstream) = registered(Store::Sqlite).await;
    upstream.offer(json!({"tools": [reads("look")]}));
    let timeouts = json!({"timeouts": {"idleMs": 1000}});
    acme.owner().with_body(Method::PATCH, VIEW, &timeouts).await.expect(200);
    let synced = sync(&acme.owner()).await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for (url, status, code, why) in [
        (format!("http://{gone}/mcp"), 502, "upstream_error", "cannot connect"),
        (upstream.url("/hang"), 504, "upstream_timeout", "did not answer in time"),
        (upstream.url("/status/401"), 502, "upstream_error", "refused Keyrack's credential with 401"),
        (upstream.url("/status/503"), 502, "upstream_error", "upstream's own"),
        (upstream.url("/redirect/http%3A%2F%2Fexample.com%2F"), 502, "upstream_error", "redirects elsewhere"),
        (upstream.url("/half"), 502, "upstream_error", "before its answer was complete"),
        (upstream.url("/echo"), 502, "upstream_error", "broke the protocol"),
    ] {
        acme.owner().with_body(Method::PATCH, VIEW, &json!({"url": url})).await.expect(200);
        let answer = acme.owner().post(SYNC, &json!({})).await;
        answer.refused(status, code);
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|said| said.contains(why)), "{}", answer.json());
        let kept = acme.owner().get(VIEW).await.expect(200);
        assert_eq!((&kept["tools"], &kept["syncedAt"]), (&synced["tools"], &synced["syncedAt"]), "{url}");
    }
}

#[tokio::test]
async fn two_different_tools_of_one_name_are_not_kept() {
    let (_app, acme, upstream) = registered(Store::Sqlite).await;
    upstream.offer(json!({"tools": [reads("look"), tool("look", json!({"type": "object"}), json!({}))]}));
    acme.owner().post(SYNC, &json!({})).await.refused(502, "upstream_error");
    assert_eq!(acme.owner().get(VIEW).await.expect(200)["syncedAt"], Value::Null);
}

#[tokio::test]
async fn a_server_is_asked_with_the_organizations_credential_and_told_who_asks() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    upstream.offer(json!({"tools": []}));
    let auth = json!({"kind": "bearer", "scope": "organization", "secret": "the-secret"});
    let created =
        acme.server_with(json!({"name": "it", "slug": "it", "url": upstream.url("/offer"), "auth": auth})).await;
    sync(&acme.owner()).await;
    let seen = upstream.seen();
    assert!(seen.len() > 3);
    for request in seen {
        assert_eq!(request.header("authorization"), Some("Bearer the-secret"));
        let claims = request.claims();
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(acme.owner_id), &created["url"]));
        assert_eq!((&claims["organization"], &claims["role"]), (&json!("acme"), &json!("owner")));
        assert!(!format!("{request:?}").contains(&acme.access_token), "the caller's own token goes nowhere");
    }
}

#[tokio::test]
async fn where_each_tenant_brings_a_credential_a_server_is_asked_with_the_callers_own() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    upstream.offer(json!({"tools": [reads("look")]}));
    let auth = json!({"kind": "bearer", "scope": "tenant"});
    acme.server_with(json!({"name": "it", "slug": "it", "url": upstream.url("/offer"), "auth": auth})).await;
    acme.owner().post(SYNC, &json!({})).await.refused(403, "connection_required");
    assert!(upstream.seen().is_empty());
    let admin = acme.member("admin", "admin").await.actor();
    for (actor, secret) in [(&acme.owner(), "the-owners"), (&admin, "the-admins")] {
        let body = json!({"kind": "bearer", "secret": secret});
        actor.with_body(Method::PUT, "/api/v1/connections/it", &body).await.expect(200);
    }
    sync(&admin).await;
    let bearers: Vec<_> = upstream.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert!(bearers.iter().all(|bearer| bearer.as_deref() == Some("Bearer the-admins")), "{bearers:?}");
}

#[tokio::test]
async fn a_key_syncs_with_servers_write_and_the_role_of_an_admin_and_approves_nothing() {
    let (app, acme, upstream) = registered(Store::Sqlite).await;
    upstream.offer(json!({"tools": [reads("look")]}));
    let key = async |body: Value| app.key(&acme.key(body).await.token);
    let may = key(json!({"role": "admin", "permissions": ["servers:read", "servers:write"]})).await;
    let server = sync(&may).await;
    let editor = key(json!({"role": "editor", "permissions": ["servers:read", "servers:write"]})).await;
    editor.post(SYNC, &json!({})).await.refused(403, "forbidden_role");
    let reader = key(json!({"role": "admin", "permissions": ["servers:read"]})).await;
    let refused = reader.post(SYNC, &json!({})).await;
    refused.refused(403, "forbidden_permission");
    assert!(refused.json()["error"]["message"].as_str().is_some_and(|said| said.contains("servers:write")));
    let elsewhere = acme.server("other", &upstream.url("/offer")).await;
    let outside = key(json!({"role": "admin", "servers": [elsewhere["id"]]})).await;
    outside.post(SYNC, &json!({})).await.refused(403, "server_not_allowed");
    let seen = json!({"tools": [{"name": "look", "fingerprint": server["tools"][0]["fingerprint"]}]});
    may.post(APPROVE, &seen).await.refused(403, "forbidden_permission");
    let asked = json!({"name": "x", "role": "admin", "permissions": ["servers:sync"]});
    acme.owner().post("/api/v1/api-keys", &asked).await.refused(400, "validation_failed");
}

#[tokio::test]
async fn servers_of_either_era_are_synced_and_found_unchanged_again() {
    let both = PathBuf::from(env!("CARGO_BIN_EXE_conformance_upstream"));
    for (program, prompts) in [(script("everything.sh"), true), (both, true)] {
        let (_server, endpoint) = start(program.clone()).await;
        let app = App::spawn().await;
        let acme = app.organization("acme").await;
        acme.server("it", &endpoint).await;
        let first = sync(&acme.owner()).await;
        assert!(statuses(&first).contains(&("echo", "offered")), "{}: {first}", program.display());
        let again = sync(&acme.owner()).await;
        assert_eq!(again["changes"], json!([]), "{}", program.display());
        let told = reasons(&app, &acme, "server.sync").await;
        assert_eq!(!told[0].contains(" 0 prompts"), prompts, "{told:?}");
    }
}
