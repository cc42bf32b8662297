//! Bad input: a coded error that names the field and the fix, and costs little.

use reqwest::Method;
use serde_json::{Value, json};
use support::{App, Upstream};

#[tokio::test]
async fn bodies_that_cannot_be_read_say_why() {
    let app = App::spawn().await;
    let owner = app.organization("acme").await.owner();
    let send = async |kind: &str, body: &str| {
        let request =
            owner.request(Method::POST, "/api/v1/api-keys").header("content-type", kind).body(body.to_owned());
        owner.send(body.to_owned(), request).await
    };
    for broken in ["", "{", "{\"name\": }", "nonsense", "{\"name\":\"x\"} {}"] {
        send("application/json", broken).await.refused(400, "invalid_request");
    }
    let answer = send("text/plain", "{\"name\":\"x\"}").await;
    answer.refused(400, "invalid_request");
    assert!(answer.body.contains("application/json"));
    send("application/json; charset=utf-8", "{\"name\":\"x\"}").await.expect(201);
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let app = App::spawn().await;
    let owner = app.organization("acme").await.owner();
    let cases = [
        (json!({"name": "x", "colour": "red"}), "colour", "unknown field"),
        (json!({}), "body", "missing field `name`"),
        (json!({"name": 7}), "name", "wrong type"),
        (json!({"name": "x", "tenants": {"users": 7}}), "tenants.users", "wrong type"),
        (json!({"name": "x", "tenants": {"users": "all"}}), "tenants.users", "\"*\" or a list"),
        (json!({"name": ""}), "name", "must not be empty"),
        (json!({"name": "a".repeat(101)}), "name", "at most 100 characters"),
        (json!({"name": "a\u{7}"}), "name", "control characters"),
        (json!({"name": "x", "description": "a".repeat(1001)}), "description", "at most 1000 characters"),
    ];
    for (body, field, hint) in cases {
        let answer = owner.post("/api/v1/api-keys", &body).await;
        answer.refused(400, "validation_failed").names_field(field);
        assert!(
            answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains(hint)),
            "{field}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_value_in_the_wrong_place_is_never_repeated() {
    let app = App::spawn().await;
    let owner = app.organization("acme").await.owner();
    for body in [
        json!({"name": "x", "type": "hunter2-secret"}),
        json!({"name": "x", "expiresAt": "hunter2-secret"}),
        json!({"name": {"hunter2-secret": 1}}),
    ] {
        let answer = owner.post("/api/v1/api-keys", &body).await;
        assert_eq!(answer.status, 400);
        assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    }
    for query in ["scope=hunter2-secret", "revoked=hunter2-secret", "limit=hunter2-secret"] {
        let answer = owner.get(&format!("/api/v1/api-keys?{query}")).await;
        answer.refused(400, "validation_failed");
        assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_on_rest_too() {
    let settings = vec![("signup", "open".to_owned()), ("body-limit", "2000".to_owned())];
    let app = App::with(support::AppOptions { settings, ..Default::default() }).await;
    let owner = app.organization("acme").await.owner();
    owner.post("/api/v1/api-keys", &json!({"name": "a".repeat(3000)})).await.refused(413, "payload_too_large");
}

#[tokio::test]
async fn routes_that_are_not_there_are_a_coded_404() {
    let app = App::spawn().await;
    for path in ["/", "/nothing", "/api", "/api/v1", "/api/v1/nothing", "/api/nothing"] {
        app.anonymous().get(path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn what_a_caller_sends_never_reaches_sql() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let caller = app.key(&acme.platform().await.token);
    let nasty = ["'; DROP TABLE api_keys; --", "\" OR 1=1 --", "\\", "%' OR '1'='1", "$1", "?1", "${7*7}", "{{7*7}}"];
    for text in nasty {
        let quoted = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        caller.mcp("up", &format!("?org_id={quoted}&user_id={quoted}"), "ping", json!({})).await.expect(200);
        let claims = upstream.last().claims();
        assert_eq!((&claims["tenantOrg"], &claims["tenantUser"]), (&json!(text), &json!(text)));
        acme.owner().post("/api/v1/api-keys", &json!({"name": text})).await.expect(201);
        acme.owner().get(&format!("/api/v1/mcp-servers/{quoted}")).await.refused(404, "server_not_found");
        acme.owner().get(&format!("/api/v1/api-keys/{quoted}")).await.refused(404, "not_found");
        let login = json!({"email": format!("{text}@example.com"), "password": text});
        let status = app.anonymous().post("/api/v1/auth/login", &login).await.status;
        assert!(status == 401 || status == 400, "{status}");
    }
    let names: Vec<Value> =
        acme.owner().get("/api/v1/api-keys").await.expect(200)["items"].as_array().expect("items").clone();
    assert_eq!(names.len(), nasty.len() + 1);
}
