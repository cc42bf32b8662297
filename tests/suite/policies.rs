//! Access policies and groups: who reaches which servers, from the next request on.

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Organization, Upstream};

struct Scene {
    app: App,
    // Kept for as long as the servers point at it.
    _upstream: Upstream,
    acme: Organization,
    notes: String,
    files: String,
}

async fn scene() -> Scene {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let id = |server: Value| server["id"].as_str().expect("an id").to_owned();
    let notes = id(acme.server("notes", &upstream.url("/echo")).await);
    let files = id(acme.server("files", &upstream.url("/echo")).await);
    Scene { app, _upstream: upstream, acme, notes, files }
}

/// The policy that every organization begins with.
async fn first_policy(owner: &Actor) -> Value {
    let policies = owner.get("/api/v1/access-policies").await.expect(200);
    assert_eq!(policies["items"].as_array().map(Vec::len), Some(1), "{policies}");
    policies["items"][0].clone()
}

async fn change(owner: &Actor, policy: &Value, change: Value) -> Value {
    let path = format!("/api/v1/access-policies/{}", policy["id"].as_str().expect("an id"));
    owner.with_body(Method::PATCH, &path, &change).await.expect(200)
}

async fn reached(key: &Actor, server: &str) -> u16 {
    key.mcp(server, "", "ping", json!({})).await.status
}

#[tokio::test]
async fn an_organization_begins_with_one_policy_for_everyone_and_every_server() {
    let Scene { app, acme, .. } = scene().await;
    let first = first_policy(&acme.owner()).await;
    assert_eq!(first["subjects"], json!([{"type": "everyone"}]));
    assert_eq!(first["resources"], json!([{"type": "every_server"}]));
    let key = app.key(&acme.solo().await.token);
    assert_eq!(reached(&key, "notes").await, 200);
}

#[tokio::test]
async fn losing_access_cuts_a_key_at_the_next_request_even_if_it_lists_the_server() {
    let Scene { app, acme, notes, files, .. } = scene().await;
    let owner = acme.owner();
    let first = first_policy(&owner).await;
    let listing = acme.key(json!({"servers": [notes, files]})).await;
    let key = app.key(&listing.token);
    assert_eq!(reached(&key, "notes").await, 200);
    change(&owner, &first, json!({"resources": [{"type": "server", "id": files}]})).await;
    key.mcp("notes", "", "ping", json!({})).await.refused(404, "server_not_found");
    assert_eq!(reached(&key, "files").await, 200);
    let shown = owner.get(&format!("/api/v1/api-keys/{}", listing.id)).await.expect(200);
    assert_eq!(shown["unreachableServers"][0]["slug"], "notes");
    assert_eq!(shown["unreachableServers"].as_array().map(Vec::len), Some(1));
    assert_eq!((&shown["serverCount"], shown["servers"].as_array().map(Vec::len)), (&json!(1), Some(2)));
    change(&owner, &first, json!({"resources": [{"type": "every_server"}]})).await;
    assert_eq!(reached(&key, "notes").await, 200);
}

#[tokio::test]
async fn a_server_closed_to_the_owner_answers_like_one_that_does_not_exist() {
    let Scene { app, acme, notes, .. } = scene().await;
    let owner = acme.owner();
    let key = app.key(&acme.solo().await.token);
    change(&owner, &first_policy(&owner).await, json!({"resources": []})).await;
    let closed = key.mcp("notes", "", "ping", json!({})).await;
    let unknown = key.mcp("no-such", "", "ping", json!({})).await;
    assert_eq!(closed.refused(404, "server_not_found").body_without_request_id(), unknown.body_without_request_id());
    for path in ["/api/v1/mcp-servers/notes".to_owned(), format!("/api/v1/mcp-servers/{notes}")] {
        let closed = key.get(&path).await;
        let unknown = key.get("/api/v1/mcp-servers/no-such").await;
        assert_eq!(
            closed.refused(404, "server_not_found").body_without_request_id(),
            unknown.body_without_request_id()
        );
    }
    assert_eq!(key.get("/api/v1/mcp-servers").await.expect(200)["items"], json!([]));
    let seen = owner.get("/api/v1/mcp-servers").await.expect(200);
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(2), "who decides about servers sees them all");
}

