//! Workflows at the platform's own MCP endpoint: the tools, and the resources.

use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Organization, Upstream};

use super::platform::{ask, ask_modern, call, names, told};
use super::workflows::{WORKFLOWS, step, synced, tools};

struct Scene {
    app: App,
    acme: Organization,
    viewer: Actor,
    editor: Actor,
    _upstream: Upstream,
}

async fn scene() -> Scene {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let upstream = synced(&acme, "notes", tools()).await;
    let key = async |role: &str| app.key(&acme.key(json!({"role": role})).await.token);
    let (viewer, editor) = (key("viewer").await, key("editor").await);
    Scene { app, acme, viewer, editor, _upstream: upstream }
}

async fn made(scene: &Scene, name: &str, project: Option<&str>) -> Value {
    let body = json!({"name": name, "projectId": project, "steps": [step("a", json!({"arguments": {"n": 1}}))]});
    scene.acme.owner().post(WORKFLOWS, &body).await.expect(201)
}

fn id(thing: &Value) -> &str {
    thing["id"].as_str().expect("an id")
}

fn uri(workflow: &Value) -> String {
    format!("keyrack://workflows/{}", id(workflow))
}

const OWN: [&str; 4] = ["list_workflows", "get_workflow", "propose_workflow_change", "apply_workflow_change"];

#[tokio::test]
async fn the_tools_are_listed_for_those_who_may_call_them() {
    let scene = scene().await;
    let listed = async |caller: &Actor| {
        let names = names(caller, "/mcp?system_only=true").await;
        OWN.map(|own| names.iter().any(|name| name == own))
    };
    assert_eq!(listed(&scene.editor).await, [true; 4]);
    assert_eq!(listed(&scene.viewer).await, [true, true, true, false]);
    let without = scene.acme.key(json!({"permissions": ["mcp:connect"]})).await;
    let without = scene.app.key(&without.token);
    assert_eq!(listed(&without).await, [false; 4]);
    for tool in OWN {
        let answer = call(&without, "/mcp", tool, json!({})).await;
        assert_eq!(answer["error"]["data"]["code"], "forbidden_permission", "{tool}: {answer}");
    }
    let answer = call(&scene.viewer, "/mcp", "apply_workflow_change", json!({})).await;
    assert_eq!(answer["error"]["data"]["code"], "forbidden_role", "{answer}");
}

#[tokio::test]
async fn an_agent_proposes_a_change_and_an_editors_agent_applies_it() {
    let scene = scene().await;
    let workflow = made(&scene, "Nightly", None).await;
    let change = json!({"steps": [step("a", json!({"arguments": {"n": 2}}))]});
    let arguments = json!({"workflow": workflow["id"], "change": change, "note": "two finds more"});
    let proposal = told(&scene.viewer, "/mcp", "propose_workflow_change", arguments).await["proposal"].clone();
    assert_eq!(proposal["changes"][0], json!({"field": "steps.a.arguments", "before": {"n": 1}, "after": {"n": 2}}));
    let seen = told(&scene.editor, "/mcp", "get_workflow", json!({"workflow": workflow["id"]})).await;
    assert_eq!((&seen["workflow"]["version"], &seen["proposals"]), (&json!(1), &json!([proposal])));
    let which = json!({"workflow": workflow["id"], "proposal": proposal["id"]});
    let applied = told(&scene.editor, "/mcp", "apply_workflow_change", which.clone()).await;
    assert_eq!((&applied["workflow"]["version"], &applied["proposal"]["state"]), (&json!(2), &json!("applied")));
    let again = call(&scene.editor, "/mcp", "apply_workflow_change", which).await;
    assert_eq!(again["result"]["structuredContent"]["error"]["code"], "conflict", "{again}");
    let first = told(&scene.viewer, "/mcp", "get_workflow", json!({"workflow": workflow["id"], "version": 1})).await;
    assert_eq!(first["version"]["steps"], workflow["steps"]);

    let refused = |tool: &'static str, arguments: Value| {
        let caller = scene.viewer.clone();
        async move {
            let answer = call(&caller, "/mcp", tool, arguments).await;
            let error = &answer["result"]["structuredContent"]["error"];
            (error["code"].as_str().unwrap_or_default().to_owned(), error["details"]["fieldErrors"][0]["field"].clone())
        }
    };
    let wrong = json!({"workflow": workflow["id"], "change": {"steps": [step("a", json!({"tool": "none"}))]}});
    assert_eq!(
        refused("propose_workflow_change", wrong).await,
        ("validation_failed".to_owned(), json!("change.steps[0].tool"))
    );
    let wrong = json!({"workflow": workflow["id"], "change": {"steps": [{"name": 1}]}});
    assert_eq!(
        refused("propose_workflow_change", wrong).await,
        ("validation_failed".to_owned(), json!("change.steps[0].name"))
    );
    let none = json!({"workflow": "wf_01kafx5tgyf1na07m4q6nf1sgb", "change": {"name": "x"}});
    assert_eq!(refused("propose_workflow_change", none).await.0, "not_found");
    assert_eq!(refused("get_workflow", json!({"workflow": "x"})).await.0, "not_found");
    let secret = json!({"steps": [step("a", json!({"arguments": {"password": "hunter2"}}))]});
    let arguments = json!({"workflow": workflow["id"], "change": secret});
    let answer = call(&scene.viewer, "/mcp", "propose_workflow_change", arguments).await;
    assert_eq!(answer["error"]["data"]["code"], "secret_argument", "{answer}");
}

