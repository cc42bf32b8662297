//! Invitations: a link that works once, for one person, until it is over.

use reqwest::Method;
use serde_json::{Value, json};
use support::{Answer, App, AppOptions, MailSink, PASSWORD, Person};

async fn accept(app: &App, body: Value) -> Answer {
    app.anonymous().post("/api/v1/auth/invitations/accept", &body).await
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).expect("a text")
}

#[tokio::test]
async fn a_new_person_joins_by_the_link_and_is_signed_in() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let invited = acme.invite("Bob@Example.com", "editor").await;
    assert_eq!(
        (text(&invited, "/invitation/email"), text(&invited, "/invitation/role")),
        ("bob@example.com", "editor")
    );
    assert_eq!(text(&invited, "/invitation/invitedBy/id"), acme.owner_id);
    assert_eq!(invited["mailed"], false, "there is no mail server");
    let token = text(&invited, "/token");
    assert_eq!(text(&invited, "/link"), format!("{}/accept-invitation#token={token}", app.base));
    let shown = acme.owner().get("/api/v1/org/invitations").await.expect(200);
    assert_eq!(shown["items"], json!([invited["invitation"]]));
    assert!(!shown.to_string().contains(token), "the token is shown once");
    let answer = accept(&app, json!({"token": token, "password": PASSWORD, "displayName": "Bob"})).await;
    let session = answer.expect(200);
    assert_eq!((text(&session, "/user/email"), text(&session, "/user/displayName")), ("bob@example.com", "Bob"));
    assert_eq!((text(&session, "/organization/slug"), text(&session, "/organization/role")), ("acme", "editor"));
    let bob = Person::of(&app.anonymous(), &answer, 200);
    assert_eq!(bob.actor().get("/api/v1/me").await.expect(200)["role"], "editor");
    bob.refresh().await.expect(200);
    let login = json!({"email": "bob@example.com", "password": PASSWORD});
    app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    assert_eq!(acme.owner().get("/api/v1/org/invitations").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn an_existing_person_joins_with_their_password_and_no_other() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let ann = acme.member("ann", "viewer").await;
    let invited = globex.invite("ann@example.com", "admin").await;
    let token = text(&invited, "/token");
    let wrong = accept(&app, json!({"token": token, "password": "wrong horse battery"})).await;
    wrong.refused(401, "unauthenticated");
    let session =
        accept(&app, json!({"token": token, "password": PASSWORD, "displayName": "Not Ann"})).await.expect(200);
    assert_eq!(text(&session, "/user/id"), ann.id);
    assert_eq!(text(&session, "/user/displayName"), "ann@example.com", "a link does not rename anybody");
    assert_eq!((text(&session, "/organization/slug"), text(&session, "/organization/role")), ("globex", "admin"));
    assert_eq!(ann.actor().get("/api/v1/me").await.expect(200)["role"], "viewer", "in acme nothing changed");
}

#[tokio::test]
async fn links_that_do_not_work_answer_the_same_bytes_whatever_the_reason() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let used = acme.invite("used@example.com", "viewer").await;
    accept(&app, json!({"token": used["token"], "password": PASSWORD})).await.expect(200);
    let revoked = acme.invite("revoked@example.com", "viewer").await;
    let path = format!("/api/v1/org/invitations/{}", text(&revoked, "/invitation/id"));
    assert_eq!(acme.owner().delete(&path).await.status, 204);
    acme.owner().delete(&path).await.refused(404, "not_found");
    let replaced = acme.invite("twice@example.com", "viewer").await;
    let replacing = acme.invite("twice@example.com", "editor").await;
    let unknown = json!(format!("kri_{}", "0".repeat(64)));
    let mut bodies = Vec::new();
    for token in [&used["token"], &revoked["token"], &replaced["token"], &unknown, &json!("x"), &json!("")] {
        let answer = accept(&app, json!({"token": token, "password": PASSWORD})).await;
        answer.refused(400, "validation_failed").names_field("token");
        bodies.push(answer.body_without_request_id());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let joined = accept(&app, json!({"token": replacing["token"], "password": PASSWORD})).await.expect(200);
    assert_eq!(text(&joined, "/organization/role"), "editor");
}

#[tokio::test]
async fn what_is_asked_is_checked_and_a_wrong_answer_does_not_use_the_link_up() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let invite = async |body| acme.owner().post("/api/v1/org/invitations", &body).await;
    for (body, field) in [
        (json!({"email": "nobody", "role": "viewer"}), "email"),
        (json!({"email": "a@example.com", "role": "owner"}), "role"),
        (json!({"email": "a@example.com", "role": "viewer", "expiresInHours": 0}), "expiresInHours"),
        (json!({"email": "a@example.com", "role": "viewer", "expiresInHours": 721}), "expiresInHours"),
        (json!({"email": "owner@acme.example.com", "role": "viewer"}), "email"),
    ] {
        let status =
            if body["email"] == "owner@acme.example.com" { (409, "conflict") } else { (400, "validation_failed") };
        invite(body).await.refused(status.0, status.1).names_field(field);
    }
    let invited = acme.invite("bob@example.com", "viewer").await;
    let token = &invited["token"];
    accept(&app, json!({"token": token, "password": "short"}))
        .await
        .refused(400, "validation_failed")
        .names_field("password");
    let control = json!({"token": token, "password": PASSWORD, "displayName": "a\nb"});
    accept(&app, control).await.refused(400, "validation_failed").names_field("displayName");
    accept(&app, json!({"token": token})).await.refused(400, "validation_failed");
    accept(&app, json!({"token": token, "password": PASSWORD})).await.expect(200);
}

