//! Every port's contract, on SQLite and on PostgreSQL: what a store promises whichever database is behind it.

use reqwest::Method;
use serde_json::{Value, json};
use support::{App, Store, Upstream};

on_both! {
    a_key_round_trips_with_its_servers_and_tenants
    a_revoked_key_leaves_its_metadata_and_no_digest
    pages_of_keys_are_complete
    a_listed_tenant_is_found_among_very_many
    two_first_uses_at_once_make_one_tenant
    a_server_and_its_sealed_credential_round_trip
    a_project_round_trips_with_its_servers
    pages_of_projects_are_complete
    of_two_projects_of_one_name_at_once_one_is_made
    what_is_taken_is_a_conflict_and_not_a_fault
    audit_rows_are_numbered_without_a_gap
    a_store_that_was_migrated_is_migrated_again_without_a_step
}

async fn a_key_round_trips_with_its_servers_and_tenants(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com/mcp").await;
    let tenants = json!({"orgs": [{"id": "globex", "users": ["marina", "otto"]}, {"id": "initech", "users": "*"}]});
    let body = json!({"type": "platform", "description": "two\nlines", "servers": [server["id"]], "tenants": tenants, "expiresAt": "2099-01-01T00:00:00Z"});
    let key = acme.key(body).await;
    let shown = acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
    assert_eq!(shown, key.view);
    assert_eq!((&shown["tenants"], &shown["description"]), (&tenants, &json!("two\nlines")));
}

async fn a_revoked_key_leaves_its_metadata_and_no_digest(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let key = acme.solo().await;
    app.key(&key.token).get("/api/v1/me").await.expect(200);
    acme.revoke(&key.id).await;
    let before = app.key_lookups();
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    assert_eq!(app.key_lookups(), before + 1, "the store was asked, and has no digest");
    assert!(acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200)["revokedAt"].is_string());
}

