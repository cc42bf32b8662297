//! Changing a key, and finding keys in lists.

use std::time::Duration;

use domain::time::{Clock, SystemClock};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Organization, Store, Upstream};

async fn patch(acme: &Organization, id: &str, body: &Value) -> Answer {
    acme.owner().with_body(Method::PATCH, &format!("/api/v1/api-keys/{id}"), body).await
}

#[tokio::test]
async fn every_changeable_field_changes_and_every_other_stays() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com/mcp").await;
    let key = acme.key(json!({"type": "client", "description": "old", "expiresAt": "2098-01-01T00:00:00Z"})).await;
    let limit = json!({"requests": 5, "perSeconds": 60});
    let listed = json!([{"id": server["id"], "slug": "notes", "name": "notes"}]);
    let mut expected = key.view.clone();
    let steps = [
        (json!({"name": "new"}), json!({"name": "new"})),
        (json!({"description": "new"}), json!({"description": "new"})),
        (json!({"description": null}), json!({"description": null})),
        (json!({"permissions": "mcp_only"}), json!({"permissions": ["mcp:connect"]})),
        (
            json!({"permissions": ["servers:read", "mcp:connect"]}),
            json!({"permissions": ["mcp:connect", "servers:read"]}),
        ),
        (json!({"permissions": "full"}), json!({"permissions": key.view["permissions"]})),
        (json!({"servers": [server["id"]]}), json!({"servers": listed, "serverCount": 1})),
        (json!({"servers": []}), json!({"servers": [], "serverCount": 0})),
        (json!({"servers": "*"}), json!({"servers": "*", "serverCount": 1})),
        (json!({"expiresAt": "2099-01-01T00:00:00Z"}), json!({"expiresAt": "2099-01-01T00:00:00.000Z"})),
        (json!({"expiresAt": null}), json!({"expiresAt": null})),
        (json!({"rateLimit": limit}), json!({"rateLimit": limit})),
        (json!({"rateLimit": null}), json!({"rateLimit": null})),
    ];
    for (body, changed) in steps {
        expected.as_object_mut().expect("an object").extend(changed.as_object().expect("an object").clone());
        assert_eq!(patch(&acme, &key.id, &body).await.expect(200), expected, "{body}");
        assert_eq!(acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200), expected);
    }
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_request_of_a_remembered_key() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("notes", "https://a.example.com/mcp").await;
    let key = acme.solo().await;
    let caller = app.key(&key.token);
    caller.get("/api/v1/mcp-servers/notes").await.expect(200);
    patch(&acme, &key.id, &json!({"servers": []})).await.expect(200);
    caller.get("/api/v1/mcp-servers/notes").await.refused(403, "server_not_allowed");
    patch(&acme, &key.id, &json!({"permissions": "mcp_only"})).await.expect(200);
    caller.get("/api/v1/mcp-servers/notes").await.refused(403, "forbidden_permission");
    patch(&acme, &key.id, &json!({"permissions": "full", "servers": "*", "name": "renamed"})).await.expect(200);
    caller.get("/api/v1/mcp-servers/notes").await.expect(200);
    assert_eq!(caller.get("/api/v1/me").await.expect(200)["apiKey"]["name"], "renamed");
    let end = SystemClock.now().after(Duration::from_millis(300));
    patch(&acme, &key.id, &json!({"expiresAt": end.to_string()})).await.expect(200);
    while SystemClock.now() <= end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    caller.get("/api/v1/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn an_open_stream_ends_with_an_expiry_that_was_set_after_it_began() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/sse")).await;
    let key = acme.solo().await;
    let response = app.key(&key.token).request(Method::GET, "/mcp-connect/up/mcp").send().await.expect("a stream");
    let mut chunks = response.bytes_stream();
    chunks.next().await.expect("an event").expect("bytes");
    let end = SystemClock.now().after(Duration::from_millis(500));
    patch(&acme, &key.id, &json!({"expiresAt": end.to_string()})).await.expect(200);
    while let Some(Ok(_)) = chunks.next().await {}
    let late = SystemClock.now().as_micros() - end.as_micros();
    assert!((-1_000..1_000_000).contains(&late), "cut {late} µs after its end");
}

