//! How often passwords can be tried, what is in the log of people, and sign-ups whose client leaves.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use support::{Answer, App, AppOptions, PASSWORD};

async fn log_in(app: &App, from: &str, email: &str, password: &str) -> Answer {
    let actor = app.headers(&[("x-forwarded-for", from)]);
    actor.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await
}

async fn behind_a_proxy() -> App {
    let settings = vec![("signup", "open".to_owned()), ("trusted-proxies", "127.0.0.0/8".to_owned())];
    App::with(AppOptions { settings, ..AppOptions::default() }).await
}

fn retry_after(answer: &Answer) -> u64 {
    answer.refused(429, "rate_limited");
    answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds")
}

#[tokio::test]
async fn too_many_wrong_passwords_have_to_wait_and_the_right_one_too() {
    let app = behind_a_proxy().await;
    app.organization("acme").await;
    for _ in 0..10 {
        log_in(&app, "192.0.2.1", "owner@acme.example.com", "wrong horse battery")
            .await
            .refused(401, "unauthenticated");
    }
    let known = log_in(&app, "192.0.2.1", "owner@acme.example.com", PASSWORD).await;
    assert!((1..=30).contains(&retry_after(&known)), "the wait is short");
    for _ in 0..10 {
        log_in(&app, "192.0.2.1", "nobody@acme.example.com", "wrong horse battery")
            .await
            .refused(401, "unauthenticated");
    }
    let unknown = log_in(&app, "192.0.2.1", "nobody@acme.example.com", PASSWORD).await;
    retry_after(&unknown);
    let without_wait = |answer: &Answer| answer.body_without_request_id().replace(char::is_numeric, "");
    assert_eq!(without_wait(&known), without_wait(&unknown), "it does not tell who exists");
    log_in(&app, "192.0.2.1", "somebody@acme.example.com", PASSWORD).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn tries_that_had_to_wait_are_in_the_log_by_their_own_code() {
    let mut app = behind_a_proxy().await;
    app.organization("acme").await;
    for _ in 0..12 {
        log_in(&app, "192.0.2.1", "owner@acme.example.com", "wrong horse battery").await;
    }
    // What was counted is written at the end.
    app.stop().await;
    let statement = "SELECT CAST(code || ': ' || reason AS BLOB) FROM audit_events \
                     WHERE action = 'session.open' AND outcome = 'refused' ORDER BY code";
    let rows = sql(&app.data.path().join("keyrack.db"), statement).await;
    let rows: Vec<_> = rows.into_iter().map(|row| String::from_utf8(row).expect("text")).collect();
    let wrong = "unauthenticated: wrong e-mail address, password or organization (10 times)";
    assert_eq!(rows, ["rate_limited: too many failures (2 times)", wrong]);
}

#[tokio::test]
async fn wrong_bootstrap_tokens_have_to_wait_and_keep_nobody_else_out() {
    let settings = vec![("trusted-proxies", "127.0.0.0/8".to_owned())];
    let app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let sign_up = async |from: &str, token: &str| {
        let organization = json!({"name": "Acme", "slug": "acme"});
        let body = json!({"email": "ann@example.com", "password": PASSWORD, "organization": organization, "bootstrapToken": token});
        app.headers(&[("x-forwarded-for", from)]).post("/api/v1/auth/signup", &body).await
    };
    let mut refused = 0;
    for _ in 0..60 {
        let answer = sign_up("192.0.2.1", "krb_wrong").await;
        if answer.status == 429 {
            refused += 1;
            assert!(retry_after(&answer) <= 5, "the wait is short");
        } else {
            answer.refused(400, "validation_failed").names_field("bootstrapToken");
        }
    }
    // One address may fail 50 times, and once more every five seconds.
    assert!((1..=10).contains(&refused), "{refused}");
    sign_up("192.0.2.2", &app.bootstrap_token).await.expect(201);
}

#[tokio::test]
async fn a_stranger_does_not_lock_out_a_person_who_was_here_before() {
    let app = behind_a_proxy().await;
    app.organization("acme").await;
    log_in(&app, "192.0.2.1", "owner@acme.example.com", PASSWORD).await.expect(200);
    for stranger in 0..12 {
        let from = format!("198.51.100.{stranger}");
        log_in(&app, &from, "owner@acme.example.com", "wrong horse battery").await;
    }
    retry_after(&log_in(&app, "198.51.100.99", "owner@acme.example.com", PASSWORD).await);
    log_in(&app, "192.0.2.1", "owner@acme.example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_thousand_tries_at_once_are_a_thousand_tries() {
    let app = behind_a_proxy().await;
    app.organization("acme").await;
    let tries = (0..40).map(|_| log_in(&app, "192.0.2.1", "owner@acme.example.com", "wrong horse battery"));
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 10);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 30);
}

#[tokio::test]
async fn what_a_client_writes_into_the_header_is_not_believed_without_a_trusted_proxy() {
    let app = App::spawn().await;
    app.organization("acme").await;
    let mut refused = 0;
    for number in 0..60 {
        let answer = log_in(&app, &format!("192.0.2.{number}"), &format!("p{number}@example.com"), "x").await;
        refused += usize::from(answer.status == 429);
    }
    // One address may fail 50 times, and once more every five seconds.
    assert!((1..=10).contains(&refused), "{refused}");
}

