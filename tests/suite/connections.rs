//! Connections: each tenant's own credential, and nobody else's, by no route.

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Organization, Store, Upstream};

on_both! {
    each_tenant_is_called_for_with_its_own_credential
    a_replaced_or_ended_connection_is_used_by_no_call_that_starts
    a_row_that_is_copied_elsewhere_does_not_open
    who_leaves_and_what_is_put_away_takes_its_connections_along
}

const UP: &str = "/api/v1/connections/up";

/// A server whose tenants bring a bearer token.
async fn tenants_server(acme: &Organization, upstream: &Upstream) {
    let auth = json!({"kind": "bearer", "scope": "tenant"});
    let body = json!({"name": "up", "slug": "up", "url": upstream.url("/echo"), "auth": auth});
    let made = acme.server_with(body).await;
    assert_eq!(made["auth"], json!({"kind": "bearer", "scope": "tenant"}));
}

async fn connect(caller: &Actor, query: &str, secret: &str) -> Value {
    let body = json!({"kind": "bearer", "secret": secret});
    caller.with_body(Method::PUT, &format!("{UP}{query}"), &body).await.expect(200)
}

async fn call(caller: &Actor, query: &str) -> Answer {
    caller.mcp("up", query, "ping", json!({})).await
}

/// Whose credential the upstream got; none when nothing arrived.
async fn called_with(caller: &Actor, query: &str, upstream: &Upstream) -> Option<String> {
    let before = upstream.seen().len();
    let answer = call(caller, query).await;
    if upstream.seen().len() == before {
        answer.refused(403, "connection_required");
        return None;
    }
    answer.expect(200);
    upstream.last().header("authorization").map(str::to_owned)
}

async fn each_tenant_is_called_for_with_its_own_credential(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let (acme, rival) = (app.organization("acme").await, app.organization("rival").await);
    tenants_server(&acme, &upstream).await;
    tenants_server(&rival, &upstream).await;
    let ann = acme.member("ann", "viewer").await;
    let callers = [
        ("the owner's solo key", app.key(&acme.solo().await.token), ""),
        ("ann's solo key", app.key(&ann.key(json!({})).await.token), ""),
        ("marina of a client", app.key(&acme.client().await.token), "?user_id=marina"),
        ("otto of a client", app.key(&acme.client().await.token), "?user_id=otto"),
        ("marina of globex", app.key(&acme.platform().await.token), "?org_id=globex&user_id=marina"),
        ("marina of initech", app.key(&acme.platform().await.token), "?org_id=initech&user_id=marina"),
        ("marina of the rival", app.key(&rival.client().await.token), "?user_id=marina"),
    ];
    for (number, (name, caller, query)) in callers.iter().enumerate() {
        assert_eq!(called_with(caller, query, &upstream).await, None, "{name} has connected nothing");
        caller.get(&format!("{UP}{query}")).await.refused(404, "not_found");
        let shown = connect(caller, query, &format!("token-{number}")).await;
        assert!(!shown.to_string().contains("token-"), "{shown}");
        assert_eq!(caller.get(&format!("{UP}{query}")).await.expect(200), shown);
        let listed = caller.get(&format!("/api/v1/connections{query}")).await.expect(200);
        assert_eq!(listed["items"], json!([shown]), "{name} sees its own, and nothing else");
        let earlier =
            callers[..number].iter().zip(0..).map(|((name, caller, query), number)| (name, caller, query, number));
        for (name, caller, query, number) in earlier {
            let expected = Some(format!("Bearer token-{number}"));
            assert_eq!(called_with(caller, query, &upstream).await, expected, "{name}");
        }
    }
    // A person's connection is that person's, whichever way they come.
    let shown = ann.actor().get(UP).await.expect(200);
    assert_eq!(shown["tenant"], json!({"org": null, "user": null}));
    assert_eq!(
        called_with(&app.key(&ann.key(json!({})).await.token), "", &upstream).await.expect("a call"),
        "Bearer token-1"
    );
    let globex = callers[4].1.get(&format!("{UP}?org_id=globex&user_id=marina")).await.expect(200);
    assert_eq!(globex["tenant"], json!({"org": "globex", "user": "marina"}));
    assert_eq!((&globex["status"], &globex["kind"]), (&json!("connected"), &json!("bearer")));
}

