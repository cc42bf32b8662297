//! Organizations themselves: renaming, features, several per person, and founding another one.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, AppOptions, PASSWORD, Person, Store, Upstream};

async fn change(actor: &Actor, body: Value) -> Answer {
    actor.with_body(Method::PATCH, "/api/v1/org", &body).await
}

fn slugs(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().filter_map(|item| item["slug"].as_str()).collect()
}

#[tokio::test]
async fn a_rename_is_seen_by_the_next_request_of_a_key_that_was_remembered() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let key = app.key(&acme.client().await.token);
    let own_name = async |slug: &str| key.get(&format!("/api/v1/me?org_id={slug}&user_id=marina")).await;
    own_name("acme").await.expect(200);
    let called_as = async || {
        key.mcp("up", "?user_id=marina", "ping", json!({})).await.expect(200);
        let assertion = upstream.last().header("x-keyrack-assertion").expect("an assertion").to_owned();
        claims(&assertion)["organization"].as_str().expect("a slug").to_owned()
    };
    assert_eq!(called_as().await, "acme");
    let changed = change(&acme.owner(), json!({"name": "Acme Ltd", "slug": "acme-ltd"})).await.expect(200);
    assert_eq!(changed["organization"], json!({"id": acme.id, "slug": "acme-ltd", "name": "Acme Ltd"}));
    assert_eq!(key.get("/api/v1/org").await.expect(200)["organization"], changed["organization"]);
    own_name("acme-ltd").await.expect(200);
    own_name("acme").await.refused(403, "tenant_not_allowed");
    assert_eq!(called_as().await, "acme-ltd");
    let login = json!({"email": "owner@acme.example.com", "password": PASSWORD, "organization": "acme-ltd"});
    app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    let again = json!({"email": "new@example.com"});
    app.sign_up("acme", &again).await.refused(409, "conflict").names_field("organization.slug");
}

fn claims(token: &str) -> Value {
    jsonwebtoken::dangerous::insecure_decode::<Value>(token).expect("a token").claims
}

#[tokio::test]
async fn a_feature_switch_is_seen_by_the_next_request_and_leaves_the_rest() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let key = app.key(&acme.solo().await.token);
    let features = async || key.get("/api/v1/org").await.expect(200)["features"].clone();
    assert_eq!(features().await, json!({"mcp_analytics": false, "tool_approval": false}));
    let changed = change(&acme.owner(), json!({"features": {"mcp_analytics": true}})).await.expect(200);
    assert_eq!(
        (&changed["organization"]["slug"], &changed["features"]["mcp_analytics"]),
        (&json!("acme"), &json!(true))
    );
    assert_eq!(features().await, json!({"mcp_analytics": true, "tool_approval": false}));
    change(&acme.owner(), json!({"name": "Still on"})).await.expect(200);
    assert_eq!(features().await, json!({"mcp_analytics": true, "tool_approval": false}));
    assert_eq!(
        globex.owner().get("/api/v1/org").await.expect(200)["features"],
        json!({"mcp_analytics": false, "tool_approval": false})
    );
    change(&acme.owner(), json!({"features": {"mcp_analytics": false}})).await.expect(200);
    assert_eq!(features().await, json!({"mcp_analytics": false, "tool_approval": false}));
    change(&acme.owner(), json!({})).await.expect(200);
}

#[tokio::test]
async fn only_admins_change_the_organization_and_a_slug_is_taken_once() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    app.organization("globex").await;
    let editor = acme.member("ed", "editor").await;
    change(&editor.actor(), json!({"name": "x"})).await.refused(403, "forbidden_role");
    let admin = acme.member("admin", "admin").await;
    change(&admin.actor(), json!({"slug": "globex"})).await.refused(409, "conflict").names_field("slug");
    for (body, field) in [
        (json!({"slug": "No"}), "slug"),
        (json!({"name": " "}), "name"),
        (json!({"features": {"magic": true}}), "features.magic"),
        (json!({"owner": "x"}), "owner"),
    ] {
        let answer = change(&admin.actor(), body).await;
        answer.refused(400, "validation_failed");
        assert!(answer.body.contains(field.rsplit('.').next().expect("a name")), "{}", answer.body);
    }
    assert_eq!(acme.owner().get("/api/v1/org").await.expect(200)["organization"]["name"], "The acme");
}

