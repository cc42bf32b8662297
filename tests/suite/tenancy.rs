//! Every cell of the tenancy table over HTTP, on a tenant surface (the gateway) and elsewhere (`/me`).

use reqwest::Method;
use serde_json::json;
use support::{Actor, App, Store, Upstream};

struct Scene {
    app: App,
    _upstream: Upstream,
    acme: support::Organization,
}

async fn scene(store: Store) -> Scene {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("echo", &upstream.url("/echo")).await;
    Scene { app, _upstream: upstream, acme }
}

/// What `/me` and the gateway answer: `200 <tenant>` or `<status> <code>`.
async fn both(caller: &Actor, query: &str) -> (String, String) {
    let elsewhere = caller.get(&format!("/api/v1/me{query}")).await;
    let elsewhere = match elsewhere.status {
        200 => {
            let tenant = &elsewhere.json()["tenant"];
            format!(
                "200 {}/{}",
                tenant["org"]["id"].as_str().unwrap_or("-"),
                tenant["user"]["id"].as_str().unwrap_or("-")
            )
        }
        status => format!("{status} {}", elsewhere.code()),
    };
    let surface = caller.mcp("echo", query, "ping", json!({})).await;
    let surface = match surface.status {
        200 => "200".to_owned(),
        status => format!("{status} {}", surface.code()),
    };
    (surface, elsewhere)
}

const REQUIRED: &str = "400 tenant_required";
const INVALID: &str = "400 invalid_tenant";
const NOT_ALLOWED: &str = "403 tenant_not_allowed";

#[tokio::test]
async fn every_cell_for_a_solo_key() {
    let scene = scene(Store::Sqlite).await;
    let caller = scene.app.key(&scene.acme.solo().await.token);
    let (org, user) = (&scene.acme.id, &scene.acme.owner_id);
    let own = ("200".to_owned(), "200 -/-".to_owned());
    for query in [
        String::new(),
        "?org_id=acme".into(),
        format!("?org_id={org}"),
        format!("?user_id={user}"),
        format!("?org_id=acme&user_id={user}"),
    ] {
        assert_eq!(both(&caller, &query).await, own, "{query}");
    }
    for query in [
        "?org_id=globex".to_owned(),
        "?user_id=marina".into(),
        format!("?org_id=globex&user_id={user}"),
        "?org_id=ACME".into(),
    ] {
        assert_eq!(both(&caller, &query).await, (NOT_ALLOWED.into(), NOT_ALLOWED.into()), "{query}");
    }
}

#[tokio::test]
async fn every_cell_for_a_client_key() {
    let scene = scene(Store::Sqlite).await;
    let all = scene.app.key(&scene.acme.client().await.token);
    let org = &scene.acme.id;
    for query in
        ["?user_id=marina".to_owned(), "?org_id=acme&user_id=marina".into(), format!("?user_id=marina&org_id={org}")]
    {
        assert_eq!(both(&all, &query).await, ("200".into(), "200 -/marina".into()), "{query}");
    }
    assert_eq!(both(&all, "").await, (REQUIRED.into(), "200 -/-".into()));
    assert_eq!(both(&all, "?org_id=acme").await, (REQUIRED.into(), "200 -/-".into()));
    assert_eq!(both(&all, "?org_id=globex").await, (REQUIRED.into(), NOT_ALLOWED.into()));
    assert_eq!(both(&all, "?org_id=globex&user_id=marina").await, (NOT_ALLOWED.into(), NOT_ALLOWED.into()));
    all.mcp("echo", "", "ping", json!({})).await.names_field("user_id");
    let listed =
        scene.app.key(&scene.acme.key(json!({"type": "client", "tenants": {"users": ["marina", "otto"]}})).await.token);
    assert_eq!(both(&listed, "?user_id=marina").await, ("200".into(), "200 -/marina".into()));
    for stranger in ["Marina", "marina%20", "nobody"] {
        assert_eq!(
            both(&listed, &format!("?user_id={stranger}")).await,
            (NOT_ALLOWED.into(), NOT_ALLOWED.into()),
            "{stranger}"
        );
    }
}