async fn pages_of_keys_are_complete(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let mut created = Vec::new();
    for _ in 0..7 {
        created.insert(0, acme.solo().await.id);
    }
    let (mut seen, mut path) = (Vec::new(), "/api/v1/api-keys?limit=3".to_owned());
    loop {
        let page = acme.owner().get(&path).await.expect(200);
        let ids = page["items"].as_array().expect("items").iter();
        seen.extend(ids.map(|key| key["id"].as_str().expect("an id").to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/api-keys?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, created);
}

async fn a_listed_tenant_is_found_among_very_many(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let users: Vec<String> = (0..5_000).map(|number| format!("user-{number}")).collect();
    let key = acme.key(json!({"type": "client", "tenants": {"users": users}})).await;
    assert_eq!(
        (&key.view["tenantCount"], key.view["tenants"]["users"].as_array().map(Vec::len)),
        (&json!(5_000), Some(1_000))
    );
    let caller = app.key(&key.token);
    for (user, status) in [("user-0", 200), ("user-4999", 200), ("user-5000", 403), ("user-", 403), ("USER-1", 403)] {
        caller.get(&format!("/api/v1/me?user_id={user}")).await.expect(status);
    }
    let more: Vec<String> = (5_000..7_500).map(|number| format!("user-{number}")).collect();
    let change = json!({"add": {"users": more}, "remove": {"users": users[..2_500]}});
    let path = format!("/api/v1/api-keys/{}/tenants", key.id);
    let changed = acme.owner().with_body(Method::PATCH, &path, &change).await.expect(200);
    assert_eq!(changed["tenantCount"], 5_000);
    for (user, status) in [("user-0", 403), ("user-2500", 200), ("user-7499", 200)] {
        caller.get(&format!("/api/v1/me?user_id={user}")).await.expect(status);
    }
}

async fn two_first_uses_at_once_make_one_tenant(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let token = acme.platform().await.token;
    let calls = (0..8).map(|_| {
        let caller = app.key(&token);
        tokio::spawn(async move { caller.mcp("up", "?org_id=globex&user_id=marina", "ping", json!({})).await.status })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.expect("an answer"), 200);
    }
}

async fn a_server_and_its_sealed_credential_round_trip(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    let auth = json!({"kind": "bearer", "secret": "s3cret"});
    acme.server_with(json!({"name": "up", "slug": "up", "url": upstream.url("/echo"), "auth": auth})).await;
    app.key(&acme.solo().await.token).mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer s3cret"));
}

async fn a_project_round_trips_with_its_servers(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let globex = app.organization("globex").await;
    let server = async |slug: &str| acme.server(slug, "https://a.example.com/mcp").await["id"].clone();
    let (a, b, c) = (server("a").await, server("b-1").await, server("b2").await);
    let owner = acme.owner();
    let shown = async |path: &str| owner.get(path).await.expect(200);
    let slugs = |project: &Value| -> Vec<Value> {
        project["servers"].as_array().expect("servers").iter().map(|server| server["slug"].clone()).collect()
    };
    let body = json!({"name": "Päckchen", "slug": "x", "description": "two\nlines", "servers": [c, a, c]});
    let made = owner.post("/api/v1/projects", &body).await.expect(201);
    assert_eq!((&made["name"], &made["description"]), (&json!("Päckchen"), &json!("two\nlines")));
    assert_eq!(slugs(&made), ["a", "b2"]);
    let path = format!("/api/v1/projects/{}", made["id"].as_str().expect("an id"));
    assert_eq!(shown(&path).await, made);
    let patch = async |body: Value| owner.with_body(Method::PATCH, &path, &body).await.expect(200);
    for servers in [json!([b, a]), json!([c, b, a]), json!([]), json!([a])] {
        let changed = patch(json!({"servers": servers})).await;
        assert_eq!(slugs(&changed).len(), servers.as_array().map_or(0, Vec::len));
        assert_eq!(shown(&path).await, changed);
    }
    let changed = patch(json!({"servers": [c, b, a], "description": null, "archived": true})).await;
    assert_eq!(slugs(&changed), ["a", "b-1", "b2"], "in one order, whichever database sorts");
    assert_eq!((&changed["description"], &changed["archived"]), (&Value::Null, &json!(true)));
    assert_eq!(shown(&path).await, changed);
    assert_eq!(shown("/api/v1/projects?archived=true").await["items"], json!([changed]));
    let narrowed = async || owner.get("/api/v1/mcp-servers?projectId=x").await;
    narrowed().await.refused(404, "not_found");
    patch(json!({"archived": false})).await;
    assert_eq!(narrowed().await.expect(200)["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(shown("/api/v1/usage?projectId=x").await["items"], json!([]));
    // The same slug is another organization's own, with nothing in it.
    let theirs = globex.owner().post("/api/v1/projects", &json!({"name": "x"})).await.expect(201);
    assert_eq!(slugs(&theirs), [""; 0]);
}

async fn pages_of_projects_are_complete(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com/mcp").await;
    let mut made = Vec::new();
    for number in 0..7 {
        let body = json!({"name": format!("p{number}"), "servers": [server["id"]]});
        made.push(acme.owner().post("/api/v1/projects", &body).await.expect(201));
    }
    let archived = made.remove(3);
    let path = format!("/api/v1/projects/{}", archived["id"].as_str().expect("an id"));
    acme.owner().with_body(Method::PATCH, &path, &json!({"archived": true})).await.expect(200);
    let (mut seen, mut path) = (Vec::new(), "/api/v1/projects?limit=2".to_owned());
    loop {
        let page = acme.owner().get(&path).await.expect(200);
        seen.extend(page["items"].as_array().expect("items").iter().cloned());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/projects?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, made);
}

async fn of_two_projects_of_one_name_at_once_one_is_made(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let (first, second) = (acme.owner(), acme.owner());
    let body = json!({"name": "checkout"});
    let (a, b) = tokio::join!(first.post("/api/v1/projects", &body), second.post("/api/v1/projects", &body));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", a.body, b.body);
}

async fn what_is_taken_is_a_conflict_and_not_a_fault(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    app.sign_up("acme", &json!({"email": "other@example.com"})).await.refused(409, "conflict");
    acme.server("notes", "https://a.example.com").await;
    let again = json!({"name": "notes", "url": "https://a.example.com"});
    acme.owner().post("/api/v1/mcp-servers", &again).await.refused(409, "conflict").names_field("slug");
}

async fn audit_rows_are_numbered_without_a_gap(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let token = acme.solo().await.token;
    let organization = acme.id.parse().expect("an id");
    let calls = (0..40).map(|_| {
        let caller = app.key(&token);
        tokio::spawn(async move { caller.get("/api/v1/mcp-servers").await.expect(200) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("an answer");
    }
    app.settled().await;
    // sign-up and its session, key decision and creation, 40 reads
    assert_eq!(app.services().audit_rows.length(organization).await.expect("a count"), 44);
    assert_eq!(app.services().audit_rows.count(organization).await.expect("a count"), 44);
}

async fn a_store_that_was_migrated_is_migrated_again_without_a_step(store: Store) {
    let app = App::on(store).await;
    assert_eq!(app.services().database.migrate().await.expect("nothing to do"), 0);
    assert_eq!(app.services().database.standing().await.expect("an answer").pending, 0);
}

/// A path can hold anything, also what a database does not take.
#[tokio::test]
async fn what_callers_write_into_paths_never_blocks_the_audit_log() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let key = acme.solo().await;
        let caller = app.key(&key.token);
        for path in ["%00", "a%00b", "%FF%FE", "%F0%9F%98%80", &key.token, &"x".repeat(3000)] {
            let answer = caller
                .post(&format!("/mcp-connect/{path}/mcp"), &json!({"jsonrpc": "2.0", "id": 1, "method": "x"}))
                .await;
            answer.refused(404, "server_not_found");
        }
        app.settled().await;
    }
}

#[tokio::test]
async fn one_tenant_named_twice_is_one_tenant() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let orgs = json!([{"id": "a", "users": ["x"]}, {"id": "a"}, {"id": "b", "users": ["x", "x", "y"]}]);
        let key = acme.key(json!({"type": "platform", "tenants": {"orgs": orgs}})).await;
        assert_eq!(key.view["tenantCount"], 4, "{}", key.view);
        app.key(&key.token).get("/api/v1/me?org_id=a&user_id=anybody").await.expect(200);
    }
}
