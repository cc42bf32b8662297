//! Projects: named parts of an organization. They narrow what somebody sees, and never widen it.

use actix_web::web::Query;
use api::code::Code;
use api::extract::ProjectFilter;
use api::problem::Problem;
use domain::project::Narrowing;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Organization, Upstream};

const PROJECTS: &str = "/api/v1/projects";
const SERVERS: &str = "/api/v1/mcp-servers";

struct Scene {
    // Kept for as long as the test asks: its data directory goes with it.
    app: App,
    acme: Organization,
    notes: String,
    files: String,
    mail: String,
}

async fn scene() -> Scene {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let server = async |slug: &str| id(&acme.server(slug, "https://x.example.com/mcp").await);
    let (notes, files, mail) = (server("notes").await, server("files").await, server("mail").await);
    Scene { app, acme, notes, files, mail }
}

fn id(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_owned()
}

async fn made(actor: &Actor, body: Value) -> Value {
    actor.post(PROJECTS, &body).await.expect(201)
}

async fn patch(actor: &Actor, project: &str, body: Value) -> Answer {
    actor.with_body(Method::PATCH, &format!("{PROJECTS}/{project}"), &body).await
}

/// The slugs of the servers that a project shows.
fn servers(project: &Value) -> Vec<&str> {
    project["servers"]
        .as_array()
        .expect("servers")
        .iter()
        .map(|server| server["slug"].as_str().expect("text"))
        .collect()
}

/// The slugs of a list.
async fn listed(actor: &Actor, path: &str) -> Vec<String> {
    let list = actor.get(path).await.expect(200);
    let items = list["items"].as_array().expect("items").iter();
    items.map(|item| item["slug"].as_str().expect("text").to_owned()).collect()
}

/// Everyone reaches these servers and no others.
async fn everyone_reaches(acme: &Organization, servers: &[&String]) {
    let owner = acme.owner();
    let first = owner.get("/api/v1/access-policies").await.expect(200)["items"][0].clone();
    let resources: Vec<Value> = servers.iter().map(|server| json!({"type": "server", "id": server})).collect();
    let path = format!("/api/v1/access-policies/{}", id(&first));
    owner.with_body(Method::PATCH, &path, &json!({"resources": resources})).await.expect(200);
}

#[tokio::test]
async fn a_project_is_made_found_by_id_or_slug_and_changed() {
    let Scene { app: _app, acme, notes, files, .. } = scene().await;
    let owner = acme.owner();
    let project =
        made(&owner, json!({"name": "The Check-out", "description": "Cards", "servers": [notes, files]})).await;
    assert!(id(&project).starts_with("prj_"));
    assert_eq!((&project["slug"], &project["archived"]), (&json!("the-check-out"), &json!(false)));
    assert!(project["createdAt"].as_str().expect("a time").ends_with('Z'));
    let shown = json!({"id": files, "slug": "files", "name": "files", "status": "active"});
    assert_eq!(project["servers"][0], shown, "by slug");
    assert_eq!(servers(&project), ["files", "notes"]);
    for name in [id(&project), "the-check-out".to_owned()] {
        assert_eq!(owner.get(&format!("{PROJECTS}/{name}")).await.expect(200), project);
    }
    let changed =
        patch(&owner, "the-check-out", json!({"name": "Paying", "description": null, "servers": [notes]})).await;
    let changed = changed.expect(200);
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Paying"), &Value::Null));
    assert_eq!((&changed["slug"], servers(&changed)), (&json!("the-check-out"), vec!["notes"]));
    let path = format!("{PROJECTS}/{}", id(&project));
    assert_eq!(owner.get(&path).await.expect(200), changed);
    let renamed = patch(&owner, &id(&project), json!({"name": "Till"})).await.expect(200);
    assert_eq!(servers(&renamed), ["notes"], "what is left out stays");
    owner.post("/api/v1/mcp-servers/notes/archive", &json!({})).await.expect(200);
    assert_eq!(owner.get(&path).await.expect(200)["servers"][0]["status"], "archived");
}