async fn platform_cells(store: Store) {
    let scene = scene(store).await;
    let all = scene.app.key(&scene.acme.platform().await.token);
    assert_eq!(both(&all, "?org_id=globex&user_id=marina").await, ("200".into(), "200 globex/marina".into()));
    assert_eq!(both(&all, "?org_id=globex").await, (REQUIRED.into(), "200 globex/-".into()));
    assert_eq!(both(&all, "?user_id=marina").await, (REQUIRED.into(), REQUIRED.into()));
    assert_eq!(both(&all, "").await, (REQUIRED.into(), "200 -/-".into()));
    all.mcp("echo", "?user_id=marina", "ping", json!({})).await.names_field("org_id");
    all.mcp("echo", "?org_id=globex", "ping", json!({})).await.names_field("user_id");
    let tenants = json!({"orgs": [{"id": "globex", "users": ["marina"]}, {"id": "initech", "users": "*"}, {"id": "empty", "users": []}]});
    let listed = scene.app.key(&scene.acme.key(json!({"type": "platform", "tenants": tenants})).await.token);
    for (query, allowed) in [
        ("?org_id=globex&user_id=marina", true),
        ("?org_id=globex&user_id=otto", false),
        ("?org_id=initech&user_id=anybody", true),
        ("?org_id=empty&user_id=marina", false),
        ("?org_id=umbrella&user_id=marina", false),
        ("?org_id=Globex&user_id=marina", false),
    ] {
        assert_eq!(both(&listed, query).await.0, if allowed { "200" } else { NOT_ALLOWED }, "{query}");
    }
    assert_eq!(both(&listed, "?org_id=empty").await, (REQUIRED.into(), "200 empty/-".into()));
    assert_eq!(both(&listed, "?org_id=umbrella").await, (REQUIRED.into(), NOT_ALLOWED.into()));
}

#[tokio::test]
async fn every_cell_for_a_platform_key() {
    platform_cells(Store::Sqlite).await;
}

#[tokio::test]
async fn every_cell_for_a_platform_key_on_postgres() {
    platform_cells(Store::Postgres).await;
}

