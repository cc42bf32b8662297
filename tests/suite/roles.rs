//! Surfaces and the roles that they take: reading is open to every role, writing begins with the editor. A key's role is the
//! one that it was given, whoever made it.

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Organization};

const ROLES: [&str; 4] = ["viewer", "editor", "admin", "owner"];

/// A request of a surface, to which `{n}` is another number each time.
struct Request {
    method: Method,
    path: &'static str,
    body: fn(&str) -> Value,
    /// What it is answered with when it is allowed.
    status: u16,
}

const fn read(path: &'static str) -> Request {
    Request { method: Method::GET, path, body: |_| Value::Null, status: 200 }
}

const fn write(method: Method, path: &'static str, body: fn(&str) -> Value, status: u16) -> Request {
    Request { method, path, body, status }
}

fn nothing(_: &str) -> Value {
    json!({})
}

fn server(number: &str) -> Value {
    json!({"name": format!("server {number}"), "url": "https://x.example.com/mcp"})
}

fn workflow(number: &str) -> Value {
    json!({"name": format!("workflow {number}"), "steps": [{"name": "a", "server": "notes", "tool": "look"}]})
}

/// Reading is any role's.
const READ: [Request; 8] = [
    read("/api/v1/org"),
    read("/api/v1/mcp-servers"),
    read("/api/v1/mcp-servers/notes"),
    read("/api/v1/workflows"),
    read("/api/v1/workflows/{workflow}"),
    read("/api/v1/workflows/{workflow}/versions"),
    read("/api/v1/workflows/{workflow}/versions/1"),
    read("/api/v1/workflows/{workflow}/proposals"),
];

/// Writing is for editors, admins and owners.
const WRITE: [Request; 8] = [
    write(Method::POST, "/api/v1/mcp-servers", server, 201),
    write(Method::PATCH, "/api/v1/mcp-servers/{server}", |_| json!({"name": "Another"}), 200),
    write(Method::POST, "/api/v1/mcp-servers/{server}/archive", nothing, 200),
    write(Method::POST, "/api/v1/workflows", workflow, 201),
    write(Method::PATCH, "/api/v1/workflows/{workflow}", |_| json!({"name": "Another"}), 200),
    write(Method::POST, "/api/v1/workflows/{workflow}/proposals/{proposal}/apply", nothing, 200),
    write(Method::POST, "/api/v1/workflows/{workflow}/archive", nothing, 200),
    write(Method::POST, "/api/v1/workflows/{workflow}/restore", nothing, 200),
];

async fn id(owner: &Actor, path: &str, body: &Value) -> String {
    owner.post(path, body).await.expect(201)["id"].as_str().expect("an id").to_owned()
}

/// The request's path, with things that nobody has used yet.
async fn path(acme: &Organization, path: &str, number: &str) -> String {
    let owner = acme.owner();
    let mut path = path.to_owned();
    if path.contains("{server}") {
        path = path.replace("{server}", &id(&owner, "/api/v1/mcp-servers", &server(&format!("of {number}"))).await);
    }
    if path.contains("{workflow}") {
        let workflow = id(&owner, "/api/v1/workflows", &workflow(number)).await;
        if path.contains("{proposal}") {
            let proposals = format!("/api/v1/workflows/{workflow}/proposals");
            let change = json!({"change": {"name": "Another"}});
            path = path.replace("{proposal}", &id(&owner, &proposals, &change).await);
        }
        path = path.replace("{workflow}", &workflow);
    }
    path
}

#[tokio::test]
async fn every_role_reads_and_editors_admins_and_owners_write() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("notes", "https://x.example.com/mcp").await;
    let mut number = 0;
    for role in ROLES {
        let key = app.key(&acme.key(json!({"role": role})).await.token);
        for (request, allowed) in
            READ.iter().map(|read| (read, true)).chain(WRITE.iter().map(|write| (write, role != "viewer")))
        {
            number += 1;
            let text = format!("{role} {number}");
            let path = path(&acme, request.path, &text).await;
            let answer = if request.method == Method::GET {
                key.get(&path).await
            } else {
                key.with_body(request.method.clone(), &path, &(request.body)(&text)).await
            };
            if allowed {
                answer.expect_status(request.status);
            } else {
                answer.refused(403, "forbidden_role");
            }
        }
    }
}