#[tokio::test]
async fn a_disabled_member_does_not_come_back_by_an_invitation() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    // Invited twice over, before the first joined: the second link is the one that works.
    let ann = acme.member("ann", "viewer").await;
    let path = format!("/api/v1/org/members/{}", ann.id);
    acme.owner().with_body(Method::PATCH, &path, &json!({"disabled": true})).await.expect(200);
    let body = json!({"email": "ann@example.com", "role": "admin"});
    acme.owner().post("/api/v1/org/invitations", &body).await.refused(409, "conflict").names_field("email");
}

#[tokio::test]
async fn who_is_no_longer_an_admin_takes_their_invitations_with_them() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    for (number, how) in [json!({"role": "editor"}), json!({"disabled": true}), Value::Null].iter().enumerate() {
        let admin = acme.member(&format!("admin{number}"), "admin").await;
        let body = json!({"email": format!("door{number}@example.com"), "role": "admin"});
        let back_door = admin.actor().post("/api/v1/org/invitations", &body).await.expect(201);
        let path = format!("/api/v1/org/members/{}", admin.id);
        if how.is_null() {
            assert_eq!(acme.owner().delete(&path).await.status, 204);
        } else {
            acme.owner().with_body(Method::PATCH, &path, how).await.expect(200);
        }
        let answer = accept(&app, json!({"token": back_door["token"], "password": PASSWORD})).await;
        answer.refused(400, "validation_failed").names_field("token");
    }
}

#[tokio::test]
async fn another_organizations_invitation_answers_the_same_bytes_as_an_unknown_one() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let theirs = globex.invite("bob@example.com", "viewer").await;
    let revoke = async |id: &str| acme.owner().delete(&format!("/api/v1/org/invitations/{id}")).await;
    let (foreign, unknown, odd) = (
        revoke(text(&theirs, "/invitation/id")).await,
        revoke("inv_01kafx5tgyf1na07m4q6nf1sgb").await,
        revoke("inv").await,
    );
    foreign.refused(404, "not_found");
    assert_eq!(foreign.body_without_request_id(), unknown.body_without_request_id());
    assert_eq!(odd.body_without_request_id(), unknown.body_without_request_id());
    accept(&app, json!({"token": theirs["token"], "password": PASSWORD})).await.expect(200);
}

#[tokio::test]
async fn pages_of_invitations_are_complete_and_newest_first() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let mut made = Vec::new();
    for number in 0..5 {
        let invited = acme.invite(&format!("p{number}@example.com"), "viewer").await;
        made.insert(0, text(&invited, "/invitation/id").to_owned());
    }
    let (mut seen, mut path) = (Vec::new(), "/api/v1/org/invitations?limit=2".to_owned());
    loop {
        let page = acme.owner().get(&path).await.expect(200);
        let items = page["items"].as_array().expect("items").iter();
        seen.extend(items.map(|invitation| text(invitation, "/id").to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/org/invitations?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn invitations_are_mailed_where_there_is_a_mail_server_and_stand_when_it_refuses() {
    let sink = MailSink::start().await;
    let settings = vec![
        ("signup", "open".to_owned()),
        ("smtp-url", sink.url.clone()),
        ("smtp-from", "Keyrack <keys@example.com>".to_owned()),
    ];
    let app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let acme = app.organization("acme").await;
    let invited = acme.invite("bob@example.com", "viewer").await;
    assert_eq!(invited["mailed"], true);
    let letter = sink.letters().pop().expect("a letter");
    assert_eq!((letter.from.as_str(), letter.to.as_str()), ("keys@example.com", "bob@example.com"));
    assert!(letter.text.contains(text(&invited, "/link")), "{}", letter.text);
    assert!(letter.text.contains("The acme"), "{}", letter.text);
    let refused = acme.invite("bob@refused.example.com", "viewer").await;
    assert_eq!((&refused["mailed"], sink.letters().len()), (&json!(false), 1));
    accept(&app, json!({"token": refused["token"], "password": PASSWORD})).await.expect(200);
}

#[tokio::test]
async fn a_mail_server_that_is_gone_costs_the_letter_and_not_the_invitation() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let settings = vec![
        ("signup", "open".to_owned()),
        ("smtp-url", format!("smtp://{gone}")),
        ("smtp-from", "keys@example.com".to_owned()),
    ];
    let app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let acme = app.organization("acme").await;
    let invited = acme.invite("bob@example.com", "viewer").await;
    assert_eq!(invited["mailed"], false);
    accept(&app, json!({"token": invited["token"], "password": PASSWORD})).await.expect(200);
}

#[tokio::test]
async fn the_links_page_runs_its_own_script_alone_and_no_cache_keeps_it() {
    let app = App::spawn().await;
    let page = app.anonymous().get("/accept-invitation").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].to_str().expect("text").starts_with("text/html"));
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(page.body.contains(r#"<script src="/accept-invitation.js">"#) && !page.body.contains("onclick"));
    let script = app.anonymous().get("/accept-invitation.js").await;
    assert!(script.headers["content-type"].to_str().expect("text").starts_with("text/javascript"));
    assert!(script.body.contains("/api/v1/auth/invitations/accept"));
}