async fn a_replaced_or_ended_connection_is_used_by_no_call_that_starts(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    tenants_server(&acme, &upstream).await;
    let (caller, query) = (app.key(&acme.client().await.token), "?user_id=marina");
    for secret in ["first", "second"] {
        connect(&caller, query, secret).await;
        for _ in 0..2 {
            assert_eq!(called_with(&caller, query, &upstream).await, Some(format!("Bearer {secret}")));
        }
    }
    let ended = caller.delete(&format!("{UP}{query}")).await.expect(200);
    assert_eq!(ended["server"]["slug"], "up");
    assert_eq!(called_with(&caller, query, &upstream).await, None);
    caller.delete(&format!("{UP}{query}")).await.refused(404, "not_found");
    let log = acme.owner().get("/api/v1/audit-events?targetKind=connection").await.expect(200);
    let actions: Vec<&str> =
        log["items"].as_array().expect("events").iter().filter_map(|event| event["action"].as_str()).collect();
    assert_eq!(actions, ["connection.delete", "connection.create", "connection.create"], "{log}");
}

async fn a_row_that_is_copied_elsewhere_does_not_open(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    for organization in [&acme, &globex] {
        tenants_server(organization, &upstream).await;
    }
    let auth = json!({"kind": "bearer", "scope": "tenant"});
    let body = json!({"name": "other", "slug": "other", "url": upstream.url("/echo"), "auth": auth});
    acme.server_with(body).await;
    let caller = app.key(&acme.client().await.token);
    connect(&caller, "?user_id=marina", "marinas").await;
    connect(&caller, "?user_id=otto", "ottos").await;
    connect(&app.key(&globex.client().await.token), "?user_id=marina", "foreign").await;
    let body = json!({"kind": "bearer", "secret": "others"});
    caller.with_body(Method::PUT, "/api/v1/connections/other?user_id=marina", &body).await.expect(200);
    let ids = |answer: Value| answer["id"].as_str().expect("an id").to_owned();
    let marinas = ids(caller.get(&format!("{UP}?user_id=marina")).await.expect(200));
    // Whoever can write to the database puts another row's sealed bytes into Marina's: each row has something to give.
    let others = [
        ids(caller.get(&format!("{UP}?user_id=otto")).await.expect(200)),
        ids(app.key(&globex.client().await.token).get(&format!("{UP}?user_id=marina")).await.expect(200)),
        ids(caller.get("/api/v1/connections/other?user_id=marina").await.expect(200)),
    ];
    for (copied, other) in others.iter().enumerate() {
        let sealed = format!("(SELECT sealed FROM connections WHERE id = {})", bytes(other, store));
        app.run_sql(&format!("UPDATE connections SET sealed = {sealed} WHERE id = {}", bytes(&marinas, store))).await;
        let answer = caller.get(&format!("{UP}?user_id=marina")).await;
        answer.refused(500, "internal");
        assert!(upstream.seen().is_empty(), "row {copied} was opened and sent");
        call(&caller, "?user_id=marina").await.expect(500);
        assert!(upstream.seen().is_empty(), "row {copied} was opened and sent");
    }
    // And what is whole goes on working.
    assert_eq!(called_with(&caller, "?user_id=otto", &upstream).await.expect("a call"), "Bearer ottos");
}

/// An id as SQL of the store has it.
fn bytes(id: &str, store: Store) -> String {
    let id: domain::id::ConnectionId = id.parse().expect("an id");
    let text = id.as_uuid();
    match store {
        Store::Sqlite => format!("X'{}'", text.simple()),
        Store::Postgres => format!("'{text}'"),
    }
}

