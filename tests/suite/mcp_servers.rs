//! Registering, listing, showing and archiving servers.

use reqwest::Method;
use serde_json::json;
use support::{App, Store, Upstream};

#[tokio::test]
async fn a_server_is_registered_shown_listed_and_archived() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let body = json!({
        "name": "My Notes (2)", "url": "https://mcp.example.com/mcp", "description": "All notes",
        "auth": {"kind": "header", "header": "X-Service-Token", "secret": "upstream-secret"}, "categories": ["productivity"],
    });
    let created = acme.server_with(body).await;
    assert_eq!(created["slug"], "my-notes-2");
    assert_eq!(created["status"], "active");
    assert_eq!(created["auth"], json!({"kind": "header", "scope": "organization", "header": "x-service-token"}));
    assert!(!created.to_string().contains("upstream-secret"));
    let id = created["id"].as_str().expect("an id");
    assert!(id.starts_with("mcp_"));
    for name in [id, "my-notes-2"] {
        assert_eq!(acme.owner().get(&format!("/api/v1/mcp-servers/{name}")).await.expect(200), created);
    }
    assert_eq!(acme.owner().get("/api/v1/mcp-servers").await.expect(200)["items"], json!([created]));
    let archived = acme.owner().post("/api/v1/mcp-servers/my-notes-2/archive", &json!({})).await.expect(200);
    assert_eq!(archived["status"], "archived");
    acme.owner().post("/api/v1/mcp-servers/my-notes-2/archive", &json!({})).await.expect(200);
    assert_eq!(acme.owner().get("/api/v1/mcp-servers").await.expect(200)["items"], json!([]));
    let listed = acme.owner().get("/api/v1/mcp-servers?archived=true").await.expect(200);
    assert_eq!(listed["items"][0]["slug"], "my-notes-2");
}

#[tokio::test]
async fn an_archived_server_takes_no_call_from_then_on() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("echo", &upstream.url("/echo")).await;
    let caller = app.key(&acme.solo().await.token);
    caller.mcp("echo", "", "ping", json!({})).await.expect(200);
    acme.owner().post("/api/v1/mcp-servers/echo/archive", &json!({})).await.expect(200);
    caller.mcp("echo", "", "ping", json!({})).await.refused(404, "server_not_found");
}

#[tokio::test]
async fn slugs_are_unique_per_organization() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    acme.server("notes", "https://a.example.com/mcp").await;
    globex.server("notes", "https://b.example.com/mcp").await;
    let again = json!({"name": "x", "slug": "notes", "url": "https://c.example.com"});
    acme.owner().post("/api/v1/mcp-servers", &again).await.refused(409, "conflict").names_field("slug");
}

