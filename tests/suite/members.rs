//! Members: roles, disabling, removing, leaving, and handing the organization over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, AppOptions, PASSWORD, Store, Upstream};

async fn patch(actor: &Actor, user: &str, body: Value) -> Answer {
    actor.with_body(Method::PATCH, &format!("/api/v1/org/members/{user}"), &body).await
}

async fn remove(actor: &Actor, user: &str) -> Answer {
    actor.delete(&format!("/api/v1/org/members/{user}")).await
}

async fn transfer(actor: &Actor, user: &str, password: &str) -> Answer {
    actor.post("/api/v1/org/transfer-ownership", &json!({"userId": user, "password": password})).await
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|member| member["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn members_are_listed_in_the_order_in_which_they_joined_and_found_by_role_state_and_text() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    app.organization("globex").await;
    let ann = acme.member("ann", "editor").await;
    let bob = acme.member("bob_100%", "viewer").await;
    let list = async |query: &str| acme.owner().get(&format!("/api/v1/org/members{query}")).await.expect(200);
    let all = list("").await;
    assert_eq!(ids(&all), [acme.owner_id.clone(), ann.id.clone(), bob.id.clone()], "and nobody of globex");
    let shown = &all["items"][1];
    assert_eq!((&shown["email"], &shown["role"]), (&json!("ann@example.com"), &json!("editor")));
    assert_eq!((&shown["disabled"], &shown["disabledAt"]), (&json!(false), &Value::Null));
    assert!(shown["joinedAt"].is_string());
    assert_eq!(acme.owner().get(&format!("/api/v1/org/members/{}", ann.id)).await.expect(200), *shown);
    assert_eq!(ids(&list("?role=viewer").await), [bob.id.as_str()]);
    assert_eq!(ids(&list("?q=ANN").await), [ann.id.as_str()]);
    for (text, found) in [("100%25", 1), ("_", 1), ("%25", 1), ("a%25e", 0), ("a_n", 0), ("\\", 0), ("example", 3)] {
        assert_eq!(ids(&list(&format!("?q={text}")).await).len(), found, "{text}");
    }
    patch(&acme.owner(), &bob.id, json!({"disabled": true})).await.expect(200);
    assert_eq!(ids(&list("?disabled=true").await), [bob.id.as_str()]);
    assert_eq!(ids(&list("?disabled=false").await), [acme.owner_id.clone(), ann.id.clone()]);
    let first = list("?limit=2").await;
    let rest = list(&format!("?limit=2&cursor={}", first["nextCursor"].as_str().expect("more"))).await;
    assert_eq!((ids(&first).len(), ids(&rest), &rest["nextCursor"]), (2, vec![bob.id], &Value::Null));
    let long = "x".repeat(101);
    for bad in ["?role=boss", "?q=%00", &format!("?q={long}"), "?cursor=x", "?limit=0"] {
        acme.owner().get(&format!("/api/v1/org/members{bad}")).await.refused(400, "validation_failed");
    }
}

#[tokio::test]
async fn admins_give_any_role_below_owner_to_anybody_but_themselves_and_the_owner() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let (admin, other) = (acme.member("admin", "admin").await, acme.member("other", "admin").await);
    let ann = acme.member("ann", "viewer").await;
    for role in ["admin", "editor", "viewer"] {
        assert_eq!(patch(&admin.actor(), &ann.id, json!({"role": role})).await.expect(200)["role"], role);
    }
    assert_eq!(patch(&admin.actor(), &other.id, json!({"role": "editor"})).await.expect(200)["role"], "editor");
    patch(&admin.actor(), &ann.id, json!({"role": "owner"}))
        .await
        .refused(400, "validation_failed")
        .names_field("role");
    for body in [json!({"role": "viewer"}), json!({"disabled": true})] {
        patch(&admin.actor(), &admin.id, body.clone()).await.refused(409, "conflict");
        patch(&admin.actor(), &acme.owner_id, body.clone()).await.refused(409, "conflict");
        patch(&acme.owner(), &acme.owner_id, body).await.refused(409, "conflict");
    }
    patch(&admin.actor(), &ann.id, json!({"boss": true})).await.refused(400, "validation_failed");
    assert_eq!(acme.owner().get("/api/v1/me").await.expect(200)["role"], "owner");
}

