//! What the stores of people promise whichever database is behind them: one of several at once, and nothing of what is over.

use std::time::Duration;

use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use support::{Actor, App, AppOptions, PASSWORD, Store};

on_both! {
    of_two_bootstrap_sign_ups_at_once_one_succeeds
    of_two_refreshes_at_once_one_succeeds
    members_are_found_by_text_and_paged
    of_many_acceptances_at_once_one_joins
    of_two_invitations_of_one_address_at_once_one_works
    of_two_transfers_at_once_one_is_made
    a_session_that_begins_while_its_person_is_disabled_does_not_outlive_it
    the_store_itself_refuses_a_second_owner
    what_is_over_is_cleared_out_and_the_rest_stays
    a_removed_member_leaves_revoked_keys_and_comes_back_without_them
    an_invitation_that_is_over_does_not_work
    an_organization_round_trips_with_its_features
}

async fn of_two_bootstrap_sign_ups_at_once_one_succeeds(store: Store) {
    let app = App::with(AppOptions { store, ..AppOptions::default() }).await;
    let token = json!({"bootstrapToken": app.bootstrap_token});
    let (a, b) = tokio::join!(app.sign_up("acme", &token), app.sign_up("globex", &token));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400]);
}

async fn of_two_refreshes_at_once_one_succeeds(store: Store) {
    let app = App::on(store).await;
    let signed_up = app.sign_up("acme", &json!({})).await;
    let cookie = signed_up.headers["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let refresh = async || app.anonymous().and("cookie", &cookie).post("/api/v1/auth/refresh", &json!({})).await.status;
    let (a, b) = tokio::join!(refresh(), refresh());
    let mut statuses = [a, b];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

async fn members_are_found_by_text_and_paged(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    for name in ["ann", "a_n", "bob"] {
        acme.member(name, "viewer").await;
    }
    let count = async |query: &str| {
        let page = acme.owner().get(&format!("/api/v1/org/members?{query}")).await.expect(200);
        page["items"].as_array().expect("items").len()
    };
    for (query, found) in [
        ("q=A_N", 1),
        ("q=%25", 0),
        ("q=ann", 1),
        ("q=example", 4),
        ("role=owner", 1),
        ("disabled=true", 0),
        ("limit=3", 3),
    ] {
        assert_eq!(count(query).await, found, "{query}");
    }
}

async fn of_many_acceptances_at_once_one_joins(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    for (number, known) in [false, true].into_iter().enumerate() {
        let email = format!("p{number}@example.com");
        if known {
            app.sign_up("own", &json!({"email": email})).await.expect(201);
        }
        let invited = acme.invite(&email, "viewer").await;
        let token = invited["token"].as_str().expect("a token");
        let at_once = futures_util::future::join_all((0..8).map(|_| acme.accept(token))).await;
        let mut statuses: Vec<u16> = at_once.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400, 400]);
    }
}

async fn of_two_invitations_of_one_address_at_once_one_works(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let body = json!({"email": "ann@example.com", "role": "viewer"});
    let owner = acme.owner();
    let invite = async || owner.post("/api/v1/org/invitations", &body).await;
    let (a, b, c) = tokio::join!(invite(), invite(), invite());
    let mut joined = 0;
    for answer in [a, b, c] {
        assert!(matches!(answer.status, 201 | 409), "{} {}", answer.status, answer.body);
        if answer.status == 201 {
            let status = acme.accept(answer.json()["token"].as_str().expect("a token")).await.status;
            joined += usize::from(status == 200);
        }
    }
    assert_eq!(joined, 1);
}

async fn of_two_transfers_at_once_one_is_made(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let (ann, bob) = (acme.member("ann", "viewer").await, acme.member("bob", "viewer").await);
    let owner = acme.owner();
    let transfer = async |to: &str| {
        owner.post("/api/v1/org/transfer-ownership", &json!({"userId": to, "password": PASSWORD})).await
    };
    let (a, b) = tokio::join!(transfer(&ann.id), transfer(&bob.id));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "{} {}", a.body, b.body);
    let owners = acme.owner().get("/api/v1/org/members?role=owner").await.expect(200);
    assert_eq!(owners["items"].as_array().map(Vec::len), Some(1));
}

