//! Every port's contract, on SQLite and on PostgreSQL: what a store promises whichever database is behind it.

use std::time::Duration;

use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use support::{Actor, App, AppOptions, PASSWORD, Store, Upstream};

/// Each contract becomes two tests.
macro_rules! on_both {
    ($($(#[$doc:meta])* $name:ident)+) => {
        mod sqlite { $( #[tokio::test] async fn $name() { super::$name(super::Store::Sqlite).await; } )+ }
        mod postgres { $( #[tokio::test] async fn $name() { super::$name(super::Store::Postgres).await; } )+ }
    };
}

on_both! {
    a_key_round_trips_with_its_servers_and_tenants
    a_revoked_key_leaves_its_metadata_and_no_digest
    pages_of_keys_are_complete
    a_listed_tenant_is_found_among_very_many
    two_first_uses_at_once_make_one_tenant
    of_two_bootstrap_sign_ups_at_once_one_succeeds
    of_two_refreshes_at_once_one_succeeds
    a_server_and_its_sealed_credential_round_trip
    what_is_taken_is_a_conflict_and_not_a_fault
    audit_rows_are_numbered_without_a_gap
    a_store_that_was_migrated_is_migrated_again_without_a_step
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

async fn a_key_round_trips_with_its_servers_and_tenants(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com/mcp").await;
    let tenants = json!({"orgs": [{"id": "globex", "users": ["marina", "otto"]}, {"id": "initech", "users": "*"}]});
    let body = json!({"type": "platform", "description": "two\nlines", "servers": [server["id"]], "tenants": tenants, "expiresAt": "2099-01-01T00:00:00Z"});
    let key = acme.key(body).await;
    let shown = acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
    assert_eq!(shown, key.view);
    assert_eq!((&shown["tenants"], &shown["description"]), (&tenants, &json!("two\nlines")));
}

async fn a_revoked_key_leaves_its_metadata_and_no_digest(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let key = acme.solo().await;
    app.key(&key.token).get("/api/v1/me").await.expect(200);
    acme.revoke(&key.id).await;
    let before = app.key_lookups();
    app.key(&key.token).get("/api/v1/me").await.refused(401, "unauthenticated");
    assert_eq!(app.key_lookups(), before + 1, "the store was asked, and has no digest");
    assert!(acme.owner().get(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200)["revokedAt"].is_string());
}

async fn pages_of_keys_are_complete(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let mut created = Vec::new();
    for _ in 0..7 {
        created.insert(0, acme.solo().await.id);
    }
    let (mut seen, mut path) = (Vec::new(), "/api/v1/api-keys?limit=3".to_owned());
    loop {
        let page = acme.owner().get(&path).await.expect(200);
        let ids = page["items"].as_array().expect("items").iter();
        seen.extend(ids.map(|key| key["id"].as_str().expect("an id").to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/api-keys?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, created);
}

async fn a_listed_tenant_is_found_among_very_many(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let users: Vec<String> = (0..5_000).map(|number| format!("user-{number}")).collect();
    let key = acme.key(json!({"type": "client", "tenants": {"users": users}})).await;
    assert_eq!(
        (&key.view["tenantCount"], key.view["tenants"]["users"].as_array().map(Vec::len)),
        (&json!(5_000), Some(1_000))
    );
    let caller = app.key(&key.token);
    for (user, status) in [("user-0", 200), ("user-4999", 200), ("user-5000", 403), ("user-", 403), ("USER-1", 403)] {
        caller.get(&format!("/api/v1/me?user_id={user}")).await.expect(status);
    }
    let more: Vec<String> = (5_000..7_500).map(|number| format!("user-{number}")).collect();
    let change = json!({"add": {"users": more}, "remove": {"users": users[..2_500]}});
    let path = format!("/api/v1/api-keys/{}/tenants", key.id);
    let changed = acme.owner().with_body(Method::PATCH, &path, &change).await.expect(200);
    assert_eq!(changed["tenantCount"], 5_000);
    for (user, status) in [("user-0", 403), ("user-2500", 200), ("user-7499", 200)] {
        caller.get(&format!("/api/v1/me?user_id={user}")).await.expect(status);
    }
}

async fn two_first_uses_at_once_make_one_tenant(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let token = acme.platform().await.token;
    let calls = (0..8).map(|_| {
        let caller = app.key(&token);
        tokio::spawn(async move { caller.mcp("up", "?org_id=globex&user_id=marina", "ping", json!({})).await.status })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.expect("an answer"), 200);
    }
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

async fn a_server_and_its_sealed_credential_round_trip(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    let auth = json!({"kind": "bearer", "secret": "s3cret"});
    acme.server_with(json!({"name": "up", "slug": "up", "url": upstream.url("/echo"), "auth": auth})).await;
    app.key(&acme.solo().await.token).mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer s3cret"));
}

async fn what_is_taken_is_a_conflict_and_not_a_fault(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    app.sign_up("acme", &json!({"email": "other@example.com"})).await.refused(409, "conflict");
    acme.server("notes", "https://a.example.com").await;
    let again = json!({"name": "notes", "url": "https://a.example.com"});
    acme.owner().post("/api/v1/mcp-servers", &again).await.refused(409, "conflict").names_field("slug");
}

async fn audit_rows_are_numbered_without_a_gap(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let token = acme.solo().await.token;
    let organization = acme.id.parse().expect("an id");
    let calls = (0..40).map(|_| {
        let caller = app.key(&token);
        tokio::spawn(async move { caller.get("/api/v1/mcp-servers").await.expect(200) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("an answer");
    }
    app.settled().await;
    // sign-up and its session, key decision and creation, 40 reads
    assert_eq!(app.services().audit_rows.length(organization).await.expect("a count"), 44);
    assert_eq!(app.services().audit_rows.count(organization).await.expect("a count"), 44);
}

async fn a_store_that_was_migrated_is_migrated_again_without_a_step(store: Store) {
    let app = App::on(store).await;
    assert_eq!(app.services().database.migrate().await.expect("nothing to do"), 0);
    assert_eq!(app.services().database.pending_migrations().await.expect("a count"), 0);
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
    assert_eq!(shown["features"], json!({"mcp_analytics": true}));
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

/// A path can hold anything, also what a database does not take.
#[tokio::test]
async fn what_callers_write_into_paths_never_blocks_the_audit_log() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let key = acme.solo().await;
        let caller = app.key(&key.token);
        for path in ["%00", "a%00b", "%FF%FE", "%F0%9F%98%80", &key.token, &"x".repeat(3000)] {
            let answer = caller
                .post(&format!("/mcp-connect/{path}/mcp"), &json!({"jsonrpc": "2.0", "id": 1, "method": "x"}))
                .await;
            answer.refused(404, "server_not_found");
        }
        app.settled().await;
    }
}

#[tokio::test]
async fn one_tenant_named_twice_is_one_tenant() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let orgs = json!([{"id": "a", "users": ["x"]}, {"id": "a"}, {"id": "b", "users": ["x", "x", "y"]}]);
        let key = acme.key(json!({"type": "platform", "tenants": {"orgs": orgs}})).await;
        assert_eq!(key.view["tenantCount"], 4, "{}", key.view);
        app.key(&key.token).get("/api/v1/me?org_id=a&user_id=anybody").await.expect(200);
    }
}

#[tokio::test]
async fn one_node_serves_from_a_postgres_database() {
    let app = App::on(Store::Postgres).await;
    let settings = vec![
        ("database-url", app.database_url.clone().expect("its url")),
        ("root-secret", "a root secret of the tests, long enough".to_owned()),
    ];
    let second = support::app::try_start(AppOptions { store: Store::Sqlite, settings }).await;
    assert!(second.is_err_and(|fault| fault.contains("another keyrack node")));
}