#[tokio::test]
async fn a_demotion_counts_at_the_next_request_and_leaves_the_role_that_is_frozen_in_a_key() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "admin").await;
    let key = ann.key(json!({})).await;
    ann.actor().get("/api/v1/org/members").await.expect(200);
    patch(&acme.owner(), &ann.id, json!({"role": "viewer"})).await.expect(200);
    ann.actor().get("/api/v1/org/members").await.refused(403, "forbidden_role");
    ann.refresh().await.refused(401, "unauthenticated");
    assert_eq!(ann.actor().get("/api/v1/me").await.expect(200)["role"], "viewer");
    assert_eq!(app.key(&key.token).get("/api/v1/me").await.expect(200)["role"], "admin");
    let promoted = acme.member("bob", "viewer").await;
    patch(&acme.owner(), &promoted.id, json!({"role": "editor"})).await.expect(200);
    promoted.refresh().await.expect(200);
}

#[tokio::test]
async fn a_disabled_member_is_out_here_and_nowhere_else_and_enabling_brings_the_keys_back() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let ann = acme.member("ann", "editor").await;
    let elsewhere = globex.member("ann", "editor").await;
    let (key, kept) = (ann.key(json!({})).await, elsewhere.key(json!({})).await);
    let colleague = acme.solo().await;
    for token in [&key.token, &kept.token, &colleague.token] {
        app.key(token).get("/api/v1/me").await.expect(200);
    }
    let shown = patch(&acme.owner(), &ann.id, json!({"disabled": true})).await.expect(200);
    assert_eq!((&shown["disabled"], shown["disabledAt"].is_string()), (&json!(true), true));
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    ann.actor().get("/api/v1/me").await.refused(401, "unauthenticated");
    ann.refresh().await.refused(401, "unauthenticated");
    let login = json!({"email": "ann@example.com", "password": PASSWORD, "organization": "acme"});
    app.anonymous().post("/api/v1/auth/login", &login).await.refused(401, "unauthenticated");
    for token in [&kept.token, &colleague.token] {
        app.key(token).get("/api/v1/me").await.expect(200);
    }
    elsewhere.actor().get("/api/v1/me").await.expect(200);
    elsewhere.refresh().await.expect(200);
    patch(&acme.owner(), &ann.id, json!({"disabled": false})).await.expect(200);
    app.key(&key.token).get("/api/v1/me").await.expect(200);
    app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    ann.refresh().await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn removing_a_member_revokes_their_keys_for_good() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "editor").await;
    let key = ann.key(json!({})).await;
    app.key(&key.token).get("/api/v1/me").await.expect(200);
    assert_eq!(remove(&acme.owner(), &ann.id).await.status, 204);
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    ann.actor().get("/api/v1/me").await.refused(401, "unauthenticated");
    ann.refresh().await.refused(401, "unauthenticated");
    remove(&acme.owner(), &ann.id).await.refused(404, "not_found");
    let shown = acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
    assert!(shown["revokedAt"].is_string(), "{shown}");
    let again = acme.member("ann", "editor").await;
    assert_eq!(again.id, ann.id, "it is the same person");
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    again.actor().get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn everybody_may_leave_but_the_owner_and_only_admins_remove_others() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let (ann, bob) = (acme.member("ann", "viewer").await, acme.member("bob", "editor").await);
    let admin = acme.member("admin", "admin").await;
    remove(&bob.actor(), &ann.id).await.refused(403, "forbidden_role");
    remove(&bob.actor(), "usr_00000000000000000000000000").await.refused(403, "forbidden_role");
    assert_eq!(remove(&ann.actor(), &ann.id).await.status, 204);
    ann.actor().get("/api/v1/me").await.refused(401, "unauthenticated");
    for actor in [acme.owner(), admin.actor()] {
        remove(&actor, &acme.owner_id).await.refused(409, "conflict");
    }
    assert_eq!(remove(&admin.actor(), &bob.id).await.status, 204);
    assert_eq!(remove(&admin.actor(), &admin.id).await.status, 204);
}