async fn a_session_that_begins_while_its_person_is_disabled_does_not_outlive_it(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "viewer").await;
    let path = format!("/api/v1/org/members/{}", ann.id);
    let owner = acme.owner();
    let disable = async |on: bool| owner.with_body(Method::PATCH, &path, &json!({"disabled": on})).await.expect(200);
    let login = json!({"email": "ann@example.com", "password": PASSWORD});
    let refresh =
        async |cookie: &str| app.anonymous().and("cookie", cookie).post("/api/v1/auth/refresh", &json!({})).await;
    let cookie_of = |answer: &support::Answer| {
        let set = answer.headers.get("set-cookie").and_then(|set| set.to_str().ok()).unwrap_or_default();
        set.split(';').next().unwrap_or_default().to_owned()
    };
    for _ in 0..6 {
        let first = app.anonymous().post("/api/v1/auth/login", &login).await;
        first.expect(200);
        let cookie = cookie_of(&first);
        let caller = app.anonymous();
        let log_in = caller.post("/api/v1/auth/login", &login);
        let (refreshed, logged_in, _) = tokio::join!(refresh(&cookie), log_in, disable(true));
        disable(false).await;
        for answer in [refreshed, logged_in] {
            assert!(matches!(answer.status, 200 | 401), "{} {}", answer.status, answer.body);
            if answer.status == 200 {
                refresh(&cookie_of(&answer)).await.refused(401, "unauthenticated");
            }
        }
    }
}

/// Stops a server and opens its database by itself.
async fn opened(app: &mut App) -> sea_orm::DatabaseConnection {
    app.stop().await;
    let file = || format!("sqlite://{}/keyrack.db", app.data.path().display());
    sea_orm::Database::connect(app.database_url.clone().unwrap_or_else(file)).await.expect("the database opens")
}

async fn run(db: &sea_orm::DatabaseConnection, sql: &str) -> Result<u64, sea_orm::DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, []);
    db.execute_raw(statement).await.map(|done| done.rows_affected())
}

/// Starts a server again that was stopped, on the same database.
async fn started_again(app: &App) -> App {
    let mut settings = vec![("data-dir", app.data.path().display().to_string())];
    if let Some(url) = &app.database_url {
        let root = "a root secret of the tests, long enough".to_owned();
        settings.extend([("database-url", url.clone()), ("root-secret", root)]);
    }
    App::with(AppOptions { settings, ..AppOptions::default() }).await
}

async fn the_store_itself_refuses_a_second_owner(store: Store) {
    let mut app = App::on(store).await;
    let acme = app.organization("acme").await;
    acme.member("ann", "admin").await;
    let db = opened(&mut app).await;
    let second = run(&db, "UPDATE memberships SET role = 'owner' WHERE role = 'admin'").await;
    let refusal = second.expect_err("a second owner").sql_err();
    assert!(matches!(refusal, Some(sea_orm::SqlErr::UniqueConstraintViolation(_))), "{refusal:?}");
    let first = run(&db, "UPDATE memberships SET role = 'owner' WHERE role = 'owner'").await;
    assert_eq!(first.expect("the first one stays"), 1);
}