#[tokio::test]
async fn lists_are_narrowed_to_the_address_project_and_an_argument_wins() {
    let scene = scene().await;
    let owner = scene.acme.owner();
    for project in ["checkout", "returns"] {
        owner.post("/api/v1/projects", &json!({"name": project})).await.expect(201);
    }
    let checkout = made(&scene, "a", Some("checkout")).await;
    let returns = made(&scene, "b", Some("returns")).await;
    let old = made(&scene, "c", None).await;
    owner.post(&format!("{WORKFLOWS}/{}/archive", id(&old)), &json!({})).await.expect(200);
    let listed = async |path: &str, arguments: Value| {
        let told = told(&scene.viewer, path, "list_workflows", arguments).await;
        let workflows = told["workflows"].as_array().expect("a list").clone();
        workflows.iter().map(|workflow| workflow["name"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("/mcp", json!({})).await, ["a", "b"]);
    assert_eq!(listed("/mcp?projectId=checkout", json!({})).await, ["a"]);
    assert_eq!(listed("/mcp?projectId=checkout", json!({"projectId": "returns"})).await, ["b"]);
    assert_eq!(listed("/mcp", json!({"archived": true})).await, ["c"]);
    let answer = call(&scene.viewer, "/mcp", "list_workflows", json!({"projectId": "none"})).await;
    assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "not_found", "{answer}");
    let told = told(&scene.viewer, "/mcp", "list_workflows", json!({})).await;
    assert_eq!(told["workflows"][0]["steps"], json!([{"name": "a", "server": "notes", "tool": "open"}]));
    assert_eq!(uris(&scene.viewer, "/mcp?projectId=returns").await, [SCHEMAS[0], SCHEMAS[1], uri(&returns).as_str()]);
    assert_eq!(
        uris(&scene.viewer, "/mcp").await,
        [SCHEMAS[0], SCHEMAS[1], uri(&checkout).as_str(), uri(&returns).as_str()]
    );
}

const SCHEMAS: [&str; 2] = ["keyrack://schemas/workflow", "keyrack://schemas/workflow-change"];

/// The resources of a list, page by page.
async fn uris(caller: &Actor, path: &str) -> Vec<String> {
    let (mut uris, mut params) = (Vec::new(), json!({}));
    loop {
        let answer = ask(caller, path, "resources/list", params).await.expect(200);
        let page = answer["result"]["resources"].as_array().unwrap_or_else(|| panic!("no resources in {answer}"));
        uris.extend(page.iter().map(|resource| resource["uri"].as_str().expect("text").to_owned()));
        match answer["result"].get("nextCursor") {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => return uris,
        }
    }
}

async fn read(caller: &Actor, uri: &str) -> Value {
    ask(caller, "/mcp", "resources/read", json!({"uri": uri})).await.expect(200)
}

#[tokio::test]
async fn a_resource_is_listed_exactly_for_those_who_may_read_it() {
    let scene = scene().await;
    let workflow = made(&scene, "Nightly", None).await;
    let listed = uris(&scene.viewer, "/mcp").await;
    assert_eq!(listed, [SCHEMAS[0], SCHEMAS[1], &uri(&workflow)]);
    for uri in &listed {
        let read = read(&scene.viewer, uri).await;
        let content = &read["result"]["contents"][0];
        assert_eq!(content["uri"], uri.as_str(), "{read}");
        let text: Value = serde_json::from_str(content["text"].as_str().expect("text")).expect("JSON");
        match uri.strip_prefix("keyrack://workflows/") {
            Some(_) => {
                assert_eq!((&text["steps"], &content["mimeType"]), (&workflow["steps"], &json!("application/json")));
            }
            None => {
                assert_eq!(
                    (&text["type"], &content["mimeType"]),
                    (&json!("object"), &json!("application/schema+json"))
                );
            }
        }
    }
    let version = read(&scene.viewer, &format!("{}/versions/1", uri(&workflow))).await;
    let text = version["result"]["contents"][0]["text"].as_str().expect("text");
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON")["steps"], workflow["steps"]);

    let templates = ask(&scene.viewer, "/mcp", "resources/templates/list", json!({})).await.expect(200);
    let templates = templates["result"]["resourceTemplates"].as_array().expect("templates").clone();
    let templates: Vec<_> = templates.iter().map(|template| template["uriTemplate"].as_str().expect("text")).collect();
    let expected = ["keyrack://workflows/{id}", "keyrack://workflows/{id}/versions/{version}", "keyrack://runs/{id}"];
    assert_eq!(templates, expected);

    let without = scene.app.key(&scene.acme.key(json!({"permissions": ["mcp:connect"]})).await.token);
    assert_eq!(uris(&without, "/mcp").await, [""; 0]);
    let none = ask(&without, "/mcp", "resources/templates/list", json!({})).await.expect(200);
    assert_eq!(none["result"]["resourceTemplates"], json!([]));
    for uri in &listed {
        let refused = read(&without, uri).await;
        assert_eq!(refused["error"]["data"]["code"], "forbidden_permission", "{uri}: {refused}");
    }
}

#[tokio::test]
async fn a_resource_that_is_not_there_has_its_revisions_number_whosever_it_is() {
    let scene = scene().await;
    let workflow = made(&scene, "Nightly", None).await;
    let globex = scene.app.organization("globex").await;
    let foreign = scene.app.key(&globex.solo().await.token);
    let theirs = uri(&workflow);
    for (caller, uri) in [
        (&foreign, theirs.as_str()),
        (&foreign, "keyrack://workflows/wf_01kafx5tgyf1na07m4q6nf1sgb"),
        (&scene.viewer, "keyrack://workflows/x"),
        (&scene.viewer, "keyrack://workflows/"),
        (&scene.viewer, &format!("{theirs}/versions/2")),
        (&scene.viewer, &format!("{theirs}/versions/x")),
        (&scene.viewer, &format!("{theirs}/")),
        (&scene.viewer, "keyrack://schemas/none"),
        (&scene.viewer, "keyrack://"),
        (&scene.viewer, "test://none"),
    ] {
        let data = json!({"uri": uri});
        let legacy = read(caller, uri).await;
        assert_eq!((&legacy["error"]["code"], &legacy["error"]["data"]), (&json!(-32002), &data), "{legacy}");
        let modern = ask_modern(caller, "resources/read", data.clone(), &[]).await.expect(200);
        assert_eq!((&modern["error"]["code"], &modern["error"]["data"]), (&json!(-32602), &data), "{modern}");
    }
    assert_eq!(uris(&foreign, "/mcp").await, SCHEMAS);
    for cursor in ["x", "MSB4", "OSB4"] {
        let wrong = ask(&scene.viewer, "/mcp", "resources/list", json!({"cursor": cursor})).await.expect(200);
        assert!(wrong["error"]["code"].is_i64() || wrong["result"]["resources"] == json!([]), "{cursor}: {wrong}");
    }
}

#[tokio::test]
async fn two_hundred_workflows_are_a_page_of_resources_and_the_rest_is_the_next() {
    let scene = scene().await;
    let owner = scene.acme.owner();
    let first = made(&scene, "0", None).await;
    // Copies, which no operation makes as fast.
    for number in 1..=205_u32 {
        let id = format!("x'019{number:05x}000070008000000000000001'");
        scene.app.run_sql(&format!(
            "INSERT INTO workflows (id, organization_id, name, description, version, project_id, cron, time_zone, scheduled_by, \
             due_at, created_at, archived_at) SELECT {id}, organization_id, '{number}', description, version, project_id, cron, time_zone, \
             scheduled_by, due_at, created_at, archived_at FROM workflows WHERE name = '0'; \
             INSERT INTO workflow_versions SELECT organization_id, {id}, number, definition, created_by, created_at \
             FROM workflow_versions WHERE workflow_id = (SELECT id FROM workflows WHERE name = '0')"
        )).await;
    }
    let listed = uris(&scene.viewer, "/mcp").await;
    assert_eq!(listed.len(), 2 + 206);
    let distinct: std::collections::HashSet<_> = listed.iter().collect();
    assert_eq!(distinct.len(), listed.len());
    assert!(listed.contains(&uri(&first)));
    let page = ask(&scene.viewer, "/mcp", "resources/list", json!({})).await.expect(200);
    assert_eq!(page["result"]["resources"].as_array().map(Vec::len), Some(202));
    owner.with_body(Method::PATCH, &format!("{WORKFLOWS}/{}", id(&first)), &json!({"name": "x"})).await.expect(200);
}