#[tokio::test]
async fn what_a_key_cannot_become_is_refused_and_nothing_of_it_is_kept() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let foreign = app.organization("globex").await.server("notes", "https://b.example.com").await;
    let key = acme.key(json!({"role": "viewer"})).await;
    let cases = [
        (json!({}), "body"),
        (json!({"name": ""}), "name"),
        (json!({"name": "kept?", "description": "x".repeat(1001)}), "description"),
        (json!({"permissions": ["servers:write"]}), "permissions"),
        (json!({"permissions": ["api-keys:write"]}), "permissions[0]"),
        (json!({"servers": ["mcp_nonsense"]}), "servers[0]"),
        (json!({"name": "kept?", "servers": [foreign["id"]]}), "servers"),
        (json!({"expiresAt": "2001-01-01T00:00:00Z"}), "expiresAt"),
        (json!({"rateLimit": {"requests": 0, "perSeconds": 1}}), "rateLimit.requests"),
        (json!({"role": "owner"}), "role"),
        (json!({"type": "client"}), "type"),
    ];
    for (body, field) in cases {
        patch(&acme, &key.id, &body).await.refused(400, "validation_failed").names_field(field);
    }
    assert_eq!(acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200), key.view);
    acme.revoke(&key.id).await;
    patch(&acme, &key.id, &json!({"name": "x"})).await.refused(409, "conflict");
}

#[tokio::test]
async fn whoever_was_demoted_cannot_give_a_key_more_than_they_may_do_now() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let (narrow, wide) = (acme.key(json!({"permissions": "mcp_only"})).await, acme.solo().await);
    let demoted = "UPDATE memberships SET role = 'viewer'";
    app.run_sql(demoted).await;
    patch(&acme, &narrow.id, &json!({"permissions": ["mcp:connect", "servers:read"]})).await.expect(200);
    let more = json!({"permissions": ["mcp:connect", "servers:write"]});
    patch(&acme, &narrow.id, &more).await.refused(400, "validation_failed").names_field("permissions");
    // What the key has already it may keep.
    patch(&acme, &wide.id, &more).await.expect(200);
    app.key(&wide.token)
        .post("/api/v1/mcp-servers", &json!({"name": "x", "url": "https://x.example.com"}))
        .await
        .expect(201);
}