async fn who_leaves_and_what_is_put_away_takes_its_connections_along(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    tenants_server(&acme, &upstream).await;
    let ann = acme.member("ann", "editor").await;
    connect(&ann.actor(), "", "anns").await;
    assert_eq!(
        called_with(&app.key(&ann.key(json!({})).await.token), "", &upstream).await.expect("a call"),
        "Bearer anns"
    );
    acme.owner().delete(&format!("/api/v1/org/members/{}", ann.id)).await.expect_status(204);
    acme.member("ann2", "viewer").await;
    let again = acme.invite("ann@example.com", "editor").await;
    let body = json!({"token": again["token"], "password": support::PASSWORD});
    let back = app.anonymous().post("/api/v1/auth/invitations/accept", &body).await;
    let back = support::Person::of(&app.anonymous(), &back, 200);
    assert_eq!(back.id, ann.id, "the same person");
    back.actor().get(UP).await.refused(404, "not_found");
    assert_eq!(called_with(&app.key(&back.key(json!({})).await.token), "", &upstream).await, None);

    let (caller, query) = (app.key(&acme.client().await.token), "?user_id=marina");
    connect(&caller, query, "marinas").await;
    acme.owner().post("/api/v1/mcp-servers/up/archive", &json!({})).await.expect(200);
    assert_eq!(caller.get(&format!("/api/v1/connections{query}")).await.expect(200)["items"], json!([]));
    caller.get(&format!("{UP}{query}")).await.refused(404, "server_not_found");
}

#[tokio::test]
async fn a_call_without_a_connection_is_told_where_to_connect_if_its_caller_may() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    tenants_server(&acme, &upstream).await;
    let caller = app.key(&acme.client().await.token);
    let refused = call(&caller, "?user_id=marina").await;
    let error = refused.json()["error"].clone();
    let url = error["data"]["details"]["connectUrl"].as_str().expect("a link").to_owned();
    assert!(url.starts_with(&format!("{}/connect/", app.base)), "{url}");
    assert!(error["message"].as_str().is_some_and(|message| message.ends_with(&url)), "{error}");
    let page = app.anonymous().get(url.trim_start_matches(&app.base)).await;
    page.expect_status(200);
    assert!(page.body.contains("marina"), "the page says for whom it is");
    let mcp_only = acme.key(json!({"type": "client", "permissions": ["mcp:connect"]})).await;
    let refused = call(&app.key(&mcp_only.token), "?user_id=marina").await;
    refused.expect_status(403);
    assert_eq!(refused.json()["error"]["data"]["details"], json!({}));
}

#[tokio::test]
async fn a_connection_is_sent_in_the_way_that_the_server_asks_for() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let (caller, query) = (app.key(&acme.client().await.token), "?user_id=marina");
    let cases = [
        (
            "b",
            json!({"kind": "bearer", "scope": "tenant"}),
            json!({"kind": "bearer", "secret": "s"}),
            "authorization",
            "Bearer s",
        ),
        (
            "h",
            json!({"kind": "header", "scope": "tenant", "header": "X-Api-Key"}),
            json!({"kind": "header", "secret": "s"}),
            "x-api-key",
            "s",
        ),
        (
            "p",
            json!({"kind": "basic", "scope": "tenant"}),
            json!({"kind": "basic", "username": "u", "secret": "p"}),
            "authorization",
            "Basic dTpw",
        ),
    ];
    for (slug, auth, connection, header, value) in cases {
        acme.server_with(json!({"name": slug, "slug": slug, "url": upstream.url("/echo"), "auth": auth})).await;
        let path = format!("/api/v1/connections/{slug}{query}");
        caller.with_body(Method::PUT, &path, &connection).await.expect(200);
        caller.mcp(slug, query, "ping", json!({})).await.expect(200);
        assert_eq!(upstream.last().header(header), Some(value));
    }
}

#[tokio::test]
async fn a_connection_goes_nowhere_but_to_the_origin_that_it_was_given_for() {
    let (app, upstream, elsewhere) = (App::spawn().await, Upstream::start(), Upstream::start());
    let acme = app.organization("acme").await;
    tenants_server(&acme, &upstream).await;
    let (caller, query) = (app.key(&acme.client().await.token), "?user_id=marina");
    connect(&caller, query, "marinas").await;
    assert!(called_with(&caller, query, &upstream).await.is_some());
    let away = json!({"url": elsewhere.url("/echo")});
    acme.owner().with_body(Method::PATCH, "/api/v1/mcp-servers/up", &away).await.expect(200);
    call(&caller, query).await.refused(403, "connection_required");
    assert!(elsewhere.seen().is_empty());
    assert_eq!(caller.get(&format!("{UP}{query}")).await.expect(200)["status"], "needs_reconnect");
    connect(&caller, query, "another").await;
    assert_eq!(called_with(&caller, query, &elsewhere).await.expect("a call"), "Bearer another");
    // Another kind is not what the tenant gave.
    let basic = json!({"auth": {"kind": "basic", "scope": "tenant"}});
    acme.owner().with_body(Method::PATCH, "/api/v1/mcp-servers/up", &basic).await.expect(200);
    call(&caller, query).await.refused(403, "connection_required");
    assert_eq!(caller.get(&format!("{UP}{query}")).await.expect(200)["status"], "needs_reconnect");
}