#[tokio::test]
async fn ownership_is_transferred_with_the_password_and_there_is_one_owner_at_any_time() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "viewer").await;
    let disabled = acme.member("dis", "admin").await;
    patch(&acme.owner(), &disabled.id, json!({"disabled": true})).await.expect(200);
    transfer(&acme.owner(), &ann.id, "wrong horse battery")
        .await
        .refused(400, "validation_failed")
        .names_field("password");
    transfer(&acme.owner(), &acme.owner_id, PASSWORD).await.refused(400, "validation_failed").names_field("userId");
    transfer(&acme.owner(), "ann", PASSWORD).await.refused(400, "validation_failed").names_field("userId");
    transfer(&acme.owner(), &disabled.id, PASSWORD).await.refused(404, "not_found");
    transfer(&ann.actor(), &ann.id, PASSWORD).await.refused(403, "forbidden_role");
    assert_eq!(acme.owner().get("/api/v1/me").await.expect(200)["role"], "owner", "nothing was changed");
    let owner = transfer(&acme.owner(), &ann.id, PASSWORD).await.expect(200);
    assert_eq!((&owner["id"], &owner["role"]), (&json!(ann.id), &json!("owner")));
    assert_eq!(ann.actor().get("/api/v1/me").await.expect(200)["role"], "owner");
    assert_eq!(acme.owner().get("/api/v1/me").await.expect(200)["role"], "admin");
    let owners = ann.actor().get("/api/v1/org/members?role=owner").await.expect(200);
    assert_eq!(ids(&owners), [ann.id.as_str()]);
    // The one before can be removed now, and the new one cannot.
    remove(&acme.owner(), &ann.id).await.refused(409, "conflict");
    assert_eq!(remove(&ann.actor(), &acme.owner_id).await.status, 204);
}

#[tokio::test]
async fn another_organizations_member_answers_the_same_bytes_as_an_unknown_one() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let stranger = globex.member("stranger", "viewer").await;
    let unknown = "usr_01kafx5tgyf1na07m4q6nf1sgb";
    for attempt in 0..4 {
        let ask = async |id: &str| match attempt {
            0 => acme.owner().get(&format!("/api/v1/org/members/{id}")).await,
            1 => patch(&acme.owner(), id, json!({"role": "admin"})).await,
            2 => remove(&acme.owner(), id).await,
            _ => transfer(&acme.owner(), id, PASSWORD).await,
        };
        let (theirs, none) = (ask(&stranger.id).await, ask(unknown).await);
        theirs.refused(404, "not_found");
        assert_eq!(theirs.body_without_request_id(), none.body_without_request_id());
    }
    assert_eq!(stranger.actor().get("/api/v1/me").await.expect(200)["role"], "viewer");
}

#[tokio::test]
async fn a_key_never_manages_people_whatever_its_role() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "viewer").await;
    let key = app.key(&acme.solo().await.token);
    key.get("/api/v1/org/members").await.refused(403, "forbidden_permission");
    patch(&key, &ann.id, json!({"role": "admin"})).await.refused(403, "forbidden_permission");
    remove(&key, &ann.id).await.refused(403, "forbidden_permission");
    transfer(&key, &ann.id, PASSWORD).await.refused(403, "forbidden_permission");
    let invite = json!({"email": "x@example.com", "role": "viewer"});
    key.post("/api/v1/org/invitations", &invite).await.refused(403, "forbidden_permission");
    key.with_body(Method::PATCH, "/api/v1/org", &json!({"name": "x"})).await.refused(403, "forbidden_permission");
}

#[tokio::test]
async fn no_request_that_starts_after_a_disabling_is_answered_is_accepted() {
    no_request_after(Store::Sqlite).await;
}

#[tokio::test]
async fn no_request_that_starts_after_a_disabling_is_answered_is_accepted_on_postgres() {
    no_request_after(Store::Postgres).await;
}