#[tokio::test]
async fn ids_that_cannot_be_are_400_for_every_key_type() {
    let scene = scene(Store::Sqlite).await;
    let long = format!("?user_id={}", "a".repeat(129));
    // It would be kept for good, with the tenant.
    let secret = format!("?org_id=acme&user_id={}", scene.acme.client().await.token);
    for key in [scene.acme.solo().await, scene.acme.client().await, scene.acme.platform().await] {
        let caller = scene.app.key(&key.token);
        for query in [
            "?user_id=",
            "?org_id=&user_id=a",
            "?user_id=a&user_id=b",
            "?user_id=a&user%5Fid=a",
            "?org_id=a%00&user_id=b",
            "?user_id=%FF",
            "?user_id=%zz",
            &long,
            &secret,
        ] {
            assert_eq!(both(&caller, query).await, (INVALID.into(), INVALID.into()), "{query}");
        }
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_allowed_answers_the_same_bytes_known_or_not() {
    let scene = scene(Store::Sqlite).await;
    let all = scene.app.key(&scene.acme.client().await.token);
    all.mcp("echo", "?user_id=known", "ping", json!({})).await.expect(200);
    let listed = scene.app.key(&scene.acme.key(json!({"type": "client", "tenants": {"users": ["x"]}})).await.token);
    for path in ["/api/v1/me", "/mcp-connect/echo/mcp"] {
        let known = listed.get(&format!("{path}?user_id=known")).await;
        let never = listed.get(&format!("{path}?user_id=never-seen")).await;
        known.refused(403, "tenant_not_allowed");
        assert_eq!(known.body_without_request_id(), never.body_without_request_id());
    }
}

#[tokio::test]
async fn the_same_user_id_under_two_tenant_orgs_is_two_tenant_users() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("echo", &upstream.url("/echo")).await;
    let caller = app.key(&acme.platform().await.token);
    let mut seen = Vec::new();
    for org in ["globex", "initech"] {
        caller.mcp("echo", &format!("?org_id={org}&user_id=marina"), "ping", json!({})).await.expect(200);
        let claims = upstream.last().claims();
        assert_eq!((&claims["tenantOrg"], &claims["tenantUser"]), (&json!(org), &json!("marina")));
        seen.push(claims);
    }
    assert_ne!(seen[0]["sub"], seen[1]["sub"]);
}

async fn changes_take_effect(store: Store) {
    let scene = scene(store).await;
    let key = scene.acme.key(json!({"type": "client", "tenants": {"users": ["marina"]}})).await;
    let caller = scene.app.key(&key.token);
    let path = format!("/api/v1/api-keys/{}/tenants", key.id);
    let status = async |user: &str| caller.mcp("echo", &format!("?user_id={user}"), "ping", json!({})).await.status;
    assert_eq!((status("marina").await, status("otto").await), (200, 403));
    let owner = scene.acme.owner();
    let patched = owner
        .with_body(Method::PATCH, &path, &json!({"add": {"users": ["otto"]}, "remove": {"users": ["marina"]}}))
        .await
        .expect(200);
    assert_eq!((&patched["tenants"], &patched["tenantCount"]), (&json!({"users": ["otto"]}), &json!(1)));
    assert_eq!((status("marina").await, status("otto").await), (403, 200));
    owner.with_body(Method::PUT, &path, &json!({"users": "*"})).await.expect(200);
    assert_eq!((status("marina").await, status("otto").await), (200, 200));
    // Taking somebody away from everybody would change nothing.
    owner
        .with_body(Method::PATCH, &path, &json!({"remove": {"users": ["otto"]}}))
        .await
        .refused(400, "validation_failed");
    owner.with_body(Method::PUT, &path, &json!({"users": []})).await.expect(200);
    assert_eq!((status("marina").await, status("otto").await), (403, 403));
    owner.with_body(Method::PUT, &path, &json!({"orgs": "*"})).await.refused(400, "validation_failed");
    owner.with_body(Method::PATCH, &path, &json!({})).await.refused(400, "validation_failed");
}

#[tokio::test]
async fn changed_tenants_take_effect_on_the_next_request() {
    changes_take_effect(Store::Sqlite).await;
}

#[tokio::test]
async fn changed_tenants_take_effect_on_the_next_request_on_postgres() {
    changes_take_effect(Store::Postgres).await;
}

#[tokio::test]
async fn adding_a_user_never_narrows_a_tenant_org_and_removing_one_from_all_is_refused() {
    let scene = scene(Store::Sqlite).await;
    let tenants = json!({"orgs": [{"id": "globex", "users": "*"}]});
    let key = scene.acme.key(json!({"type": "platform", "tenants": tenants})).await;
    let path = format!("/api/v1/api-keys/{}/tenants", key.id);
    let owner = scene.acme.owner();
    owner
        .with_body(Method::PATCH, &path, &json!({"add": {"orgs": [{"id": "globex", "users": ["marina"]}]}}))
        .await
        .expect(200);
    let caller = scene.app.key(&key.token);
    caller.mcp("echo", "?org_id=globex&user_id=otto", "ping", json!({})).await.expect(200);
    let remove = json!({"remove": {"orgs": [{"id": "globex", "users": ["marina"]}]}});
    owner.with_body(Method::PATCH, &path, &remove).await.refused(400, "validation_failed").names_field("remove");
    owner.with_body(Method::PATCH, &path, &json!({"remove": {"orgs": [{"id": "globex"}]}})).await.expect(200);
    caller.mcp("echo", "?org_id=globex&user_id=otto", "ping", json!({})).await.refused(403, "tenant_not_allowed");
}