#[tokio::test]
async fn groups_and_members_reach_what_their_policies_give() {
    let Scene { app, acme, notes, files, .. } = scene().await;
    let owner = acme.owner();
    let key = app.key(&acme.solo().await.token);
    let first = first_policy(&owner).await;
    owner.delete(&format!("/api/v1/access-policies/{}", first["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!((reached(&key, "notes").await, reached(&key, "files").await), (404, 404));

    let group = owner.post("/api/v1/groups", &json!({"name": "Engineers"})).await.expect(201);
    let subjects = json!([{"type": "group", "id": group["id"]}]);
    let resources = json!([{"type": "server", "id": notes}]);
    let body = json!({"name": "Engineering", "subjects": subjects, "resources": resources});
    owner.post("/api/v1/access-policies", &body).await.expect(201);
    assert_eq!(reached(&key, "notes").await, 404, "the owner is not in the group yet");
    let path = format!("/api/v1/groups/{}", group["id"].as_str().expect("an id"));
    let joined = owner.with_body(Method::PATCH, &path, &json!({"add": [acme.owner_id]})).await.expect(200);
    assert_eq!(joined["members"][0]["id"], json!(acme.owner_id));
    assert_eq!((reached(&key, "notes").await, reached(&key, "files").await), (200, 404));

    let body = json!({"name": "Ann", "subjects": [{"type": "member", "id": acme.owner_id}], "resources": [{"type": "server", "id": files}]});
    owner.post("/api/v1/access-policies", &body).await.expect(201);
    assert_eq!((reached(&key, "notes").await, reached(&key, "files").await), (200, 200));

    owner.with_body(Method::PATCH, &path, &json!({"remove": [acme.owner_id]})).await.expect(200);
    assert_eq!((reached(&key, "notes").await, reached(&key, "files").await), (404, 200));
    owner.with_body(Method::PATCH, &path, &json!({"add": [acme.owner_id]})).await.expect(200);
    assert_eq!(reached(&key, "notes").await, 200);
    owner.delete(&path).await.expect(200);
    assert_eq!(reached(&key, "notes").await, 404, "a group that is gone gives nothing");
    let policies = owner.get("/api/v1/access-policies").await.expect(200);
    assert_eq!(policies["items"][0]["subjects"], json!([]), "and is gone from policies");
}

#[tokio::test]
async fn a_policy_names_only_what_the_organization_has() {
    let Scene { app, acme, .. } = scene().await;
    let globex = app.organization("globex").await;
    let foreign = globex.server("theirs", "https://x.example.com/mcp").await;
    let owner = acme.owner();
    let unknown = "mcp_01kafx5tgyf1na07m4q6nf1sgb";
    for server in [foreign["id"].as_str().expect("an id"), unknown] {
        let body = json!({"name": "x", "subjects": [], "resources": [{"type": "server", "id": server}]});
        let answer = owner.post("/api/v1/access-policies", &body).await;
        answer.refused(400, "validation_failed").names_field("resources");
    }
    let foreign_group = globex.owner().post("/api/v1/groups", &json!({"name": "x"})).await.expect(201);
    for subject in [
        json!({"type": "member", "id": globex.owner_id}),
        json!({"type": "group", "id": foreign_group["id"]}),
        json!({"type": "group", "id": "grp_01kafx5tgyf1na07m4q6nf1sgb"}),
    ] {
        let body = json!({"name": "x", "subjects": [subject], "resources": []});
        owner.post("/api/v1/access-policies", &body).await.refused(400, "validation_failed").names_field("subjects");
    }
    let body = json!({"name": "x", "members": [globex.owner_id]});
    owner.post("/api/v1/groups", &body).await.refused(400, "validation_failed").names_field("members");
    for (subject, field) in [
        (json!({"type": "everyone", "id": acme.owner_id}), "subjects[0].id"),
        (json!({"type": "member"}), "subjects[0].id"),
        (json!({"type": "member", "id": unknown}), "subjects[0].id"),
    ] {
        let body = json!({"name": "x", "subjects": [subject], "resources": []});
        owner.post("/api/v1/access-policies", &body).await.refused(400, "validation_failed").names_field(field);
    }
    let body = json!({"name": "everyone", "subjects": [], "resources": []});
    owner.post("/api/v1/access-policies", &body).await.expect(201);
    owner.post("/api/v1/access-policies", &body).await.refused(409, "conflict").names_field("name");
}

#[tokio::test]
async fn another_organizations_policies_and_groups_do_not_exist() {
    let Scene { app, acme, .. } = scene().await;
    let globex = app.organization("globex").await;
    let group = globex.owner().post("/api/v1/groups", &json!({"name": "x"})).await.expect(201);
    let policy = first_policy(&globex.owner()).await;
    let owner = acme.owner();
    for (area, foreign, unknown, patch) in [
        ("groups", &group, "grp_01kafx5tgyf1na07m4q6nf1sgb", json!({"add": []})),
        ("access-policies", &policy, "pol_01kafx5tgyf1na07m4q6nf1sgb", json!({"subjects": []})),
    ] {
        let foreign = format!("/api/v1/{area}/{}", foreign["id"].as_str().expect("an id"));
        let unknown = format!("/api/v1/{area}/{unknown}");
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let mut bodies = Vec::new();
            for path in [&foreign, &unknown] {
                let answer = owner.with_body(method.clone(), path, &patch).await;
                bodies.push(answer.refused(404, "not_found").body_without_request_id());
            }
            assert_eq!(bodies[0], bodies[1], "{method} {area}");
        }
    }
    assert_eq!(first_policy(&globex.owner()).await, policy);
}