#[tokio::test]
async fn a_person_in_two_organizations_sees_both_and_switches_between_them() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let third = app.organization("initech").await;
    let ann = acme.member("ann", "editor").await;
    globex.member("ann", "viewer").await;
    let mine = ann.actor().get("/api/v1/me/organizations").await.expect(200);
    assert_eq!((slugs(&mine), &mine["nextCursor"]), (vec!["acme", "globex"], &Value::Null));
    let roles: Vec<_> = mine["items"].as_array().expect("items").iter().map(|item| &item["role"]).collect();
    assert_eq!(roles, ["editor", "viewer"]);
    let switch = async |organization: &str| {
        ann.session().post("/api/v1/auth/switch", &json!({"organization": organization})).await
    };
    let (theirs, unknown) = (switch("initech").await, switch("nowhere").await);
    theirs.refused(404, "not_found");
    assert_eq!(theirs.body_without_request_id(), unknown.body_without_request_id());
    assert_eq!(switch(&third.id).await.body_without_request_id(), unknown.body_without_request_id());
    let there = Person::of(&app.anonymous(), &switch(&globex.id).await, 200);
    let me = there.actor().get("/api/v1/me").await.expect(200);
    assert_eq!(
        (&me["organization"]["slug"], &me["role"], &me["user"]["id"]),
        (&json!("globex"), &json!("viewer"), &json!(ann.id))
    );
    let before = ann.actor().get("/api/v1/me").await.expect(200);
    assert_eq!(before["organization"]["slug"], "acme", "an access token stays where it is from");
    ann.refresh().await.refused(401, "unauthenticated");
    assert_eq!(there.refresh().await.expect(200)["organization"]["slug"], "globex");
    let login = json!({"email": "ann@example.com", "password": PASSWORD, "organization": "globex"});
    let session = app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    assert_eq!(session["organization"]["slug"], "globex");
}

/// A stolen access token is over in minutes; with it alone nobody gets a session that lasts.
#[tokio::test]
async fn a_switch_needs_the_refresh_token_of_the_same_person_and_uses_it_up() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
        let (ann, bob) = (acme.member("ann", "viewer").await, acme.member("bob", "viewer").await);
        globex.member("ann", "viewer").await;
        let switch = async |actor: Actor| actor.post("/api/v1/auth/switch", &json!({"organization": "globex"})).await;
        let without = switch(ann.actor()).await;
        without.refused(401, "unauthenticated");
        for cookie in [&bob.cookie, "keyrack_refresh=krr_unknown"] {
            let refused = switch(ann.actor().and("cookie", cookie)).await;
            assert!(!refused.headers.contains_key("set-cookie"));
            assert_eq!(refused.body_without_request_id(), without.body_without_request_id());
        }
        bob.refresh().await.expect(200);
        let there = Person::of(&app.anonymous(), &switch(ann.session()).await, 200);
        // The token is used up.
        switch(ann.session()).await.refused(401, "unauthenticated");
        ann.refresh().await.refused(401, "unauthenticated");
        // One that a refresh replaced is a copy in somebody's hands: its family ends.
        let successor = there.refresh().await;
        successor.expect(200);
        switch(there.session()).await.refused(401, "unauthenticated");
        let successor = successor.headers["set-cookie"].to_str().expect("text").to_owned();
        let refresh = app.anonymous().and("cookie", successor.split(';').next().expect("a pair"));
        refresh.post("/api/v1/auth/refresh", &json!({})).await.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn of_two_switches_at_once_with_one_refresh_token_one_succeeds() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        for round in 0..4 {
            let ann = acme.member(&format!("ann{round}"), "viewer").await;
            let body = json!({"organization": "acme"});
            let (one, other) = (ann.session(), ann.session());
            let path = "/api/v1/auth/switch";
            let (one, other) = tokio::join!(one.post(path, &body), other.post(path, &body));
            let mut statuses = [one.status, other.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 401], "{} {}", one.body, other.body);
        }
    }
}