#[tokio::test]
async fn passwords_are_counted_wherever_they_are_tried() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "viewer").await;
    for _ in 0..10 {
        let body = json!({"userId": ann.id, "password": "wrong horse battery"});
        acme.owner().post("/api/v1/org/transfer-ownership", &body).await.refused(400, "validation_failed");
    }
    let body = json!({"userId": ann.id, "password": PASSWORD});
    retry_after(&acme.owner().post("/api/v1/org/transfer-ownership", &body).await);
    let globex = app.organization("globex").await;
    let invited = globex.invite("owner@acme.example.com", "viewer").await;
    retry_after(&globex.accept(invited["token"].as_str().expect("a token")).await);
}

async fn sql(file: &Path, statement: &str) -> Vec<Vec<u8>> {
    let db = Database::connect(format!("sqlite://{}", file.display())).await.expect("the file opens");
    let rows = ask(&db, statement).await;
    db.close().await.expect("it closes");
    rows
}

/// The first column of every row.
async fn ask(db: &DatabaseConnection, statement: &str) -> Vec<Vec<u8>> {
    let statement = Statement::from_sql_and_values(DbBackend::Sqlite, statement, []);
    let rows = db.query_all_raw(statement).await.expect("it runs");
    rows.iter().map(|row| row.try_get_by_index::<Vec<u8>>(0).unwrap_or_default()).collect()
}

/// The actions in an organization's log, in their order.
async fn actions(app: &App, organization: &str) -> Vec<String> {
    let id: domain::id::OrganizationId = organization.parse().expect("an id");
    let statement = format!(
        "SELECT CAST(action AS BLOB) FROM audit_events WHERE organization_id = x'{}' ORDER BY seq",
        id.as_uuid().simple()
    );
    let rows = sql(&app.data.path().join("keyrack.db"), &statement).await;
    rows.into_iter().map(|action| String::from_utf8(action).expect("text")).collect()
}

#[tokio::test]
async fn every_change_of_people_is_in_the_log() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let (ann, bob) = (acme.member("ann", "viewer").await, acme.member("bob", "viewer").await);
    let patch = async |path: &str, body: Value| acme.owner().with_body(Method::PATCH, path, &body).await.expect(200);
    let member = format!("/api/v1/org/members/{}", ann.id);
    patch(&member, json!({"role": "admin", "disabled": true})).await;
    patch(&member, json!({"role": "admin", "disabled": false})).await;
    patch("/api/v1/org", json!({"name": "Acme again", "slug": "acme", "features": {"mcp_analytics": false}})).await;
    patch("/api/v1/org", json!({"name": "Acme again"})).await;
    let revoked = acme.invite("x@example.com", "viewer").await;
    let path = format!("/api/v1/org/invitations/{}", revoked["invitation"]["id"].as_str().expect("an id"));
    acme.owner().delete(&path).await;
    acme.owner().delete(&format!("/api/v1/org/members/{}", bob.id)).await;
    let body = json!({"userId": ann.id, "password": PASSWORD});
    acme.owner().post("/api/v1/org/transfer-ownership", &body).await.expect(200);
    let seen = actions(&app, &acme.id).await;
    let changes: Vec<&str> = seen.iter().map(String::as_str).filter(|action| !action.contains(':')).collect();
    let expected = [
        "organization.create",
        "session.open",
        "invitation.create",
        "invitation.accept",
        "session.open",
        "invitation.create",
        "invitation.accept",
        "session.open",
        "member.change",
        "member.disable",
        "member.enable",
        "organization.change",
        "invitation.create",
        "invitation.revoke",
        "member.remove",
        "ownership.transfer",
    ];
    assert_eq!(changes, expected);
}

/// Actix drops a handler whose client leaves; whoever was signed up must be in the log all the same.
#[tokio::test]
async fn a_sign_up_whose_client_leaves_is_in_the_log_all_the_same() {
    const ROUNDS: usize = 12;
    let app = App::spawn().await;
    let file = app.data.path().join("keyrack.db");
    let db = Database::connect(format!("sqlite://{}", file.display())).await.expect("the file opens");
    for round in 0..ROUNDS {
        let slug = format!("round-{round}");
        let organization = json!({"name": slug, "slug": slug});
        let email = format!("{slug}@example.com");
        let body = json!({"email": email, "password": PASSWORD, "organization": organization});
        let request = app.anonymous().request(Method::POST, "/api/v1/auth/signup").json(&body).send();
        let stored = async {
            while ask(&db, "SELECT id FROM organizations").await.len() <= round {
                tokio::task::yield_now().await;
            }
        };
        // The client leaves in the moment in which the organization is there.
        tokio::select! {
            _ = request => {}
            () = stored => {}
        }
    }
    let unrecorded = "SELECT CAST(slug AS BLOB) FROM organizations WHERE NOT EXISTS (SELECT 1 FROM audit_events \
                      WHERE organization_id = organizations.id AND action = 'organization.create')";
    for _ in 0..100 {
        if ask(&db, unrecorded).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(&db, unrecorded).await.len(), 0);
    assert_eq!(ask(&db, "SELECT id FROM organizations").await.len(), ROUNDS);
}
