//! Who gets what: every operation of the API document for every kind of caller, as one committed table. An operation
//! without a row is red; a changed row is a security review.
//!
//! `UPDATE_MATRIX=1 cargo test -p keyrack-tests --test suite matrix` rewrites the table.

use std::fmt::Write;
use std::path::Path;

use domain::time::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use support::calls::{call, saying};
use support::{Actor, App, Organization, PASSWORD, Person, Upstream, Workbench};

use super::runs;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suite/matrix.txt");

/// A request that succeeds for whoever may make it. `fresh` ids belong to the caller's own organization and nobody
/// else has used them.
#[expect(clippy::too_many_lines, reason = "one page that has a request for every operation")]
pub(super) async fn request(
    operation: &str,
    acme: &Organization,
    number: usize,
) -> (Value, Vec<(&'static str, String)>) {
    let none = (Value::Null, vec![]);
    let fresh_key = async || vec![("id", acme.client().await.id)];
    match operation {
        "sign_up" => {
            let slug = format!("new-{number}");
            let body = json!({"email": format!("{slug}@example.com"), "password": "correct horse battery", "organization": {"name": "New", "slug": slug}});
            (body, vec![])
        }
        "log_in" => (json!({"email": "owner@acme.example.com", "password": "correct horse battery"}), vec![]),
        "refresh"
        | "log_out"
        | "get_me"
        | "get_org"
        | "get_health"
        | "get_ready"
        | "get_jwks"
        | "get_usage"
        | "list_api_keys"
        | "list_mcp_servers"
        | "list_access_policies"
        | "list_groups"
        | "list_projects"
        | "list_workflows"
        | "list_runs"
        | "list_tenant_orgs"
        | "list_tenant_users"
        | "list_audit_events"
        | "list_instance_api_keys"
        | "export_audit_events"
        | "list_members"
        | "list_invitations"
        | "list_connections"
        | "list_my_organizations" => none,
        "change_org" => (json!({"name": "A name"}), vec![]),
        "create_organization" => (json!({"name": "New", "slug": format!("another-{number}")}), vec![]),
        SWITCH => (json!({"organization": "acme"}), vec![]),
        "create_invitation" => (json!({"email": format!("i{number}@example.com"), "role": "viewer"}), vec![]),
        "revoke_invitation" => {
            let invited = acme.invite(&format!("i{number}@example.com"), "viewer").await;
            (Value::Null, vec![("id", invited["invitation"]["id"].as_str().expect("an id").to_owned())])
        }
        "accept_invitation" => {
            let invited = acme.invite(&format!("i{number}@example.com"), "viewer").await;
            (json!({"token": invited["token"], "password": PASSWORD}), vec![])
        }
        "get_member" => (Value::Null, vec![("id", acme.owner_id.clone())]),
        "change_member" => (json!({"role": "editor"}), vec![("id", fresh_member(acme, number).await)]),
        "remove_member" => (Value::Null, vec![("id", fresh_member(acme, number).await)]),
        // A right password would make somebody else the owner of the rest of the table.
        "transfer_ownership" => {
            (json!({"userId": fresh_member(acme, number).await, "password": "wrong horse battery"}), vec![])
        }
        "no_oauth" => (Value::Null, vec![("rest", "protected-resource".to_owned())]),
        "create_mcp_server" => {
            (json!({"name": format!("server {number}"), "url": "https://x.example.com/mcp"}), vec![])
        }
        "get_mcp_server" | "archive_mcp_server" => {
            let slug = format!("fresh-{number}");
            acme.server(&slug, "https://x.example.com/mcp").await;
            (Value::Null, vec![("server", slug)])
        }
        "change_mcp_server" => {
            let slug = format!("fresh-{number}");
            acme.server(&slug, "https://x.example.com/mcp").await;
            (json!({"name": "Another name"}), vec![("server", slug)])
        }
        "sync_mcp_server" => (Value::Null, vec![("server", synced(acme, number).await.0)]),
        "approve_tools" => {
            let (slug, server) = synced(acme, number).await;
            let tool = &server["tools"][0];
            let seen = json!({"name": tool["name"], "fingerprint": tool["fingerprint"]});
            (json!({"tools": [seen]}), vec![("server", slug)])
        }
        // The connection is the owner's: others have none.
        "get_connection" | "delete_connection" => {
            let slug = tenants_server(acme, number).await;
            let body = json!({"kind": "bearer", "secret": "s"});
            acme.owner().with_body(Method::PUT, &format!("/api/v1/connections/{slug}"), &body).await.expect(200);
            (Value::Null, vec![("server", slug)])
        }
        "put_connection" => {
            (json!({"kind": "bearer", "secret": "s"}), vec![("server", tenants_server(acme, number).await)])
        }
        "create_connect_link" => (Value::Null, vec![("server", tenants_server(acme, number).await)]),
        "create_tenant_org" => (json!({"orgId": format!("customer-{number}")}), vec![]),
        "create_tenant_user" => (json!({"userId": format!("user-{number}")}), vec![]),
        "suspend_tenant_org" | "resume_tenant_org" => {
            let body = json!({"orgId": format!("fresh-{number}")});
            let made = acme.owner().post("/api/v1/tenants/orgs", &body).await.expect(201);
            (Value::Null, vec![("id", made["id"].as_str().expect("an id").to_owned())])
        }
        "suspend_tenant_user" | "resume_tenant_user" => {
            let body = json!({"userId": format!("fresh-{number}")});
            let made = acme.owner().post("/api/v1/tenants/users", &body).await.expect(201);
            (Value::Null, vec![("id", made["id"].as_str().expect("an id").to_owned())])
        }
        "create_api_key" => (json!({"name": "x"}), vec![]),
        "change_api_key" => (json!({"name": "y"}), fresh_key().await),
        "rotate_api_key" => (json!({"graceSeconds": 60}), fresh_key().await),
        "revoke_api_keys" => (json!({"tenant": {"orgId": "nobody"}}), vec![]),
        "get_api_key" | "revoke_api_key" | "get_instance_api_key" | "revoke_instance_api_key" => {
            (Value::Null, fresh_key().await)
        }
        "replace_api_key_tenants" => (json!({"users": ["a"]}), fresh_key().await),
        "change_api_key_tenants" => (json!({"add": {"users": ["a"]}}), {
            let key = acme.key(json!({"type": "client", "tenants": {"users": []}})).await;
            vec![("id", key.id)]
        }),
        "create_access_policy" => {
            (json!({"name": format!("policy {number}"), "subjects": [], "resources": []}), vec![])
        }
        "get_access_policy" | "delete_access_policy" => {
            (Value::Null, vec![("id", fresh(acme, "access-policies", number).await)])
        }
        "update_access_policy" => (json!({"subjects": []}), vec![("id", fresh(acme, "access-policies", number).await)]),
        "create_group" => (json!({"name": format!("group {number}")}), vec![]),
        "get_group" | "delete_group" => (Value::Null, vec![("id", fresh(acme, "groups", number).await)]),
        "update_group" => (json!({"add": []}), vec![("id", fresh(acme, "groups", number).await)]),
        "create_project" => {
            let server = acme.server(&format!("fresh-{number}"), "https://x.example.com/mcp").await;
            (json!({"name": format!("project {number}"), "servers": [server["id"]]}), vec![])
        }
        "get_project" => (Value::Null, vec![("id", fresh(acme, "projects", number).await)]),
        "update_project" => (json!({"name": "Another name"}), vec![("id", fresh(acme, "projects", number).await)]),
        "create_workflow" => (workflow(acme, number).await, vec![]),
        "get_workflow" | "archive_workflow" | "restore_workflow" | "list_workflow_versions" => {
            (Value::Null, vec![("id", fresh_workflow(acme, number).await)])
        }
        "change_workflow" => (json!({"name": "Another name"}), vec![("id", fresh_workflow(acme, number).await)]),
        "get_workflow_version" => {
            (Value::Null, vec![("id", fresh_workflow(acme, number).await), ("version", "1".to_owned())])
        }
        "propose_workflow_change" => {
            (json!({"change": {"name": "Another name"}}), vec![("id", fresh_workflow(acme, number).await)])
        }
        "list_workflow_proposals" => (Value::Null, vec![("id", fresh_workflow(acme, number).await)]),
        "get_workflow_proposal" | "apply_workflow_change" | "reject_workflow_proposal" => {
            let id = fresh_workflow(acme, number).await;
            let body = json!({"change": {"name": "Another name"}});
            let made = acme.owner().post(&format!("/api/v1/workflows/{id}/proposals"), &body).await.expect(201);
            (Value::Null, vec![("id", id), ("proposal", made["id"].as_str().expect("an id").to_owned())])
        }
        "create_run" => (Value::Null, vec![("id", passed_run(acme).await.0)]),
        "get_run" | "list_run_steps" | "watch_run" => (Value::Null, vec![("id", passed_run(acme).await.1)]),
        "cancel_run" => (Value::Null, vec![("id", cancelled_run(acme, number).await)]),
        "compare_run" => (Value::Null, vec![("id", baseline(acme).await.1)]),
        "set_baseline" => {
            let (workflow, run) = passed_run(acme).await;
            (json!({"runId": run}), vec![("id", workflow)])
        }
        "remove_baseline" => (Value::Null, vec![("id", baseline(acme).await.0)]),
        "get_insights_overview" | "list_topics" | "list_sessions" => {
            acme.switch_insights(true).await;
            none
        }
        "get_topic" => (Value::Null, vec![("id", of_insights(acme, "topics").await)]),
        "get_session" => (Value::Null, vec![("id", of_insights(acme, "sessions").await)]),
        "update_topic" => (json!({"unmetDemand": true}), vec![("id", of_insights(acme, "topics").await)]),
        "authorize_request" => (json!({"apiKeyId": acme.client().await.id, "userId": "a"}), vec![]),
        "verify_key" => (json!({"token": acme.client().await.token, "userId": "a"}), vec![]),
        unknown => panic!("{unknown} has no row in the authorization matrix: add it to `request` here"),
    }
}

/// A topic or a session.
async fn of_insights(acme: &Organization, area: &str) -> String {
    acme.switch_insights(true).await;
    acme.record(vec![saying(call(acme, "look"), "find the unpaid invoices", None)]).await;
    let list = acme.owner().get(&format!("/api/v1/insights/{area}?limit=1")).await.expect(200);
    list["items"][0]["id"].as_str().expect("an id").to_owned()
}

/// A server that was synced, and answers again.
async fn synced(acme: &Organization, number: usize) -> (String, Value) {
    let (slug, upstream) = (format!("fresh-{number}"), Upstream::start());
    upstream.offer(json!({"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}));
    acme.server(&slug, &upstream.url("/offer")).await;
    let server = acme.owner().post(&format!("/api/v1/mcp-servers/{slug}/sync"), &json!({})).await.expect(200);
    (slug, server)
}

/// The slug of a server whose tenants bring their own credentials.
async fn tenants_server(acme: &Organization, number: usize) -> String {
    let slug = format!("tenants-{number}");
    let auth = json!({"kind": "bearer", "scope": "tenant"});
    acme.server_with(json!({"name": slug, "slug": slug, "url": "https://x.example.com/mcp", "auth": auth})).await;
    slug
}

/// A policy, group or project that nobody else has used.
async fn fresh(acme: &Organization, area: &str, number: usize) -> String {
    let body = match area {
        "groups" | "projects" => json!({"name": format!("fresh {number}")}),
        _ => json!({"name": format!("fresh {number}"), "subjects": [], "resources": []}),
    };
    let made = acme.owner().post(&format!("/api/v1/{area}"), &body).await.expect(201);
    made["id"].as_str().expect("an id").to_owned()
}

/// A workflow to make, on a server that nobody else has used.
async fn workflow(acme: &Organization, number: usize) -> Value {
    let server = acme.server(&format!("fresh-{number}"), "https://x.example.com/mcp").await;
    json!({"name": format!("workflow {number}"), "steps": [{"name": "look", "server": server["id"], "tool": "look"}]})
}

/// A workflow that nobody else has used.
async fn fresh_workflow(acme: &Organization, number: usize) -> String {
    let made = acme.owner().post("/api/v1/workflows", &workflow(acme, number).await).await.expect(201);
    made["id"].as_str().expect("an id").to_owned()
}

/// A workflow, and a run of it that passed; the same for every request, since none of them changes it.
async fn passed_run(acme: &Organization) -> (String, String) {
    let owner = acme.owner();
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let passed = owner.get("/api/v1/runs?status=pass&limit=1").await.expect(200)["items"][0].clone();
    if passed.is_object() {
        return (text(&passed["workflowId"]), text(&passed["id"]));
    }
    acme.server("bench", &Workbench::start().url).await;
    let workflow = runs::workflow(acme, json!([runs::step("a", "echo", json!({}))])).await;
    let run = runs::dispatched(&owner, &workflow).await;
    assert_eq!(runs::over(&owner, &run).await["status"], "pass");
    (workflow, run)
}

/// The same, and the run is the workflow's baseline.
async fn baseline(acme: &Organization) -> (String, String) {
    let (workflow, run) = passed_run(acme).await;
    let path = format!("/api/v1/workflows/{workflow}/baseline");
    acme.owner().with_body(Method::PUT, &path, &json!({"runId": run})).await.expect(200);
    (workflow, run)
}

/// A run that was cancelled: cancelling it again is as good as the first time.
async fn cancelled_run(acme: &Organization, number: usize) -> String {
    let slug = format!("hangs-{number}");
    acme.server(&slug, &Workbench::start().url).await;
    let step = json!([{"name": "a", "server": slug, "tool": "hang"}]);
    let run = runs::dispatched(&acme.owner(), &runs::workflow(acme, step).await).await;
    acme.owner().post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await.expect(200);
    runs::over(&acme.owner(), &run).await;
    run
}

async fn fresh_member(acme: &Organization, number: usize) -> String {
    acme.member(&format!("fresh{number}"), "viewer").await.id
}

/// The permission that an operation needs, where a key can hold it.
fn permission(operation: &str) -> Option<&'static str> {
    match operation {
        "create_mcp_server" | "change_mcp_server" | "archive_mcp_server" | "sync_mcp_server" => Some("servers:write"),
        tenants if tenants.contains("_tenant_") => Some("servers:write"),
        "get_mcp_server" | "list_mcp_servers" => Some("servers:read"),
        "create_project" | "update_project" => Some("projects:write"),
        "get_project" | "list_projects" => Some("projects:read"),
        "create_workflow" | "change_workflow" | "archive_workflow" | "restore_workflow" | "apply_workflow_change" => {
            Some("workflows:write")
        }
        "propose_workflow_change" | "reject_workflow_proposal" => Some("workflows:read"),
        read if read.contains("workflow") => Some("workflows:read"),
        "create_run" | "cancel_run" => Some("runs:dispatch"),
        "get_run" | "list_runs" | "list_run_steps" | "watch_run" | "compare_run" => Some("runs:read"),
        "set_baseline" | "remove_baseline" => Some("workflows:write"),
        "authorize_request" | "verify_key" => Some("keys:verify"),
        "get_usage" => Some("usage:read"),
        "update_topic" => Some("insights:write"),
        "get_insights_overview" | "list_topics" | "get_topic" | "list_sessions" | "get_session" => {
            Some("insights:read")
        }
        "get_connection" | "list_connections" => Some("connections:read"),
        "put_connection" | "delete_connection" | "create_connect_link" => Some("connections:write"),
        _ => None,
    }
}

async fn actors(
    app: &App,
    acme: &Organization,
    people: &[(&'static str, Person)],
    expired: &Actor,
    operation: &str,
) -> Vec<(&'static str, Actor)> {
    let revoked = acme.solo().await;
    acme.revoke(&revoked.id).await;
    let mut actors = vec![
        ("anonymous", app.anonymous()),
        ("bad_key", app.key("kr_0000000000000000_0000000000000000000000000000000000000000000000000")),
        ("expired_key", expired.clone()),
        ("revoked_key", app.key(&revoked.token)),
    ];
    for (name, role) in
        [("viewer_key", "viewer"), ("editor_key", "editor"), ("admin_key", "admin"), ("owner_key", "owner")]
    {
        actors.push((name, app.key(&acme.key(json!({"role": role})).await.token)));
    }
    let all = acme.solo().await.view["permissions"].as_array().expect("permissions").clone();
    let but: Vec<Value> =
        all.into_iter().filter(|held| Some(held.as_str().unwrap_or_default()) != permission(operation)).collect();
    actors.push(("all_but_needed_key", app.key(&acme.key(json!({"permissions": but})).await.token)));
    let switches = operation == SWITCH;
    let person = |person: &Person| if switches { person.session() } else { person.actor() };
    actors.extend(people.iter().map(|(name, one)| (*name, person(one))));
    actors.push(("owner", owner(acme, operation)));
    actors
}

/// The one operation that takes an access token and the session's cookie.
const SWITCH: &str = "switch_organization";

fn owner(of: &Organization, operation: &str) -> Actor {
    if operation == SWITCH { of.session() } else { of.owner() }
}

const WORKING_KEYS: [&str; 6] =
    ["viewer_key", "editor_key", "admin_key", "owner_key", "all_but_needed_key", "other_key"];

/// Keys can never manage keys, members or policies: whatever takes only access tokens refuses every key.
fn for_people_alone(operation: &Value) -> bool {
    let schemes = operation["security"].as_array();
    schemes.is_some_and(|schemes| schemes.iter().all(|scheme| scheme.get("access_token").is_some()))
}

/// A key whose end has come.
async fn expired_key(app: &App, acme: &Organization) -> Actor {
    let key = acme.key(json!({"expiresAt": in_one_second()})).await;
    let expired = app.key(&key.token);
    while expired.get("/api/v1/me").await.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    expired
}

fn in_one_second() -> String {
    SystemClock.now().after(std::time::Duration::from_secs(1)).to_string()
}

#[tokio::test]
async fn every_operation_answers_every_actor_as_the_committed_table_says() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let operators = app.organization("operators").await;
    app.make_instance_admin("owner@operators.example.com").await;
    let mut people = Vec::new();
    for role in ["viewer", "editor", "admin"] {
        people.push((role, acme.member(role, role).await));
    }
    let expired = expired_key(&app, &acme).await;
    let document: Value = serde_json::from_str(&api::openapi::text().expect("a document")).expect("JSON");
    let mut rows = Vec::new();
    let mut number = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let id = operation["operationId"].as_str().expect("an id");
            let mut actors = actors(&app, &acme, &people, &expired, id).await;
            actors.push(("instance_admin", owner(&operators, id)));
            actors.push(("other_owner", owner(&globex, id)));
            actors.push(("other_key", app.key(&globex.solo().await.token)));
            let mut cells = Vec::new();
            for (name, actor) in actors {
                number += 1;
                let (body, parameters) = request(id, &acme, number).await;
                let path = parameters.iter().fold(path.clone(), |path, (name, value)| {
                    path.replace(&format!("{{{name}}}"), value).replace(&format!("{{{name}:.*}}"), value)
                });
                assert!(!path.contains('{'), "{id}: a parameter of {path} has no value");
                let method: Method = method.to_uppercase().parse().expect("a method");
                let answer = if body.is_null() {
                    actor.send(format!("{method} {path}"), actor.request(method, &path)).await
                } else {
                    actor.with_body(method, &path, &body).await
                };
                let documented = operation["responses"]
                    .as_object()
                    .is_some_and(|known| known.contains_key(&answer.status.to_string()));
                assert!(
                    documented,
                    "{id} answered {} to {name}, which the document does not tell: {}",
                    answer.status, answer.body
                );
                if for_people_alone(operation) && WORKING_KEYS.contains(&name) {
                    assert_eq!(answer.status, 403, "{id} is for people alone, and answered {name}");
                }
                cells.push((name, answer.status));
            }
            rows.push((id.to_owned(), cells));
        }
    }
    rows.sort();
    compare(&render(&rows));
}

fn render(rows: &[(String, Vec<(&'static str, u16)>)]) -> String {
    let mut text = String::from("# operation × actor → status. A change here is a security review; see matrix.rs.\n");
    let names: Vec<&str> = rows[0].1.iter().map(|(name, _)| *name).collect();
    let _ = write!(text, "{:<26}", "operation");
    for name in &names {
        let _ = write!(text, "  {name}");
    }
    text.push('\n');
    for (id, cells) in rows {
        let _ = write!(text, "{id:<26}");
        for (name, status) in cells {
            let _ = write!(text, "  {status:>width$}", width = name.len());
        }
        text.push('\n');
    }
    text
}

fn compare(table: &str) {
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(Path::new(TABLE), table).expect("the table can be written");
    }
    let committed = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert!(committed == table, "the authorization matrix changed.\ncommitted:\n{committed}\nnow:\n{table}");
}