#[tokio::test]
async fn pages_are_complete_and_stable_while_servers_are_added() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    for number in 0..7 {
        acme.server(&format!("s{number}"), "https://a.example.com/mcp").await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/mcp-servers?limit=3".to_owned();
    loop {
        let page = acme.owner().get(&path).await.expect(200);
        let slugs = page["items"].as_array().expect("items").iter();
        seen.extend(slugs.map(|server| server["slug"].as_str().expect("a slug").to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/mcp-servers?limit=3&cursor={cursor}");
        if seen.len() == 3 {
            acme.owner().post("/api/v1/mcp-servers/s0/archive", &json!({})).await.expect(200);
        }
    }
    assert_eq!(seen, ["s0", "s1", "s2", "s3", "s4", "s5", "s6"]);
    for bad in ["limit=0", "limit=201", "limit=x", "cursor=!!!", "cursor=bm9uc2Vuc2U"] {
        acme.owner().get(&format!("/api/v1/mcp-servers?{bad}")).await.refused(400, "validation_failed");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_at_registration_with_the_fix() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    for url in [
        "http://10.0.0.1/mcp",
        "https://169.254.169.254/",
        "https://[::1]/",
        "http://mcp.example.com",
        "ftp://x",
        "https://u:p@x.example.com",
    ] {
        let answer = acme.owner().post("/api/v1/mcp-servers", &json!({"name": "x", "url": url})).await;
        answer.refused(400, "validation_failed").names_field("url");
    }
    let answer = acme.owner().post("/api/v1/mcp-servers", &json!({"name": "x", "url": "https://10.0.0.1/"})).await;
    assert!(answer.body.contains("KEYRACK_EGRESS_ALLOW"), "{}", answer.body);
}

#[tokio::test]
async fn auth_that_does_not_fit_its_kind_is_refused_field_by_field() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let cases = [
        (json!({"kind": "bearer"}), "auth.secret"),
        (json!({"kind": "none", "secret": "x"}), "auth.secret"),
        (json!({"kind": "bearer", "secret": "x", "header": "X-A"}), "auth.header"),
        (json!({"kind": "header", "secret": "x"}), "auth.header"),
        (json!({"kind": "header", "secret": "x", "header": "Host"}), "auth.header"),
        (json!({"kind": "header", "secret": "x", "header": "X-Keyrack-Assertion"}), "auth.header"),
        (json!({"kind": "basic", "secret": "x", "username": "a:b"}), "auth.username"),
        (json!({"kind": "bearer", "secret": "two\nlines"}), "auth.secret"),
    ];
    for (auth, field) in cases {
        let answer = acme
            .owner()
            .post("/api/v1/mcp-servers", &json!({"name": "x", "url": "https://x.example.com", "auth": auth}))
            .await;
        answer.refused(400, "validation_failed").names_field(field);
    }
}

#[tokio::test]
async fn a_key_that_lists_servers_sees_and_manages_no_others() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let inside = acme.server("inside", "https://a.example.com/mcp").await;
    acme.server("outside", "https://b.example.com/mcp").await;
    let caller = app.key(&acme.key(json!({"servers": [inside["id"]]})).await.token);
    let listed = caller.get("/api/v1/mcp-servers").await.expect(200);
    assert_eq!(listed["items"], json!([inside]));
    caller.get("/api/v1/mcp-servers/outside").await.refused(403, "server_not_allowed");
    caller.post("/api/v1/mcp-servers/outside/archive", &json!({})).await.refused(403, "server_not_allowed");
    caller.get("/api/v1/mcp-servers/nothing").await.refused(404, "server_not_found");
    caller.post("/api/v1/mcp-servers/inside/archive", &json!({})).await.expect(200);
    assert_eq!(acme.owner().get("/api/v1/mcp-servers/outside").await.expect(200)["status"], "active");
}

#[tokio::test]
async fn a_server_outside_the_key_is_a_refusal_in_the_log_and_not_only_an_allowed_read() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let inside = acme.server("inside", "https://a.example.com/mcp").await;
    acme.server("outside", "https://b.example.com/mcp").await;
    let caller = app.key(&acme.key(json!({"servers": [inside["id"]]})).await.token);
    let organization = acme.id.parse().expect("an id");
    let rows = async || {
        app.settled().await;
        app.services().audit_rows.length(organization).await.expect("a count")
    };
    let start = rows().await;
    caller.get("/api/v1/mcp-servers/inside").await.expect(200);
    let after_allowed = rows().await;
    caller.get("/api/v1/mcp-servers/outside").await.refused(403, "server_not_allowed");
    let after_refused = rows().await;
    assert_eq!((after_allowed - start, after_refused - after_allowed), (1, 2));
}

#[tokio::test]
async fn a_change_is_shown_stored_and_effective_on_the_next_request() {
    for store in [Store::Sqlite, Store::Postgres] {
        let (app, upstream) = (App::on(store).await, Upstream::start());
        let acme = app.organization("acme").await;
        let before = acme
            .server_with(json!({
                "name": "Up", "slug": "up", "url": upstream.url("/echo"), "description": "old", "categories": ["a"],
                "auth": {"kind": "bearer", "secret": "first"}, "rateLimit": {"requests": 1000, "perSeconds": 60},
            }))
            .await;
        let caller = app.key(&acme.solo().await.token);
        let names = ["up", before["id"].as_str().expect("an id")];
        for name in names {
            caller.mcp(name, "", "ping", json!({})).await.expect(200);
        }
        let change = json!({
            "name": "Up there", "url": upstream.url("/echo?moved=1"), "description": null, "categories": ["b", "c"],
            "auth": {"kind": "header", "header": "X-Token", "secret": "second"}, "allowedSecretFields": ["password"],
            "rateLimit": null, "timeouts": {"connectMs": 250, "idleMs": 2000},
        });
        let path = "/api/v1/mcp-servers/up";
        let after = acme.owner().with_body(Method::PATCH, path, &change).await.expect(200);
        for (field, value) in [
            ("name", json!("Up there")),
            ("slug", json!("up")),
            ("url", change["url"].clone()),
            ("description", json!(null)),
            ("categories", json!(["b", "c"])),
            ("auth", json!({"kind": "header", "scope": "organization", "header": "x-token"})),
            ("allowedSecretFields", json!(["password"])),
            ("rateLimit", json!(null)),
            ("timeouts", json!({"connectMs": 250, "idleMs": 2000})),
            ("id", before["id"].clone()),
            ("createdAt", before["createdAt"].clone()),
        ] {
            assert_eq!(after[field], value, "{field}");
        }
        assert_eq!(acme.owner().get(path).await.expect(200), after);
        for name in names {
            let call = json!({"name": "t", "arguments": {"password": "x"}});
            let answer = caller.mcp(name, "", "tools/call", call).await.expect(200);
            assert!(answer["error"].is_null(), "{name}: {answer}");
            let seen = upstream.last();
            assert_eq!((seen.target.as_str(), seen.header("x-token")), ("/echo?moved=1", Some("second")), "{name}");
            assert_eq!(seen.header("authorization"), None);
        }
        // What is left out stays, also within the times.
        let part = json!({"timeouts": {"idleMs": null}});
        let after = acme.owner().with_body(Method::PATCH, path, &part).await.expect(200);
        assert_eq!(after["timeouts"], json!({"connectMs": 250, "idleMs": null}));
        assert_eq!((&after["name"], &after["auth"]["kind"]), (&json!("Up there"), &json!("header")));
        let none = acme.owner().with_body(Method::PATCH, path, &json!({"timeouts": null})).await.expect(200);
        assert_eq!(none["timeouts"], json!({"connectMs": null, "idleMs": null}));
    }
}