async fn what_is_over_is_cleared_out_and_the_rest_stays(store: Store) {
    let mut app = App::on(store).await;
    let acme = app.organization("acme").await;
    let (ann, bob) = (acme.member("ann", "viewer").await, acme.member("bob", "viewer").await);
    for name in ["old", "new"] {
        acme.invite(&format!("{name}@example.com"), "viewer").await;
    }
    let db = opened(&mut app).await;
    let old =
        "UPDATE refresh_tokens SET expires_at = 1 WHERE created_at < (SELECT MAX(created_at) FROM refresh_tokens)";
    assert_eq!(run(&db, old).await.expect("it runs"), 2, "the owner's and the first member's");
    let old = "UPDATE invitations SET expires_at = 1 WHERE email = 'old@example.com'";
    assert_eq!(run(&db, old).await.expect("it runs"), 1);
    let again = started_again(&app).await;
    let mut left = (0, 0);
    for _ in 0..200 {
        left = (
            run(&db, "UPDATE refresh_tokens SET family = family").await.expect("it runs"),
            run(&db, "UPDATE invitations SET role = role").await.expect("it runs"),
        );
        if left == (1, 1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left, (1, 1), "refresh tokens and invitations");
    let refresh =
        async |cookie: &str| again.anonymous().and("cookie", cookie).post("/api/v1/auth/refresh", &json!({})).await;
    refresh(&ann.cookie).await.refused(401, "unauthenticated");
    refresh(&bob.cookie).await.expect(200);
}

async fn a_removed_member_leaves_revoked_keys_and_comes_back_without_them(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "editor").await;
    let (key, other, kept) = (ann.key(json!({})).await, ann.key(json!({})).await, acme.solo().await);
    let before = ann.key(json!({})).await;
    acme.revoke(&before.id).await;
    assert_eq!(acme.owner().delete(&format!("/api/v1/org/members/{}", ann.id)).await.status, 204);
    // One row each, where an auditor looks for the end of a key, and none for one that had ended before.
    let revoked = async || {
        let page = acme.owner().get("/api/v1/audit-events?action=key.revoke").await.expect(200);
        let ids = page["items"].as_array().expect("items").iter().map(|event| event["target"]["id"].clone());
        let mut ids: Vec<String> = ids.map(|id| id.as_str().expect("an id").to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    let mut expected = [before.id.clone(), key.id.clone(), other.id.clone()];
    expected.sort_unstable();
    assert_eq!(revoked().await, expected);
    // A key that is there all the same when its owner comes back ends then, and is in the log again.
    app.run_sql(&format!("UPDATE api_keys SET revoked_at = NULL WHERE id = '{}'", &other.id["key_".len()..])).await;
    acme.member("ann", "editor").await;
    assert_eq!(revoked().await.iter().filter(|id| **id == other.id).count(), 2);
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    assert!(acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200)["revokedAt"].is_string());
    app.key(&kept.token).get("/api/v1/me").await.expect(200);
}

async fn an_invitation_that_is_over_does_not_work(store: Store) {
    let mut app = App::on(store).await;
    let acme = app.organization("acme").await;
    let invited = acme.invite("ann@example.com", "viewer").await;
    let unknown = acme.accept("kri_unknown").await;
    let db = opened(&mut app).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_micros();
    run(&db, &format!("UPDATE invitations SET expires_at = {now}")).await.expect("it runs");
    let again = started_again(&app).await;
    let body = json!({"token": invited["token"], "password": PASSWORD});
    let over = again.anonymous().post("/api/v1/auth/invitations/accept", &body).await;
    over.refused(400, "validation_failed").names_field("token");
    assert_eq!(over.body_without_request_id(), unknown.body_without_request_id());
}

async fn an_organization_round_trips_with_its_features(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let key = app.key(&acme.solo().await.token);
    key.get("/api/v1/org").await.expect(200);
    let body = json!({"name": "Acme", "slug": "acme-2", "features": {"mcp_analytics": true}});
    acme.owner().with_body(Method::PATCH, "/api/v1/org", &body).await.expect(200);
    let shown = key.get("/api/v1/org").await.expect(200);
    assert_eq!(shown["organization"], json!({"id": acme.id, "slug": "acme-2", "name": "Acme"}));
    assert_eq!(shown["features"], json!({"mcp_analytics": true, "tool_approval": false}));
    // A slug that was in use stays its organization's: no one else signs up, founds or renames under it.
    let other = json!({"email": "new@example.com"});
    app.sign_up("acme", &other).await.refused(409, "conflict").names_field("organization.slug");
    let globex = app.organization("globex").await.owner();
    let founding = json!({"name": "Acme", "slug": "acme"});
    globex.post("/api/v1/organizations", &founding).await.refused(409, "conflict").names_field("slug");
    let rename =
        async |owner: &Actor, slug: &str| owner.with_body(Method::PATCH, "/api/v1/org", &json!({"slug": slug})).await;
    for slug in ["acme", "acme-2"] {
        rename(&globex, slug).await.refused(409, "conflict").names_field("slug");
    }
    rename(&acme.owner(), "acme").await.expect(200);
    rename(&acme.owner(), "acme-2").await.expect(200);
    assert_eq!(globex.get("/api/v1/org").await.expect(200)["organization"]["slug"], "globex");
}