#[tokio::test]
async fn what_cannot_be_a_project_is_refused_by_field() {
    let Scene { app, acme, notes, .. } = scene().await;
    let globex = app.organization("globex").await;
    let foreign = id(&globex.server("theirs", "https://x.example.com/mcp").await);
    let unknown = "mcp_01kafx5tgyf1na07m4q6nf1sgb";
    let owner = acme.owner();
    made(&owner, json!({"name": "here", "servers": [notes]})).await;
    let many = vec![notes.as_str(); 1001];
    for (body, field) in [
        (json!({"name": " "}), "name"),
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"name": "é"}), "slug"),
        (json!({"name": "x", "slug": "X"}), "slug"),
        (json!({"name": "x", "description": "x".repeat(1001)}), "description"),
        (json!({"name": "x", "servers": [notes, unknown]}), "servers[1]"),
        (json!({"name": "x", "servers": [foreign, notes]}), "servers[0]"),
        (json!({"name": "x", "servers": [notes, notes, "notes"]}), "servers[2]"),
        (json!({"name": "x", "servers": many}), "servers"),
    ] {
        owner.post(PROJECTS, &body).await.refused(400, "validation_failed").names_field(field);
    }
    for (body, field) in [
        (json!({}), "body"),
        (json!({"name": ""}), "name"),
        (json!({"servers": [notes, foreign]}), "servers[1]"),
        (json!({"servers": many}), "servers"),
        (json!({"slug": "x"}), "slug"),
    ] {
        patch(&owner, "here", body).await.refused(400, "validation_failed").names_field(field);
    }
    for body in [json!({"name": "Here!"}), json!({"name": "x", "slug": "here"})] {
        owner.post(PROJECTS, &body).await.refused(409, "conflict").names_field("slug");
    }
    made(&globex.owner(), json!({"name": "here"})).await;
    assert_eq!(listed(&owner, PROJECTS).await, ["here"]);
    assert_eq!(servers(&owner.get(&format!("{PROJECTS}/here")).await.expect(200)), ["notes"], "nothing half done");
    made(&owner, json!({"name": "x", "servers": vec![notes.as_str(); 1000]})).await;
}

#[tokio::test]
async fn a_project_narrows_the_list_of_servers() {
    let Scene { app: _app, acme, notes, files, .. } = scene().await;
    let owner = acme.owner();
    let project = made(&owner, json!({"name": "checkout", "servers": [notes, files]})).await;
    made(&owner, json!({"name": "empty"})).await;
    assert_eq!(listed(&owner, SERVERS).await, ["notes", "files", "mail"]);
    for name in [id(&project), "checkout".to_owned()] {
        assert_eq!(listed(&owner, &format!("{SERVERS}?projectId={name}")).await, ["notes", "files"]);
    }
    assert_eq!(listed(&owner, &format!("{SERVERS}?projectId=empty")).await, [""; 0]);
    let first = owner.get(&format!("{SERVERS}?projectId=checkout&limit=1")).await.expect(200);
    let cursor = first["nextCursor"].as_str().expect("a second page");
    assert_eq!(listed(&owner, &format!("{SERVERS}?projectId=checkout&limit=1&cursor={cursor}")).await, ["files"]);
    owner.post(&format!("{SERVERS}/notes/archive"), &json!({})).await.expect(200);
    assert_eq!(listed(&owner, &format!("{SERVERS}?projectId=checkout")).await, ["files"]);
    assert_eq!(listed(&owner, &format!("{SERVERS}?projectId=checkout&archived=true")).await, ["notes"]);
    patch(&owner, "checkout", json!({"servers": []})).await.expect(200);
    assert_eq!(listed(&owner, &format!("{SERVERS}?projectId=checkout")).await, [""; 0], "with the next request");
}