async fn names(actor: &Actor, query: &str) -> Vec<String> {
    let page = actor.get(&format!("/api/v1/api-keys{query}")).await.expect(200);
    let items = page["items"].as_array().expect("items").iter();
    items.map(|key| key["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn filters_narrow_lists() {
    lists_are_filtered(Store::Sqlite).await;
}

#[tokio::test]
async fn filters_narrow_lists_on_postgres() {
    lists_are_filtered(Store::Postgres).await;
}

async fn lists_are_filtered(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let owner = acme.owner();
    acme.key(json!({"name": "CI runner", "type": "client"})).await;
    acme.key(json!({"name": "100%_safe\\", "type": "solo", "role": "viewer"})).await;
    let end = SystemClock.now().after(Duration::from_millis(200));
    acme.key(json!({"name": "Platform", "type": "platform", "tenants": {"orgs": "*"}, "expiresAt": end.to_string()}))
        .await;
    let gone = acme.key(json!({"name": "gone ci"})).await;
    acme.revoke(&gone.id).await;
    while SystemClock.now() <= end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = ["Platform", "100%_safe\\", "CI runner"];
    let cases: [(&str, &[&str]); 15] = [
        ("", &all),
        ("?type=client", &["CI runner"]),
        ("?type=platform&expired=false", &[]),
        ("?expired=true", &["Platform"]),
        ("?expired=false", &["100%_safe\\", "CI runner"]),
        ("?q=cI%20RUN", &["CI runner"]),
        ("?q=%25", &["100%_safe\\"]),
        ("?q=_", &["100%_safe\\"]),
        ("?q=%5C", &["100%_safe\\"]),
        ("?q=CI&revoked=true", &["gone ci"]),
        ("?q=nothing", &[]),
        ("?roleAboveOwner=true", &[]),
        ("?roleAboveOwner=false", &all),
        ("?owner=usr_01kafx5tgyf1na07m4q6nf1sgb&scope=organization", &[]),
        ("?scope=organization&q=", &all),
    ];
    for (query, expected) in cases {
        assert_eq!(names(&owner, query).await, expected, "{query}");
    }
    assert_eq!(names(&owner, &format!("?owner={}", acme.owner_id)).await, all);
    for (query, field) in [("?owner=ann", "owner"), (&format!("?q={}", "x".repeat(101)), "q")] {
        owner.get(&format!("/api/v1/api-keys{query}")).await.refused(400, "validation_failed").names_field(field);
    }
    owner.get("/api/v1/api-keys?type=golden").await.refused(400, "validation_failed");
    app.run_sql("UPDATE memberships SET role = 'editor'").await;
    assert_eq!(names(&owner, "?roleAboveOwner=true").await, ["Platform", "CI runner"]);
    assert_eq!(names(&owner, "?roleAboveOwner=false").await, ["100%_safe\\"]);
    let page = owner.get("/api/v1/api-keys").await.expect(200);
    let flags: Vec<_> =
        page["items"].as_array().expect("items").iter().map(|key| key["roleAboveOwner"].clone()).collect();
    assert_eq!(flags, [json!(true), json!(false), json!(true)]);
    owner.get("/api/v1/api-keys?scope=organization").await.refused(403, "forbidden_role");
}

#[tokio::test]
async fn a_page_shows_every_keys_own_lists() {
    pages_have_their_lists(Store::Sqlite).await;
}

#[tokio::test]
async fn a_page_shows_every_keys_own_lists_on_postgres() {
    pages_have_their_lists(Store::Postgres).await;
}

async fn pages_have_their_lists(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com/mcp").await;
    let orgs = json!([{"id": "b", "users": ["y", "x"]}, {"id": "a", "users": "*"}, {"id": "c", "users": []}]);
    let many: Vec<String> = (100..125).map(|number| format!("u{number}")).collect();
    acme.key(json!({"type": "platform", "tenants": {"orgs": orgs}})).await;
    acme.key(json!({"type": "client", "tenants": {"users": many}, "servers": [server["id"]]})).await;
    acme.key(json!({"type": "client", "tenants": {"users": []}})).await;
    let solo = acme.solo().await;
    acme.owner().post(&format!("/api/v1/api-keys/{}/rotate", solo.id), &json!({"graceSeconds": 100})).await.expect(200);
    let page = acme.owner().get("/api/v1/api-keys").await.expect(200);
    let shown: Vec<_> = ["tenants", "tenantCount", "serverCount"]
        .map(|field| page["items"].as_array().expect("items").iter().map(|key| key[field].clone()).collect::<Vec<_>>())
        .into();
    assert_eq!(
        shown[0],
        [
            Value::Null,
            json!({"users": []}),
            json!({"users": many[..20]}),
            json!({"orgs": [{"id": "a", "users": "*"}, {"id": "b", "users": ["x", "y"]}, {"id": "c", "users": []}]}),
        ]
    );
    assert_eq!(shown[1], [Value::Null, json!(0), json!(25), json!(3)]);
    assert_eq!(shown[2], [json!(1), json!(1), json!(1), json!(1)]);
    let rotated: Vec<_> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|key| key["previousTokens"].as_array().map(Vec::len))
        .collect();
    assert_eq!(rotated, [Some(1), Some(0), Some(0), Some(0)]);
}
