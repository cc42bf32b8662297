//! Instance admins: every organization's keys, and nobody else's business.

use serde_json::{Value, json};
use support::{Actor, App, Store};

async fn operators(app: &App) -> support::Actor {
    let operators = app.organization("operators").await;
    app.make_instance_admin("owner@operators.example.com").await;
    operators.owner()
}

#[tokio::test]
async fn an_instance_admin_sees_and_revokes_the_keys_of_every_organization() {
    sees_and_revokes(Store::Sqlite).await;
}

#[tokio::test]
async fn an_instance_admin_sees_and_revokes_the_keys_of_every_organization_on_postgres() {
    sees_and_revokes(Store::Postgres).await;
}

async fn sees_and_revokes(store: Store) {
    let app = App::on(store).await;
    let admin = operators(&app).await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    acme.server("notes", "https://a.example.com/mcp").await;
    let (a, b, c) = (acme.solo().await, globex.key(json!({"name": "theirs"})).await, acme.client().await);
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items").iter();
        items.map(|key| key["id"].as_str().expect("an id").to_owned()).collect()
    };
    let (mut seen, mut path) = (Vec::new(), "/api/v1/admin/api-keys?limit=2".to_owned());
    loop {
        let page = admin.get(&path).await.expect(200);
        seen.extend(ids(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/admin/api-keys?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, [c.id.clone(), b.id.clone(), a.id.clone()]);
    let page = admin.get(&format!("/api/v1/admin/api-keys?organization={}&type=solo", acme.id)).await.expect(200);
    assert_eq!(ids(&page), std::slice::from_ref(&a.id));
    let (item, own) = (&page["items"][0], &a.view);
    assert_eq!(item["organization"], json!({"id": acme.id, "slug": "acme", "name": "The acme"}));
    assert_eq!((&item["createdBy"], &item["serverCount"]), (&own["createdBy"], &json!(1)));
    let page = admin.get("/api/v1/admin/api-keys?q=THEIR").await.expect(200);
    assert_eq!((ids(&page), &page["items"][0]["serverCount"]), (vec![b.id.clone()], &json!(0)));
    admin.get("/api/v1/admin/api-keys?organization=acme").await.refused(400, "validation_failed");

    let one = format!("/api/v1/admin/api-keys/{}", a.id);
    assert_eq!(admin.get(&one).await.expect(200)["organization"]["slug"], "acme");
    app.key(&a.token).get("/api/v1/me").await.expect(200);
    let before = app.services().audit_rows.length(acme.id.parse().expect("an id")).await.expect("a count");
    let revoked = admin.delete(&one).await.expect(200);
    assert!(revoked["apiKey"]["revokedAt"].is_string() && revoked["receipt"][0]["ms"].is_number());
    app.key(&a.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    let after = app.services().audit_rows.length(acme.id.parse().expect("an id")).await.expect("a count");
    assert!(after > before, "the key's own organization is not told");
    assert_eq!(admin.delete(&one).await.expect(200)["apiKey"], revoked["apiKey"], "idempotent");
    admin.delete("/api/v1/admin/api-keys/key_0000000000000000").await.refused(404, "not_found");
}

#[tokio::test]
async fn nobody_else_gets_there_and_who_is_no_longer_one_does_not_either() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = acme.solo().await;
    let one = format!("/api/v1/admin/api-keys/{}", key.id);
    acme.owner().get("/api/v1/admin/api-keys").await.refused(403, "forbidden_role");
    acme.owner().delete(&one).await.refused(403, "forbidden_role");
    app.make_instance_admin("owner@acme.example.com").await;
    acme.owner().get(&one).await.expect(200);
    // A key of an instance admin is a key like any other.
    app.key(&key.token).get("/api/v1/admin/api-keys").await.refused(403, "forbidden_permission");
    let email = "owner@acme.example.com".parse().expect("an address");
    app.services().accounts.set_instance_admin(&email, false).await.expect("the store answers");
    acme.owner().get(&one).await.refused(403, "forbidden_role");
}

#[tokio::test]
async fn me_tells_instance_admins_that_they_are_and_nobody_else() {
    let app = App::spawn().await;
    let (acme, operators) = (app.organization("acme").await, app.organization("operators").await);
    let key = app.key(&operators.solo().await.token);
    let told = async |actor: &Actor| actor.get("/api/v1/me").await.expect(200)["user"]["instanceAdmin"].clone();
    assert_eq!(told(&operators.owner()).await, json!(false));
    app.make_instance_admin("owner@operators.example.com").await;
    assert_eq!(told(&operators.owner()).await, json!(true));
    assert_eq!(told(&acme.owner()).await, json!(false));
    assert_eq!(told(&key).await, json!(false), "a key has no more than it was given");
}