#[tokio::test]
async fn a_project_shows_nobody_a_server_that_they_would_not_see_without_it() {
    let Scene { app, acme, notes, files, mail } = scene().await;
    let owner = acme.owner();
    made(&owner, json!({"name": "all", "servers": [notes, files, mail]})).await;
    let viewer = acme.member("viewer", "viewer").await;
    let (every, listing) = (acme.solo().await, acme.key(json!({"servers": [files, mail]})).await);
    let (every, listing) = (app.key(&every.token), app.key(&listing.token));
    everyone_reaches(&acme, &[&notes, &files]).await;
    for (name, actor, sees) in [
        ("the owner decides who reaches what", &owner, vec!["files", "mail", "notes"]),
        ("a member sees what the policies give", &viewer.actor(), vec!["files", "notes"]),
        ("a key sees what its owner reaches", &every, vec!["files", "notes"]),
        ("and what it lists", &listing, vec!["files"]),
    ] {
        assert_eq!(servers(&actor.get(&format!("{PROJECTS}/all")).await.expect(200)), sees, "{name}");
        let list = actor.get(PROJECTS).await.expect(200);
        assert_eq!(servers(&list["items"][0]), sees, "{name}");
        let mut narrowed = listed(actor, &format!("{SERVERS}?projectId=all")).await;
        narrowed.sort();
        assert_eq!(narrowed, sees, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_somebody_does_not_see_goes_neither_in_nor_out() {
    let Scene { app, acme, notes, files, mail } = scene().await;
    let owner = acme.owner();
    made(&owner, json!({"name": "ours", "servers": [notes, mail]})).await;
    let editor = acme.member("editor", "editor").await.actor();
    let key = app.key(&acme.key(json!({"servers": [notes, files]})).await.token);
    everyone_reaches(&acme, &[&notes, &files]).await;
    for actor in [&editor, &key] {
        let unseen = actor.post(PROJECTS, &json!({"name": "theirs", "servers": [notes, mail]})).await;
        unseen.refused(400, "validation_failed").names_field("servers[1]");
        let unknown = "mcp_01kafx5tgyf1na07m4q6nf1sgb";
        let answer = actor.post(PROJECTS, &json!({"name": "theirs", "servers": [notes, unknown]})).await;
        let without_ids = |answer: &Answer, id: &str| answer.body_without_request_id().replace(id, "<id>");
        assert_eq!(without_ids(&unseen, &mail), without_ids(&answer, unknown));
        patch(actor, "ours", json!({"servers": [mail]}))
            .await
            .refused(400, "validation_failed")
            .names_field("servers[0]");
        let changed = patch(actor, "ours", json!({"servers": [files]})).await.expect(200);
        assert_eq!(servers(&changed), ["files"]);
        let whole = owner.get(&format!("{PROJECTS}/ours")).await.expect(200);
        assert_eq!(servers(&whole), ["files", "mail"], "what was not seen stays");
        patch(actor, "ours", json!({"servers": [notes]})).await.expect(200);
    }
    let emptied = patch(&owner, "ours", json!({"servers": []})).await.expect(200);
    assert_eq!(servers(&emptied), [""; 0], "whoever sees them all takes them all out");
}

#[tokio::test]
async fn an_archived_project_leaves_the_lists_narrows_nothing_and_does_not_change() {
    let Scene { app: _app, acme, notes, .. } = scene().await;
    let owner = acme.owner();
    let project = made(&owner, json!({"name": "old", "servers": [notes]})).await;
    made(&owner, json!({"name": "new"})).await;
    let archived = patch(&owner, "old", json!({"archived": true})).await.expect(200);
    assert_eq!(archived["archived"], true);
    assert_eq!(listed(&owner, PROJECTS).await, ["new"]);
    assert_eq!(listed(&owner, &format!("{PROJECTS}?archived=true")).await, ["old"]);
    assert_eq!(owner.get(&format!("{PROJECTS}/old")).await.expect(200), archived, "it stays for the record");
    for body in [json!({"name": "x"}), json!({"servers": []}), json!({"archived": true, "description": "x"})] {
        patch(&owner, "old", body).await.refused(409, "conflict");
    }
    assert_eq!(patch(&owner, "old", json!({"archived": true})).await.expect(200), archived);
    owner.get(&format!("{SERVERS}?projectId=old")).await.refused(404, "not_found");
    owner.post(PROJECTS, &json!({"name": "old"})).await.refused(409, "conflict").names_field("slug");
    let back = patch(&owner, "old", json!({"archived": false, "name": "again"})).await.expect(200);
    assert_eq!((&back["id"], &back["archived"], &back["name"]), (&project["id"], &json!(false), &json!("again")));
    assert_eq!(listed(&owner, &format!("{SERVERS}?projectId=old")).await, ["notes"]);
    assert_eq!(listed(&owner, PROJECTS).await, ["old", "new"]);
}

#[tokio::test]
async fn a_project_that_is_not_there_answers_the_same_bytes_whatever_the_reason() {
    let Scene { app, acme, notes, .. } = scene().await;
    let globex = app.organization("globex").await;
    let theirs = made(&globex.owner(), json!({"name": "theirs"})).await;
    let owner = acme.owner();
    let old = made(&owner, json!({"name": "old", "servers": [notes]})).await;
    patch(&owner, "old", json!({"archived": true})).await.expect(200);
    let unknown = owner.get(&format!("{SERVERS}?projectId=no-such")).await;
    unknown.refused(404, "not_found");
    let (theirs, old) = (id(&theirs), id(&old));
    let names = [
        "no-such",
        "prj_01kafx5tgyf1na07m4q6nf1sgb",
        &theirs,
        "theirs",
        &old,
        "old",
        "",
        "%00",
        "Not%20a%20name",
        &notes,
    ];
    for name in names {
        for list in [SERVERS, "/api/v1/usage"] {
            let answer = owner.get(&format!("{list}?projectId={name}")).await;
            answer.refused(404, "not_found");
            assert_eq!(answer.body_without_request_id(), unknown.body_without_request_id(), "{list} {name}");
        }
    }
    for name in ["no-such", "prj_01kafx5tgyf1na07m4q6nf1sgb", &theirs, "theirs", "%00"] {
        let path = format!("{PROJECTS}/{name}");
        for answer in [owner.get(&path).await, patch(&owner, name, json!({"name": "x"})).await] {
            answer.refused(404, "not_found");
            assert_eq!(answer.body_without_request_id(), unknown.body_without_request_id(), "{name}");
        }
    }
    owner.get(&format!("{SERVERS}?projectId=a&projectId=b")).await.refused(400, "validation_failed");
}

#[tokio::test]
async fn which_servers_a_project_has_is_told_to_those_alone_who_may_see_projects() {
    let Scene { app, acme, notes, .. } = scene().await;
    made(&acme.owner(), json!({"name": "checkout", "servers": [notes]})).await;
    let key = acme.key(json!({"permissions": ["servers:read", "usage:read"]})).await;
    let caller = app.key(&key.token);
    assert_eq!(listed(&caller, SERVERS).await.len(), 3);
    for list in [SERVERS, "/api/v1/usage"] {
        for name in ["checkout", "no-such", ""] {
            caller.get(&format!("{list}?projectId={name}")).await.refused(403, "forbidden_permission");
        }
    }
    let with = acme.key(json!({"permissions": ["servers:read", "projects:read"]})).await;
    assert_eq!(listed(&app.key(&with.token), &format!("{SERVERS}?projectId=checkout")).await, ["notes"]);
    app.settled().await;
    // The refusal is in the log, with the permission that the list takes.
    let refused = acme.owner().get("/api/v1/audit-events?outcome=refused&action=servers:read").await.expect(200);
    assert_eq!(refused["items"].as_array().map(Vec::len), Some(3), "{refused}");
    assert_eq!(
        (&refused["items"][0]["code"], &refused["items"][0]["actor"]["id"]),
        (&json!("forbidden_permission"), &json!(key.id))
    );
}

/// Where a project is a place to work in, as it will be for the platform's own MCP endpoint, naming it takes no permission.
#[tokio::test]
async fn a_request_is_narrowed_by_its_scope_alone_and_to_what_its_caller_sees() {
    let Scene { app, acme, notes, files, .. } = scene().await;
    let globex = app.organization("globex").await;
    let project = made(&acme.owner(), json!({"name": "checkout", "servers": [notes, files]})).await;
    let key = acme.key(json!({"permissions": ["mcp:connect"], "servers": [files]})).await;
    let narrowed = async |token: &str, query: &str| -> Result<Option<Narrowing>, Problem> {
        let filter = Query::<ProjectFilter>::from_query(query).expect("a query");
        filter.resolve(app.services(), &app.scope_of_key(token).await).await
    };
    assert!(narrowed(&key.token, "user_id=x").await.expect("no project").is_none());
    for name in ["checkout", &id(&project)] {
        let narrowing = narrowed(&key.token, &format!("projectId={name}")).await.expect("there").expect("named");
        assert_eq!(narrowing.project().to_string(), id(&project));
        let servers: Vec<String> = narrowing.servers().iter().map(ToString::to_string).collect();
        assert_eq!(servers, [files.as_str()]);
        let permits = |server: &str| narrowing.permits(server.parse().expect("an id"));
        assert_eq!((permits(&files), permits(&notes)), (true, false));
    }
    let foreign = globex.solo().await.token;
    for (token, query) in
        [(&key.token, "projectId=no-such"), (&key.token, "projectId="), (&foreign, "projectId=checkout")]
    {
        let problem = narrowed(token, query).await.expect_err("not there");
        assert_eq!(problem.code(), Code::NotFound, "{query}");
    }
}

#[tokio::test]
async fn use_is_narrowed_to_a_projects_servers() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    let notes = id(&acme.server("notes", &upstream.url("/echo")).await);
    let files = id(&acme.server("files", &upstream.url("/echo")).await);
    let caller = app.key(&acme.solo().await.token);
    for server in ["notes", "files"] {
        caller.mcp(server, "", "ping", json!({})).await.expect(200);
    }
    let owner = acme.owner();
    made(&owner, json!({"name": "checkout", "servers": [notes]})).await;
    made(&owner, json!({"name": "empty"})).await;
    made(&owner, json!({"name": "both", "servers": [notes, files]})).await;
    let used = async |actor: &Actor, query: &str| -> Vec<Value> {
        let report = actor.get(&format!("/api/v1/usage{query}")).await.expect(200);
        report["items"].as_array().expect("items").iter().map(|item| item["serverId"].clone()).collect()
    };
    assert_eq!(used(&owner, "").await.len(), 2);
    assert_eq!(used(&owner, "?projectId=checkout").await, [json!(notes)]);
    assert_eq!(used(&owner, "?projectId=empty").await, [] as [Value; 0]);
    assert_eq!(used(&owner, &format!("?projectId=checkout&serverId={files}")).await, [] as [Value; 0]);
    let other = app.key(&acme.solo().await.token);
    assert_eq!(used(&other, "?projectId=both").await, [] as [Value; 0], "others' use is not there, project or not");
}

#[tokio::test]
async fn the_log_tells_of_every_change_and_of_none_that_was_none() {
    let Scene { app, acme, notes, .. } = scene().await;
    let owner = acme.owner();
    let project = made(&owner, json!({"name": "checkout", "servers": [notes]})).await;
    for body in [
        json!({"name": "checkout", "servers": [notes], "description": null}),
        json!({"servers": []}),
        json!({"archived": true}),
        json!({"archived": true}),
        json!({"archived": false}),
        json!({"name": "another", "archived": true}),
    ] {
        patch(&owner, "checkout", body).await.expect(200);
    }
    patch(&owner, &id(&project), json!({"name": "x"})).await.refused(409, "conflict");
    app.settled().await;
    let path = format!("/api/v1/audit-events?targetKind=project&targetId={}", id(&project));
    let events = owner.get(&path).await.expect(200);
    let mut told: Vec<_> = events["items"].as_array().expect("items").iter().map(|event| &event["action"]).collect();
    told.reverse();
    let expected = [
        "project.create",
        "project.update",
        "project.archive",
        "project.restore",
        "project.update",
        "project.archive",
        "projects:write",
    ];
    assert_eq!(told, expected, "the last is the refusal");
    assert_eq!(events["items"][0]["code"], "conflict");
    assert!(events["items"].as_array().expect("items").iter().all(|event| event["requestId"].is_string()));
}

#[tokio::test]
async fn a_repeated_creation_makes_one_project() {
    let Scene { app: _app, acme, notes, .. } = scene().await;
    let owner = acme.owner().and("idempotency-key", "one");
    let body = json!({"name": "checkout", "servers": [notes]});
    let first = made(&owner, body.clone()).await;
    assert_eq!(owner.post("/api/projects", &body).await.expect(201), first);
    owner.post(PROJECTS, &json!({"name": "another"})).await.refused(409, "idempotency_conflict");
    assert_eq!(listed(&acme.owner(), PROJECTS).await, ["checkout"]);
}