#[tokio::test]
async fn whoever_is_disabled_in_an_organization_neither_sees_nor_enters_it() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let ann = acme.member("ann", "viewer").await;
    globex.member("ann", "viewer").await;
    let path = format!("/api/v1/org/members/{}", ann.id);
    globex.owner().with_body(Method::PATCH, &path, &json!({"disabled": true})).await.expect(200);
    assert_eq!(slugs(&ann.actor().get("/api/v1/me/organizations").await.expect(200)), ["acme"]);
    let switch = ann.session().post("/api/v1/auth/switch", &json!({"organization": "globex"})).await;
    switch.refused(404, "not_found");
}

#[tokio::test]
async fn anybody_founds_an_organization_where_sign_up_is_open() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "viewer").await;
    let body = json!({"name": "Ann's", "slug": "anns"});
    let founded = ann.actor().post("/api/v1/organizations", &body).await.expect(201);
    assert_eq!((&founded["slug"], &founded["role"]), (&json!("anns"), &json!("owner")));
    ann.actor().post("/api/v1/organizations", &body).await.refused(409, "conflict").names_field("slug");
    let answer = ann.session().post("/api/v1/auth/switch", &json!({"organization": "anns"})).await;
    let there = Person::of(&app.anonymous(), &answer, 200);
    assert_eq!(there.actor().get("/api/v1/me").await.expect(200)["role"], "owner");
    let bad = json!({"name": "", "slug": "A"});
    ann.actor().post("/api/v1/organizations", &bad).await.refused(400, "validation_failed").names_field("slug");
}

#[tokio::test]
async fn only_owners_found_another_organization_where_sign_up_is_not_open() {
    let app = App::with(AppOptions::default()).await;
    let answer = app.sign_up("acme", &json!({"bootstrapToken": app.bootstrap_token})).await;
    let owner = Person::of(&app.anonymous(), &answer, 201).actor();
    let invite = json!({"email": "ann@example.com", "role": "admin"});
    let invited = owner.post("/api/v1/org/invitations", &invite).await.expect(201);
    let body = json!({"token": invited["token"], "password": PASSWORD});
    let answer = app.anonymous().post("/api/v1/auth/invitations/accept", &body).await;
    let admin = Person::of(&app.anonymous(), &answer, 200).actor();
    let body = json!({"name": "Globex", "slug": "globex"});
    admin.post("/api/v1/organizations", &body).await.refused(403, "forbidden_role");
    owner.post("/api/v1/organizations", &body).await.expect(201);
}

#[tokio::test]
async fn a_rename_under_load_is_seen_by_every_request_that_starts_after_its_answer() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(app.key(&acme.solo().await.token));
    }
    for round in 0..20 {
        let name = format!("Name {round}");
        let hammering = keys.iter().map(|key| async {
            for _ in 0..5 {
                key.get("/api/v1/org").await.expect(200);
            }
        });
        let renaming = async { change(&acme.owner(), json!({"name": name})).await.expect(200) };
        tokio::join!(join_all(hammering), renaming);
        for key in &keys {
            assert_eq!(key.get("/api/v1/org").await.expect(200)["organization"]["name"], name.as_str());
        }
    }
}

#[tokio::test]
async fn another_organization_begins_like_the_first_with_everyone_reaching_every_server() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let owner = app.organization("acme").await.session();
    owner.post("/api/v1/organizations", &json!({"name": "Labs", "slug": "labs"})).await.expect(201);
    let labs =
        Person::of(&app.anonymous(), &owner.post("/api/v1/auth/switch", &json!({"organization": "labs"})).await, 200);
    let body = json!({"name": "notes", "slug": "notes", "url": upstream.url("/echo")});
    labs.actor().post("/api/v1/mcp-servers", &body).await.expect(201);
    let key = app.key(&labs.key(json!({"type": "solo"})).await.token);
    key.mcp("notes", "", "ping", json!({})).await.expect(200);
}
