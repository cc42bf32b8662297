//! Creating, listing, showing, changing and revoking keys.

use reqwest::Method;
use serde_json::{Value, json};
use support::App;

#[tokio::test]
async fn a_key_is_shown_with_every_field_of_the_contract_and_its_token_only_once() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com/mcp").await;
    let body = json!({
        "name": "CI runner", "description": "for builds", "type": "client", "role": "editor",
        "permissions": ["mcp:connect", "servers:read"], "servers": [server["id"]],
        "tenants": {"users": ["marina"]}, "rateLimit": {"requests": 600, "perSeconds": 60},
        "expiresAt": "2099-01-31T12:00:00Z",
    });
    let answer = acme.owner().post("/api/v1/api-keys", &body).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let created = answer.expect(201);
    let (key, token) = (&created["apiKey"], created["token"].as_str().expect("a token"));
    let parts: Vec<&str> = token.split('_').collect();
    assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("kr", 16, 49));
    assert_eq!(key["id"], format!("key_{}", parts[1]));
    assert_eq!(key["hint"], format!("kr_{}_…", parts[1]));
    assert_eq!(key["permissions"], json!(["mcp:connect", "servers:read"]));
    assert_eq!(key["servers"], json!([{"id": server["id"], "slug": "notes", "name": "notes"}]));
    assert_eq!((&key["serverCount"], &key["tenantCount"]), (&json!(1), &json!(1)));
    assert_eq!(key["tenants"], json!({"users": ["marina"]}));
    assert_eq!(key["createdBy"]["id"], acme.owner_id);
    assert_eq!(key["expiresAt"], "2099-01-31T12:00:00.000Z");
    assert_eq!(key["rateLimit"], json!({"requests": 600, "perSeconds": 60}));
    for null in ["lastUsedAt", "revokedAt"] {
        assert!(key[null].is_null(), "{null}");
    }
    let shown = acme.owner().get(&format!("/api/v1/api-keys/{}", key["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(&shown, key);
    assert!(!acme.owner().get("/api/v1/api-keys").await.body.contains(parts[2]));
}

#[tokio::test]
async fn the_defaults_are_a_solo_key_with_all_that_its_creators_role_allows() {
    let app = App::spawn().await;
    let key = app.organization("acme").await.key(json!({})).await.view;
    assert_eq!(
        (&key["type"], &key["role"], &key["servers"], &key["tenants"]),
        (&json!("solo"), &json!("owner"), &json!("*"), &Value::Null)
    );
    assert_eq!(key["permissions"].as_array().map(Vec::len), Some(15));
    assert!(!key["permissions"].to_string().contains("api-keys"));
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused_field_by_field() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let foreign = app.organization("globex").await.server("notes", "https://b.example.com").await;
    let cases = [
        (json!({"type": "platform"}), "tenants"),
        (json!({"type": "platform", "tenants": {"users": "*"}}), "tenants"),
        (json!({"type": "client", "tenants": {"orgs": "*"}}), "tenants"),
        (json!({"type": "solo", "tenants": {"users": "*"}}), "tenants"),
        (json!({"type": "client", "tenants": {"users": [""]}}), "tenants.users[0]"),
        (json!({"type": "platform", "tenants": {"orgs": [{"id": "a\u{0}"}]}}), "tenants.orgs[0].id"),
        (json!({"type": "client", "tenants": {}}), "tenants"),
        (json!({"role": "viewer", "permissions": ["servers:write"]}), "permissions"),
        (json!({"permissions": ["api-keys:write"]}), "permissions[0]"),
        (json!({"permissions": ["everything"]}), "permissions[0]"),
        (json!({"servers": ["mcp_nonsense"]}), "servers[0]"),
        (json!({"servers": [foreign["id"]]}), "servers"),
        (json!({"expiresAt": "2001-01-01T00:00:00Z"}), "expiresAt"),
        (json!({"expiresAt": "tomorrow"}), "expiresAt"),
        (json!({"rateLimit": {"requests": 0, "perSeconds": 1}}), "rateLimit.requests"),
        (json!({"rateLimit": {"requests": 1, "perSeconds": 86401}}), "rateLimit.perSeconds"),
        (json!({"rateLimit": {"requests": 1}}), "rateLimit"),
        (json!({"rateLimit": {"requests": -1, "perSeconds": 1}}), "rateLimit.requests"),
        (json!({"type": "golden"}), "type"),
        (json!({"role": "emperor"}), "role"),
    ];
    for (body, field) in cases {
        let mut request = json!({"name": "x"});
        request.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        acme.owner().post("/api/v1/api-keys", &request).await.refused(400, "validation_failed").names_field(field);
    }
}

#[tokio::test]
async fn a_keys_role_and_permissions_are_frozen_and_enforced() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let new = json!({"name": "x", "url": "https://x.example.com"});
    let viewer = app.key(&acme.key(json!({"role": "viewer"})).await.token);
    viewer.get("/api/v1/mcp-servers").await.expect(200);
    viewer.post("/api/v1/mcp-servers", &new).await.refused(403, "forbidden_role");
    let narrow = app.key(&acme.key(json!({"permissions": "mcp_only"})).await.token);
    narrow.get("/api/v1/me").await.expect(200);
    narrow.get("/api/v1/mcp-servers").await.refused(403, "forbidden_permission");
    narrow.post("/api/v1/mcp-servers", &new).await.refused(403, "forbidden_permission");
    let editor = app.key(&acme.key(json!({"role": "editor"})).await.token);
    editor.post("/api/v1/mcp-servers", &new).await.expect(201);
}

#[tokio::test]
async fn keys_never_manage_keys_whatever_their_role() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.key(json!({"role": "owner"})).await;
    let caller = app.key(&key.token);
    let one = format!("/api/v1/api-keys/{}", key.id);
    caller.get("/api/v1/api-keys").await.refused(403, "forbidden_permission");
    caller.get(&one).await.refused(403, "forbidden_permission");
    caller.post("/api/v1/api-keys", &json!({"name": "x"})).await.refused(403, "forbidden_permission");
    caller.delete(&one).await.refused(403, "forbidden_permission");
    caller.with_body(Method::PATCH, &one, &json!({"name": "x"})).await.refused(403, "forbidden_permission");
    caller.post(&format!("{one}/rotate"), &json!({})).await.refused(403, "forbidden_permission");
    for method in [Method::PUT, Method::PATCH] {
        caller
            .with_body(method, &format!("{one}/tenants"), &json!({"users": "*"}))
            .await
            .refused(403, "forbidden_permission");
    }
}