#[tokio::test]
async fn a_connection_that_cannot_be_is_refused_by_field() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    tenants_server(&acme, &upstream).await;
    acme.server("open", &upstream.url("/echo")).await;
    let caller = app.key(&acme.solo().await.token);
    for (server, body, field) in [
        ("up", json!({"kind": "basic", "username": "u", "secret": "p"}), "kind"),
        ("up", json!({"kind": "oauth2"}), "kind"),
        ("up", json!({"kind": "none"}), "kind"),
        ("up", json!({"kind": "bearer"}), "secret"),
        ("up", json!({"kind": "bearer", "secret": ""}), "secret"),
        ("up", json!({"kind": "bearer", "secret": "two\nlines"}), "secret"),
        ("up", json!({"kind": "bearer", "secret": "s", "username": "u"}), "username"),
        ("open", json!({"kind": "bearer", "secret": "s"}), "kind"),
    ] {
        let answer = caller.with_body(Method::PUT, &format!("/api/v1/connections/{server}"), &body).await;
        answer.refused(400, "validation_failed").names_field(field);
    }
    for auth in [
        json!({"kind": "none", "scope": "tenant"}),
        json!({"kind": "bearer", "scope": "tenant", "secret": "s"}),
        json!({"kind": "header", "scope": "tenant"}),
        json!({"kind": "oauth2", "scope": "organization"}),
        json!({"kind": "oauth2", "secret": "s"}),
        json!({"kind": "oauth2", "scopes": ["two words"]}),
        json!({"kind": "bearer", "secret": "s", "clientId": "c"}),
    ] {
        let body = json!({"name": "x", "url": upstream.url("/echo"), "auth": auth});
        acme.owner().post("/api/v1/mcp-servers", &body).await.refused(400, "validation_failed");
    }
    let auth = json!({"kind": "oauth2", "clientId": "c", "secret": "s", "scopes": ["notes.read"]});
    let made = acme.server_with(json!({"name": "o", "url": upstream.url("/echo"), "auth": auth})).await;
    let shown = json!({"kind": "oauth2", "scope": "tenant", "clientId": "c", "scopes": ["notes.read"]});
    assert_eq!(made["auth"], shown);
}

#[tokio::test]
async fn connections_need_a_tenant_and_a_server_within_reach() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    tenants_server(&acme, &upstream).await;
    let other = acme.server("other", &upstream.url("/echo")).await;
    let client = app.key(&acme.client().await.token);
    client.get("/api/v1/connections").await.refused(400, "tenant_required").names_field("user_id");
    let platform = app.key(&acme.platform().await.token);
    platform.get("/api/v1/connections?org_id=globex").await.refused(400, "tenant_required").names_field("user_id");
    let narrow = app.key(&acme.key(json!({"type": "client", "servers": [other["id"]]})).await.token);
    let body = json!({"kind": "bearer", "secret": "s"});
    let put = async |path: &str| narrow.with_body(Method::PUT, path, &body).await;
    put(&format!("{UP}?user_id=marina")).await.refused(403, "server_not_allowed");
    put("/api/v1/connections/nothing?user_id=marina").await.refused(404, "server_not_found");
    narrow.get(&format!("{UP}?user_id=marina")).await.refused(403, "server_not_allowed");
    // What was connected through a wider key can be seen and ended through this one: it is the tenant's.
    connect(&client, "?user_id=marina", "marinas").await;
    narrow.delete(&format!("{UP}?user_id=marina")).await.expect(200);
    let mcp_only = acme.key(json!({"type": "client", "permissions": ["mcp:connect"]})).await;
    let answer = app.key(&mcp_only.token).get("/api/v1/connections?user_id=marina").await;
    answer.refused(403, "forbidden_permission");
}