/// Callers hammer two keys of a member, warm and cold ones, while the member is disabled, enabled and at last removed.
async fn no_request_after(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "editor").await;
    let keys = [ann.key(json!({})).await, ann.key(json!({})).await];
    for round in 0..12 {
        for key in &keys {
            if round % 2 == 0 {
                app.key(&key.token).get("/api/v1/me").await.expect(200);
            }
        }
        let answered = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = keys
            .iter()
            .cycle()
            .take(4)
            .map(|key| {
                let (caller, answered) = (app.key(&key.token), Arc::clone(&answered));
                tokio::spawn(async move {
                    loop {
                        let after = answered.load(Ordering::SeqCst);
                        let status = caller.get("/api/v1/me").await.status;
                        assert!(!(after && status == 200), "accepted after the disabling was answered");
                        if after {
                            return;
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(5)).await;
        patch(&acme.owner(), &ann.id, json!({"disabled": true})).await.expect(200);
        answered.store(true, Ordering::SeqCst);
        for caller in callers {
            caller.await.expect("no late acceptance");
        }
        patch(&acme.owner(), &ann.id, json!({"disabled": false})).await.expect(200);
    }
    app.key(&keys[0].token).get("/api/v1/me").await.expect(200);
    remove(&acme.owner(), &ann.id).await;
    app.key(&keys[0].token).get("/api/v1/me").await.refused(401, "unauthenticated");
}

/// What is under way with a member's keys: a call that waits, and a stream of a key that the cache has forgotten.
async fn ends_what_is_under_way(end: impl AsyncFn(&Actor, &str)) {
    let settings = vec![("signup", "open".to_owned()), ("cache-entries", "16".to_owned())];
    let app = App::with(AppOptions { settings, ..Default::default() }).await;
    let upstream = Upstream::start();
    let acme = app.organization("acme").await;
    acme.server("hang", &upstream.url("/hang")).await;
    acme.server("sse", &upstream.url("/sse")).await;
    let ann = acme.member("ann", "editor").await;
    let open = async |token: &str| {
        let response = app.key(token).request(Method::GET, "/mcp-connect/sse/mcp").send().await.expect("a stream");
        let mut chunks = response.bytes_stream();
        chunks.next().await.expect("an event").expect("bytes");
        chunks
    };
    let mut cut = open(&ann.key(json!({})).await.token).await;
    let mut kept = open(&acme.solo().await.token).await;
    for _ in 0..64 {
        app.key(&acme.solo().await.token).get("/api/v1/me").await.expect(200);
    }
    let began = upstream.seen().len();
    let caller = app.key(&ann.key(json!({})).await.token);
    let call = tokio::spawn(async move { caller.mcp("hang", "", "x", json!({})).await });
    upstream.began(began + 1).await;
    end(&acme.owner(), &ann.id).await;
    let ended = Instant::now();
    call.await.expect("an answer").refused(401, "unauthenticated");
    while let Some(Ok(_)) = cut.next().await {}
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    for _ in 0..3 {
        kept.next().await.expect("other people's streams go on").expect("bytes");
    }
}

#[tokio::test]
async fn disabling_a_member_ends_what_is_under_way_with_their_keys() {
    ends_what_is_under_way(async |owner, user| {
        patch(owner, user, json!({"disabled": true})).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn removing_a_member_ends_what_is_under_way_with_their_keys() {
    ends_what_is_under_way(async |owner, user| {
        remove(owner, user).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_was_removed_and_joins_again_is_in_no_group_and_no_policy_of_before() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let owner = acme.owner();
    let mut servers = Vec::new();
    for slug in ["by-group", "by-name"] {
        servers.push(acme.server(slug, &upstream.url("/echo")).await["id"].clone());
    }
    let first = owner.get("/api/v1/access-policies").await.expect(200)["items"][0]["id"].clone();
    owner.delete(&format!("/api/v1/access-policies/{}", first.as_str().expect("an id"))).await.expect(200);
    let ann = acme.member("ann", "viewer").await;
    let group = owner.post("/api/v1/groups", &json!({"name": "Engineers", "members": [ann.id]})).await.expect(201);
    for (name, subject, server) in [
        ("group", json!({"type": "group", "id": group["id"]}), &servers[0]),
        ("member", json!({"type": "member", "id": ann.id}), &servers[1]),
    ] {
        let resources = json!([{"type": "server", "id": server}]);
        let body = json!({"name": name, "subjects": [subject], "resources": resources});
        owner.post("/api/v1/access-policies", &body).await.expect(201);
    }
    let reached = async |token: &str| {
        let key = app.key(token);
        (
            key.mcp("by-group", "", "ping", json!({})).await.status,
            key.mcp("by-name", "", "ping", json!({})).await.status,
        )
    };
    let before = ann.key(json!({"type": "solo"})).await;
    assert_eq!(reached(&before.token).await, (200, 200));
    remove(&owner, &ann.id).await.expect(204);
    let path = format!("/api/v1/groups/{}", group["id"].as_str().expect("an id"));
    assert_eq!(owner.get(&path).await.expect(200)["members"], json!([]));
    let policies = owner.get("/api/v1/access-policies").await.expect(200);
    assert!(!policies.to_string().contains(&ann.id), "{policies}");
    let again = acme.member("ann", "viewer").await;
    assert_eq!(again.id, ann.id);
    let after = again.key(json!({"type": "solo"})).await;
    assert_eq!(reached(&after.token).await, (404, 404));
}