#[tokio::test]
async fn a_credential_does_not_follow_its_server_to_another_origin() {
    let (app, upstream, elsewhere) = (App::spawn().await, Upstream::start(), Upstream::start());
    let acme = app.organization("acme").await;
    let auth = json!({"kind": "bearer", "secret": "s3cret"});
    acme.server_with(json!({"name": "up", "slug": "up", "url": upstream.url("/echo"), "auth": auth})).await;
    let caller = app.key(&acme.solo().await.token);
    let away = json!({"url": elsewhere.url("/echo")});
    let path = "/api/v1/mcp-servers/up";
    let refused = acme.owner().with_body(Method::PATCH, path, &away).await;
    refused.refused(400, "validation_failed").names_field("auth");
    caller.mcp("up", "", "ping", json!({})).await.expect(200);
    assert!(elsewhere.seen().is_empty());
    let with_its_own = json!({"url": elsewhere.url("/echo"), "auth": {"kind": "none"}});
    acme.owner().with_body(Method::PATCH, path, &with_its_own).await.expect(200);
    caller.mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(elsewhere.last().header("authorization"), None);
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused_by_field_and_changes_nothing() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let before = acme.server("up", "https://x.example.com/mcp").await;
    let path = "/api/v1/mcp-servers/up";
    for (change, field) in [
        (json!({}), "body"),
        (json!({"name": ""}), "name"),
        (json!({"url": "http://x.example.com"}), "url"),
        (json!({"auth": {"kind": "bearer"}}), "auth.secret"),
        (json!({"categories": [""]}), "categories[0]"),
        (json!({"timeouts": {"connectMs": 99}}), "timeouts.connectMs"),
        (json!({"timeouts": {"connectMs": 60001}}), "timeouts.connectMs"),
        (json!({"timeouts": {"idleMs": 999}}), "timeouts.idleMs"),
        (json!({"timeouts": {"idleMs": 86_400_001}}), "timeouts.idleMs"),
    ] {
        let answer = acme.owner().with_body(Method::PATCH, path, &change).await;
        answer.refused(400, "validation_failed").names_field(field);
    }
    let wrong = json!({"name": "x", "url": "https://x.example.com", "timeouts": {"connectMs": 1, "idleMs": 1}});
    let answer = acme.owner().post("/api/v1/mcp-servers", &wrong).await;
    answer.refused(400, "validation_failed").names_field("timeouts.connectMs");
    answer.names_field("timeouts.idleMs");
    assert_eq!(acme.owner().get(path).await.expect(200), before);
    let name = json!({"name": "theirs"});
    let foreign = globex.owner().with_body(Method::PATCH, path, &name).await;
    let unknown = globex.owner().with_body(Method::PATCH, "/api/v1/mcp-servers/nothing", &name).await;
    foreign.refused(404, "server_not_found");
    assert_eq!(foreign.body_without_request_id(), unknown.body_without_request_id());
    acme.owner().post("/api/v1/mcp-servers/up/archive", &json!({})).await.expect(200);
    acme.owner().with_body(Method::PATCH, path, &name).await.refused(409, "conflict");
}