#[tokio::test]
async fn lists_are_newest_first_paged_and_tell_live_from_revoked() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(acme.solo().await.id);
    }
    acme.revoke(&created[2]).await;
    let ids = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|key| key["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let first = acme.owner().get("/api/v1/api-keys?limit=2").await.expect(200);
    let cursor = first["nextCursor"].as_str().expect("more");
    let second = acme.owner().get(&format!("/api/v1/api-keys?limit=2&cursor={cursor}")).await.expect(200);
    assert!(second["nextCursor"].is_null());
    let expected: Vec<String> = [4, 3, 1, 0].map(|number: usize| created[number].clone()).to_vec();
    assert_eq!([ids(&first), ids(&second)].concat(), expected);
    let revoked = acme.owner().get("/api/v1/api-keys?revoked=true").await.expect(200);
    assert_eq!(ids(&revoked), [created[2].clone()]);
    let everybody = acme.owner().get("/api/v1/api-keys?scope=organization").await.expect(200);
    assert_eq!(ids(&everybody).len(), 4);
}

#[tokio::test]
async fn revoking_is_idempotent_and_keeps_the_metadata() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.solo().await;
    let first = acme.revoke(&key.id).await;
    assert!(first["apiKey"]["revokedAt"].is_string());
    assert_eq!(first["receipt"].as_array().map(Vec::len), Some(1));
    assert!(first["receipt"][0]["ms"].as_f64().is_some_and(|ms| ms >= 0.0));
    let again = acme.revoke(&key.id).await;
    assert_eq!(again["apiKey"], first["apiKey"]);
    let shown = acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
    assert_eq!(shown, first["apiKey"]);
    acme.owner()
        .with_body(Method::PUT, &format!("/api/v1/api-keys/{}/tenants", key.id), &json!({"users": "*"}))
        .await
        .refused(409, "conflict");
}

#[tokio::test]
async fn another_organizations_key_is_the_same_as_none() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let theirs = globex.solo().await.id;
    for path in ["", "/tenants", "/rotate"] {
        let (known, unknown) =
            (format!("/api/v1/api-keys/{theirs}{path}"), format!("/api/v1/api-keys/key_0000000000000000{path}"));
        let methods = match path {
            "" => vec![Method::GET, Method::DELETE, Method::PATCH],
            "/rotate" => vec![Method::POST],
            _ => vec![Method::PUT, Method::PATCH],
        };
        for method in methods {
            let body = match (path, &method) {
                ("", _) => json!({"name": "x"}),
                ("/rotate", _) => json!({"graceSeconds": 0}),
                (_, &Method::PATCH) => json!({"add": {"users": ["a"]}}),
                _ => json!({"users": "*"}),
            };
            let a = acme.owner().with_body(method.clone(), &known, &body).await;
            let b = acme.owner().with_body(method.clone(), &unknown, &body).await;
            a.refused(404, "not_found");
            assert_eq!(a.body_without_request_id(), b.body_without_request_id(), "{method} {path}");
        }
    }
    app.key(&globex.solo().await.token).get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_listed_server_that_was_archived_is_flagged() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com/mcp").await;
    let key = acme.key(json!({"servers": [server["id"]]})).await;
    assert_eq!(key.view["unreachableServers"], json!([]));
    acme.owner().post("/api/v1/mcp-servers/notes/archive", &json!({})).await.expect(200);
    let shown = acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
    assert_eq!(shown["unreachableServers"], json!([{"id": server["id"], "slug": "notes", "name": "notes"}]));
}

#[tokio::test]
async fn last_used_is_written_for_valid_requests() {
    let mut app = App::spawn().await;
    let acme = app.organization("acme").await;
    let (used, unused) = (acme.solo().await, acme.solo().await);
    app.key(&used.token).get("/api/v1/me").await.expect(200);
    let data = app.data.path().display().to_string();
    app.stop().await; // what waits to be written is written on the way down
    let settings = vec![("data-dir", data), ("signup", "open".to_owned())];
    let again = App::with(support::AppOptions { settings, ..Default::default() }).await;
    let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
    let session = again.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    let bearer = format!("Bearer {}", session["accessToken"].as_str().expect("a token"));
    let owner = again.headers(&[("authorization", &bearer)]);
    assert!(owner.get(&format!("/api/v1/api-keys/{}", used.id)).await.expect(200)["lastUsedAt"].is_string());
    assert!(owner.get(&format!("/api/v1/api-keys/{}", unused.id)).await.expect(200)["lastUsedAt"].is_null());
}
