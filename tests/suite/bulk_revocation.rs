//! Revoking many keys at once: when somebody leaves, or a customer does.

use serde_json::{Value, json};
use support::{App, Organization, Store};

async fn revoke(acme: &Organization, body: &Value) -> (Vec<String>, Vec<String>) {
    let done = acme.owner().post("/api/v1/api-keys/revoke", body).await.expect(200);
    assert!(done["receipt"][0]["ms"].is_number());
    let ids = |field: &str| {
        let items = done[field].as_array().expect("a list").iter();
        let mut ids: Vec<_> = items.map(|key| key["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids
    };
    (ids("revoked"), ids("narrowed"))
}

fn sorted(ids: &[&String]) -> Vec<String> {
    let mut ids: Vec<_> = ids.iter().map(|id| (*id).clone()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn all_keys_of_a_person_end_together() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let (a, b, earlier, theirs) = (acme.solo().await, acme.client().await, acme.solo().await, globex.solo().await);
    acme.revoke(&earlier.id).await;
    for key in [&a, &b, &theirs] {
        app.key(&key.token).get("/api/v1/me").await.expect(200);
    }
    let body = json!({"ownerId": acme.owner_id});
    assert_eq!(revoke(&acme, &body).await, (sorted(&[&a.id, &b.id]), vec![]));
    for key in [&a, &b] {
        app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
    assert_eq!(revoke(&acme, &body).await, (vec![], vec![]), "once is enough");
    // Somebody of another organization is nobody here.
    assert_eq!(revoke(&acme, &json!({"ownerId": globex.owner_id})).await, (vec![], vec![]));
    app.key(&theirs.token).get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_customer_that_leaves_is_spoken_for_by_no_key_that_named_it() {
    offboarding(Store::Sqlite).await;
}

#[tokio::test]
async fn a_customer_that_leaves_is_spoken_for_by_no_key_that_named_it_on_postgres() {
    offboarding(Store::Postgres).await;
}

async fn offboarding(store: Store) {
    let app = App::on(store).await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let platform =
        async |of: &Organization, orgs: Value| of.key(json!({"type": "platform", "tenants": {"orgs": orgs}})).await;
    let only = platform(&acme, json!([{"id": "gone", "users": "*"}])).await;
    let users = platform(&acme, json!([{"id": "gone", "users": ["x", "y"]}, {"id": "empty", "users": []}])).await;
    let both = platform(&acme, json!([{"id": "gone", "users": ["x"]}, {"id": "stays", "users": ["x"]}])).await;
    let all = platform(&acme, json!("*")).await;
    let theirs = platform(&globex, json!([{"id": "gone"}])).await;
    let client = acme.key(json!({"type": "client", "tenants": {"users": ["gone"]}})).await;
    let me = async |token: &str, org: &str| app.key(token).get(&format!("/api/v1/me?org_id={org}&user_id=x")).await;
    for (key, org) in [(&only, "gone"), (&users, "gone"), (&both, "gone"), (&both, "stays"), (&all, "gone")] {
        me(&key.token, org).await.expect(200);
    }
    let body = json!({"tenant": {"orgId": "gone"}});
    assert_eq!(revoke(&acme, &body).await, (sorted(&[&only.id, &users.id]), vec![both.id.clone()]));
    for key in [&only, &users] {
        me(&key.token, "gone").await.refused(401, "unauthenticated");
    }
    me(&both.token, "gone").await.refused(403, "tenant_not_allowed");
    me(&both.token, "stays").await.expect(200);
    me(&all.token, "gone").await.expect(200);
    me(&theirs.token, "gone").await.expect(200);
    app.key(&client.token).get("/api/v1/me?user_id=gone").await.expect(200);
    assert_eq!(revoke(&acme, &body).await, (vec![], vec![]), "once is enough");

    // One user of a tenant org, and one of the organization's own.
    let (two, wide) = (
        platform(&acme, json!([{"id": "org", "users": ["x", "y"]}])).await,
        platform(&acme, json!([{"id": "org", "users": "*"}])).await,
    );
    let one = json!({"tenant": {"orgId": "org", "userId": "x"}});
    assert_eq!(revoke(&acme, &one).await, (vec![], vec![two.id.clone()]));
    me(&two.token, "org").await.refused(403, "tenant_not_allowed");
    me(&wide.token, "org").await.expect(200);
    assert_eq!(revoke(&acme, &json!({"tenant": {"userId": "gone"}})).await, (vec![client.id.clone()], vec![]));
    app.key(&client.token).get("/api/v1/me?user_id=gone").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn what_names_nobody_is_refused_and_so_is_who_may_not() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let path = "/api/v1/api-keys/revoke";
    let cases = [
        (json!({}), "body"),
        (json!({"ownerId": "usr_01kafx5tgyf1na07m4q6nf1sgb", "tenant": {"orgId": "a"}}), "body"),
        (json!({"ownerId": "ann"}), "ownerId"),
        (json!({"tenant": {}}), "tenant"),
        (json!({"tenant": {"orgId": ""}}), "tenant.orgId"),
        (json!({"tenant": {"orgId": "a", "userId": "b\u{0}"}}), "tenant.userId"),
    ];
    for (body, field) in cases {
        acme.owner().post(path, &body).await.refused(400, "validation_failed").names_field(field);
    }
    app.key(&acme.solo().await.token).post(path, &json!({})).await.refused(403, "forbidden_permission");
    app.run_sql("UPDATE memberships SET role = 'editor'").await;
    acme.owner().post(path, &json!({"ownerId": acme.owner_id})).await.refused(403, "forbidden_role");
}
