//! `/me` and `/org`, for keys and people.

use serde_json::json;
use support::App;

#[tokio::test]
async fn me_tells_a_key_its_owner_organization_role_and_tenant() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.key(json!({"name": "CI", "type": "platform", "role": "editor", "tenants": {"orgs": "*"}})).await;
    let me = app.key(&key.token).get("/api/v1/me?org_id=globex&user_id=marina").await.expect(200);
    assert_eq!(me["user"]["id"], acme.owner_id);
    assert_eq!(me["organization"], json!({"id": acme.id, "slug": "acme", "name": "The acme"}));
    assert_eq!(me["role"], "editor");
    assert_eq!(me["apiKey"], json!({"id": key.id, "name": "CI", "type": "platform", "hint": key.view["hint"]}));
    assert_eq!(me["tenant"], json!({"org": {"id": "globex"}, "user": {"id": "marina"}}));
    assert!(app.key(&key.token).get("/api/v1/me").await.expect(200)["tenant"].is_null());
}

#[tokio::test]
async fn me_tells_a_person_the_same_without_a_key() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let me = acme.owner().get("/api/v1/me").await.expect(200);
    assert_eq!((&me["role"], &me["apiKey"], &me["tenant"]), (&json!("owner"), &json!(null), &json!(null)));
    let own = format!("/api/v1/me?org_id=acme&user_id={}", acme.owner_id);
    acme.owner().get(&own).await.expect(200);
    acme.owner().get("/api/v1/me?user_id=marina").await.refused(403, "tenant_not_allowed");
    acme.owner().get("/api/v1/me?user_id=").await.refused(400, "invalid_tenant");
}

#[tokio::test]
async fn org_has_the_shape_of_the_contract_for_both() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.key(json!({"name": "CI"})).await;
    let org = app.key(&key.token).get("/api/v1/org").await.expect(200);
    assert_eq!(org["organization"], json!({"id": acme.id, "slug": "acme", "name": "The acme"}));
    let actor = json!({"apiKeyId": key.id, "apiKeyName": "CI", "userProfileId": null, "role": "owner", "email": null});
    assert_eq!(org["actor"], actor);
    let org = acme.owner().get("/api/v1/org").await.expect(200);
    let actor = json!({"apiKeyId": null, "apiKeyName": null, "userProfileId": acme.owner_id, "role": "owner", "email": "owner@acme.example.com"});
    assert_eq!(org["actor"], actor);
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_every_error_repeats_it() {
    let app = App::spawn().await;
    let answer = app.anonymous().get("/api/v1/me").await;
    let id = answer.headers["x-request-id"].to_str().expect("text").to_owned();
    assert_eq!(answer.json()["error"]["requestId"], id);
    let answer = app.anonymous().mcp("x", "", "ping", json!({})).await;
    let id = answer.headers["x-request-id"].to_str().expect("text").to_owned();
    assert_eq!(answer.json()["error"]["data"]["requestId"], id);
    assert!(app.anonymous().get("/health").await.headers.contains_key("x-request-id"));
}
