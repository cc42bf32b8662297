//! Surfaces and the roles that they take: reading is open to every role, writing begins with the editor. A key's role is the
//! one that it was given, whoever made it.

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Organization, Workbench};

use super::runs::{dispatched, over};

const ROLES: [&str; 4] = ["viewer", "editor", "admin", "owner"];

/// A request of a surface. What stands in braces in path and body is a thing that nobody has used yet.
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
    json!({"name": format!("workflow {number}"), "steps": [{"name": "a", "server": "notes", "tool": "echo"}]})
}

fn baseline(_: &str) -> Value {
    json!({"runId": "{run}"})
}

/// Reading is any role's.
const READ: [Request; 13] = [
    read("/api/v1/org"),
    read("/api/v1/mcp-servers"),
    read("/api/v1/mcp-servers/notes"),
    read("/api/v1/workflows"),
    read("/api/v1/workflows/{workflow}"),
    read("/api/v1/workflows/{workflow}/versions"),
    read("/api/v1/workflows/{workflow}/versions/1"),
    read("/api/v1/workflows/{workflow}/proposals"),
    read("/api/v1/runs"),
    read("/api/v1/runs/{run}"),
    read("/api/v1/runs/{run}/steps"),
    read("/api/v1/runs/{run}/events"),
    read("/api/v1/runs/{run}/compare?with={run}"),
];

/// Writing is for editors, admins and owners.
const WRITE: [Request; 12] = [
    write(Method::POST, "/api/v1/mcp-servers", server, 201),
    write(Method::PATCH, "/api/v1/mcp-servers/{server}", |_| json!({"name": "Another"}), 200),
    write(Method::POST, "/api/v1/mcp-servers/{server}/archive", nothing, 200),
    write(Method::POST, "/api/v1/workflows", workflow, 201),
    write(Method::PATCH, "/api/v1/workflows/{workflow}", |_| json!({"name": "Another"}), 200),
    write(Method::POST, "/api/v1/workflows/{workflow}/proposals/{proposal}/apply", nothing, 200),
    write(Method::POST, "/api/v1/workflows/{workflow}/archive", nothing, 200),
    write(Method::POST, "/api/v1/workflows/{workflow}/restore", nothing, 200),
    write(Method::POST, "/api/v1/workflows/{workflow}/runs", nothing, 202),
    write(Method::POST, "/api/v1/runs/{hanging}/cancel", nothing, 200),
    write(Method::PUT, "/api/v1/workflows/{workflow}/baseline", baseline, 200),
    write(Method::DELETE, "/api/v1/workflows/{baselined}/baseline", nothing, 204),
];

async fn id(owner: &Actor, path: &str, body: &Value) -> String {
    owner.post(path, body).await.expect(201)["id"].as_str().expect("an id").to_owned()
}

/// The request's path and body, with things that nobody has used yet.
async fn made(acme: &Organization, request: &Request, number: &str) -> (String, Value) {
    let owner = acme.owner();
    let (mut path, mut body) = (request.path.to_owned(), (request.body)(number).to_string());
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
        if body.contains("{run}") {
            let run = dispatched(&owner, &workflow).await;
            over(&owner, &run).await;
            body = body.replace("{run}", &run);
        }
        path = path.replace("{workflow}", &workflow);
    }
    if path.contains("{run}") {
        let workflow = id(&owner, "/api/v1/workflows", &workflow(number)).await;
        let run = dispatched(&owner, &workflow).await;
        over(&owner, &run).await;
        path = path.replace("{run}", &run);
    }
    if path.contains("{hanging}") {
        let hangs = json!({"name": number, "steps": [{"name": "a", "server": "notes", "tool": "hang"}]});
        let workflow = id(&owner, "/api/v1/workflows", &hangs).await;
        path = path.replace("{hanging}", &dispatched(&owner, &workflow).await);
    }
    if path.contains("{baselined}") {
        let workflow = id(&owner, "/api/v1/workflows", &workflow(number)).await;
        let run = dispatched(&owner, &workflow).await;
        over(&owner, &run).await;
        let set = format!("/api/v1/workflows/{workflow}/baseline");
        owner.with_body(Method::PUT, &set, &json!({"runId": run})).await.expect(200);
        path = path.replace("{baselined}", &workflow);
    }
    (path, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn every_role_reads_and_editors_admins_and_owners_write() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let bench = Workbench::start();
    acme.server("notes", &bench.url).await;
    let mut number = 0;
    for role in ROLES {
        let key = app.key(&acme.key(json!({"role": role})).await.token);
        for (request, allowed) in
            READ.iter().map(|read| (read, true)).chain(WRITE.iter().map(|write| (write, role != "viewer")))
        {
            number += 1;
            let text = format!("{role} {number}");
            let (path, body) = made(&acme, request, &text).await;
            let answer = if request.method == Method::GET {
                key.get(&path).await
            } else {
                key.with_body(request.method.clone(), &path, &body).await
            };
            if allowed {
                answer.expect_status(request.status);
            } else {
                answer.refused(403, "forbidden_role");
            }
        }
    }
}
