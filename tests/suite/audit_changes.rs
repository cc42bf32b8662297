//! A change and its row in the audit log take place together, or not at all.

use std::collections::BTreeMap;

use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use support::{App, Organization, Store, Upstream};

/// Rows of changes cannot be written while it stands; those of decisions can, whose actions are permissions.
pub(super) async fn refuse_changes(app: &App, store: Store, refuse: bool) {
    let sql = match (store, refuse) {
        (Store::Sqlite, true) => {
            "CREATE TRIGGER refuse BEFORE INSERT ON audit_events WHEN NEW.action NOT LIKE '%:%' \
             BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
        }
        (Store::Sqlite, false) => "DROP TRIGGER refuse",
        (Store::Postgres, true) => "ALTER TABLE audit_events ADD CONSTRAINT refuse CHECK (action LIKE '%:%') NOT VALID",
        (Store::Postgres, false) => "ALTER TABLE audit_events DROP CONSTRAINT refuse",
    };
    app.sql().await.execute_unprepared(sql).await.expect("a statement");
}

/// What can be seen of an organization from outside.
async fn seen(acme: &Organization) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in ["/api/v1/api-keys", "/api/v1/api-keys?revoked=true", "/api/v1/mcp-servers"] {
        let mut list = acme.owner().get(path).await.expect(200);
        for item in list["items"].as_array_mut().expect("items") {
            // Noted once a minute, by whoever uses the key.
            item["lastUsedAt"] = Value::Null;
        }
        seen.push(list);
    }
    seen
}

async fn actions(app: &App) -> BTreeMap<String, usize> {
    app.settled().await;
    let db = app.sql().await;
    let all = Statement::from_string(db.get_database_backend(), "SELECT action FROM audit_events");
    let mut actions = BTreeMap::new();
    for row in db.query_all_raw(all).await.expect("rows") {
        *actions.entry(row.try_get::<String>("", "action").expect("text")).or_default() += 1;
    }
    actions
}

async fn no_change_without_its_row(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let (client, token) = (acme.client().await, acme.platform().await.token);
    app.key(&token).mcp("up", "?org_id=globex&user_id=known", "ping", json!({})).await.expect(200);
    let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
    let cookie = async || {
        let signed_in = app.anonymous().post("/api/v1/auth/login", &login).await;
        signed_in.expect(200);
        signed_in.headers["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned()
    };
    let (kept, unused) = (cookie().await, cookie().await);
    let before = seen(&acme).await;

    refuse_changes(&app, store, true).await;
    let (owner, key) = (acme.owner(), format!("/api/v1/api-keys/{}", client.id));
    let tenants = json!({"users": ["marina"]});
    let server = json!({"name": "other", "url": "https://a.example.com"});
    let with = |cookie: &str| app.anonymous().and("cookie", cookie);
    let answers = [
        owner.post("/api/v1/api-keys", &json!({"name": "x"})).await,
        owner.with_body(Method::PUT, &format!("{key}/tenants"), &tenants).await,
        owner.delete(&key).await,
        owner.post("/api/v1/mcp-servers", &server).await,
        owner.with_body(Method::PATCH, "/api/v1/mcp-servers/up", &json!({"name": "new"})).await,
        owner.post("/api/v1/mcp-servers/up/archive", &json!({})).await,
        app.anonymous().post("/api/v1/auth/login", &login).await,
        with(&kept).post("/api/v1/auth/refresh", &json!({})).await,
        with(&unused).post("/api/v1/auth/logout", &json!({})).await,
        app.sign_up("initech", &json!({})).await,
        app.key(&token).mcp("up", "?org_id=globex&user_id=new", "ping", json!({})).await,
    ];
    for answer in &answers {
        assert!(answer.status >= 500, "{} answered {}", answer.asked, answer.status);
    }
    refuse_changes(&app, store, false).await;

    assert_eq!(seen(&acme).await, before);
    let rows = actions(&app).await;
    assert_eq!((rows["key.create"], rows["server.create"], rows["session.open"], rows["tenant.create"]), (2, 1, 3, 1));
    for action in ["key.revoke", "server.change", "server.archive", "session.close"] {
        assert!(!rows.contains_key(action), "{action}");
    }
    // Nothing was half done, so that all of it can be done now; and the key of the client was never cut.
    app.key(&client.token).get("/api/v1/me").await.expect(200);
    app.sign_up("initech", &json!({})).await.expect(201);
    with(&kept).post("/api/v1/auth/refresh", &json!({})).await.expect(200);
    with(&unused).post("/api/v1/auth/refresh", &json!({})).await.expect(200);
    app.key(&token).mcp("up", "?org_id=globex&user_id=new", "ping", json!({})).await.expect(200);
    assert_eq!(actions(&app).await["tenant.create"], 2);
}

#[tokio::test]
async fn no_change_without_its_row_on_sqlite() {
    Box::pin(no_change_without_its_row(Store::Sqlite)).await;
}

#[tokio::test]
async fn no_change_without_its_row_on_postgres() {
    Box::pin(no_change_without_its_row(Store::Postgres)).await;
}

async fn no_change_of_people_without_its_row(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let (ann, bob) = (acme.member("ann", "editor").await, acme.member("bob", "viewer").await);
    let key = ann.key(json!({"type": "solo"})).await;
    let invited = acme.invite("eve@example.com", "viewer").await;
    let id = |view: &Value| view["id"].as_str().expect("an id").to_owned();
    let seen = async || {
        let mut seen = Vec::new();
        for path in ["/org", "/org/members", "/org/invitations", "/me/organizations"] {
            seen.push(acme.owner().get(&format!("/api/v1{path}")).await.expect(200));
        }
        seen
    };
    let (before, rows) = (seen().await, actions(&app).await);
    let member = |person: &support::Person| format!("/api/v1/org/members/{}", person.id);
    let owner = acme.owner();
    let patch = async |path: &str, body: Value| owner.with_body(Method::PATCH, path, &body).await;
    let changes = async || {
        vec![
            patch("/api/v1/org", json!({"name": "Another", "features": {"mcp_analytics": true}})).await,
            patch(&member(&ann), json!({"role": "admin", "disabled": true})).await,
            patch(&member(&ann), json!({"disabled": false})).await,
            owner.delete(&member(&bob)).await,
            owner.post("/api/v1/organizations", &json!({"name": "Labs", "slug": "labs"})).await,
            acme.accept(invited["token"].as_str().expect("a token")).await,
            owner.post("/api/v1/org/invitations", &json!({"email": "joe@example.com", "role": "viewer"})).await,
        ]
    };
    let handing_over = json!({"userId": ann.id, "password": support::PASSWORD});

    refuse_changes(&app, store, true).await;
    let mut answers = changes().await;
    let enabling = answers.remove(2);
    assert_eq!(enabling.status, 200, "{} would change nothing", enabling.asked);
    answers.push(owner.delete(&format!("/api/v1/org/invitations/{}", id(&invited["invitation"]))).await);
    answers.push(owner.post("/api/v1/org/transfer-ownership", &handing_over).await);
    answers.push(acme.session().post("/api/v1/auth/switch", &json!({"organization": "acme"})).await);
    for answer in &answers {
        assert!(answer.status >= 500, "{} answered {}", answer.asked, answer.status);
    }
    let email = "bob@example.com".parse().expect("an address");
    assert!(app.services().accounts.set_instance_admin(&email, true).await.is_err());
    refuse_changes(&app, store, false).await;

    assert_eq!(seen().await, before);
    let now = actions(&app).await;
    assert!(now.iter().all(|(action, count)| action.contains(':') || rows.get(action) == Some(count)), "{now:?}");
    bob.actor().get("/api/v1/admin/api-keys").await.refused(403, "forbidden_role");
    app.key(&key.token).get("/api/v1/me").await.expect(200);
    // Nothing was half done, so that all of it can be done now.
    for answer in changes().await {
        assert!(answer.status < 300, "{} answered {}", answer.asked, answer.status);
    }
    owner.post("/api/v1/org/transfer-ownership", &handing_over).await.expect(200);
}

#[tokio::test]
async fn no_change_of_people_without_its_row_on_sqlite() {
    no_change_of_people_without_its_row(Store::Sqlite).await;
}

#[tokio::test]
async fn no_change_of_people_without_its_row_on_postgres() {
    no_change_of_people_without_its_row(Store::Postgres).await;
}

on_both! {
    no_change_of_a_project_without_its_row
    no_change_of_a_workflow_without_its_row
}

async fn no_change_of_a_workflow_without_its_row(store: Store) {
    const PATH: &str = "/api/v1/workflows";
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let owner = acme.owner();
    acme.server("notes", "https://a.example.com").await;
    let steps = |name: &str| json!([{"name": name, "server": "notes", "tool": "look"}]);
    let made = async || owner.post(PATH, &json!({"name": "nightly", "steps": steps("a")})).await.expect(201);
    let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    let first = format!("{PATH}/{}", id(&made().await));
    let proposals = format!("{first}/proposals");
    let mut proposed = Vec::new();
    for name in ["x", "y"] {
        let change = json!({"change": {"name": name}});
        proposed.push(format!("{proposals}/{}", id(&owner.post(&proposals, &change).await.expect(201))));
    }
    let changes = [
        (Method::POST, PATH.to_owned(), json!({"name": "another", "steps": steps("a")})),
        (Method::POST, proposals.clone(), json!({"change": {"name": "z"}})),
        (Method::POST, format!("{}/reject", proposed[0]), json!({})),
        (Method::POST, format!("{}/apply", proposed[1]), json!({})),
        (Method::PATCH, first.clone(), json!({"steps": steps("b")})),
        (Method::POST, format!("{first}/archive"), json!({})),
        (Method::POST, format!("{first}/restore"), json!({})),
    ];
    let ask = async || {
        let mut statuses = Vec::new();
        for (method, path, body) in &changes {
            statuses.push(owner.with_body(method.clone(), path, body).await.status);
        }
        statuses
    };
    let seen = async || {
        let mut seen = Vec::new();
        for path in [PATH, &proposals, &format!("{first}/versions")] {
            seen.push(owner.get(path).await.expect(200)["items"].clone());
        }
        seen
    };
    let before = seen().await;
    refuse_changes(&app, store, true).await;
    // The last one would change nothing: the workflow is not archived.
    assert_eq!(ask().await, [500, 500, 500, 500, 500, 500, 200]);
    refuse_changes(&app, store, false).await;
    assert_eq!(seen().await, before, "nothing was half done");
    assert_eq!(ask().await, [201, 201, 200, 200, 200, 200, 200]);
    let rows = actions(&app).await;
    for (action, count) in [
        ("workflow.create", 2),
        ("workflow.propose", 3),
        ("workflow.withdraw", 1),
        ("workflow.apply", 1),
        ("workflow.update", 1),
        ("workflow.archive", 1),
        ("workflow.restore", 1),
    ] {
        assert_eq!(rows.get(action), Some(&count), "{action}");
    }
}

async fn no_change_of_a_project_without_its_row(store: Store) {
    const PATH: &str = "/api/v1/projects";
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let owner = acme.owner();
    let server = acme.server("notes", "https://a.example.com").await;
    let first = owner.post(PATH, &json!({"name": "checkout", "servers": [server["id"]]})).await.expect(201);
    let changes = [
        (Method::POST, PATH, json!({"name": "another", "servers": [server["id"]]})),
        (Method::PATCH, "/api/v1/projects/checkout", json!({"name": "new", "servers": []})),
        (Method::PATCH, "/api/v1/projects/checkout", json!({"archived": true})),
    ];
    let ask = async || {
        let mut statuses = Vec::new();
        for (method, path, body) in &changes {
            statuses.push(owner.with_body(method.clone(), path, body).await.status);
        }
        statuses
    };
    refuse_changes(&app, store, true).await;
    assert_eq!(ask().await, [500, 500, 500]);
    refuse_changes(&app, store, false).await;
    assert_eq!(owner.get(PATH).await.expect(200)["items"], json!([first]), "nothing was half done");
    assert_eq!(ask().await, [201, 200, 200]);
    let rows = actions(&app).await;
    assert_eq!((rows["project.create"], rows["project.update"], rows["project.archive"]), (2, 1, 1));
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_row() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("up", "https://a.example.com").await;
    let key = acme.solo().await;
    for _ in 0..2 {
        acme.revoke(&key.id).await;
        acme.owner().post("/api/v1/mcp-servers/up/archive", &json!({})).await.expect(200);
    }
    let rows = actions(&app).await;
    assert_eq!((rows["key.revoke"], rows["server.archive"]), (1, 1));
}
