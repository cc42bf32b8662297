//! Workflows: what is written once stays, and nothing is written that could never run.

use std::time::Duration;

use domain::access::SystemScope;
use domain::access::permission::RunsDispatch;
use domain::id::WorkflowId;
use domain::time::{Clock, SystemClock, Timestamp};
use domain::workflow::port::Due;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, App, Organization, Store, Upstream};

pub(super) const WORKFLOWS: &str = "/api/v1/workflows";

on_both! {
    a_workflow_is_made_found_changed_and_put_away
    a_change_of_steps_makes_a_version_and_nothing_changes_one
    workflows_come_in_pages_by_project_and_archive
    of_two_changes_of_one_version_one_is_made
    a_definition_that_cannot_be_read_is_a_fault_of_ours
    what_runs_finds_workflows_and_versions_of_its_own_organization
    a_workflow_is_due_by_its_schedule_and_is_taken_once
}

/// A server that was synced, with these tools.
pub(super) async fn synced(acme: &Organization, slug: &str, tools: Value) -> Upstream {
    let upstream = Upstream::start();
    upstream.offer(json!({"tools": tools}));
    acme.server(slug, &upstream.url("/offer")).await;
    sync(acme, slug).await;
    upstream
}

async fn sync(acme: &Organization, slug: &str) {
    acme.owner().post(&format!("/api/v1/mcp-servers/{slug}/sync"), &json!({})).await.expect(200);
}

/// What the tests' server offers.
pub(super) fn tools() -> Value {
    let look = json!({
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "tags": {"type": ["array", "null"]},
        },
        "required": ["text"],
        "additionalProperties": false,
    });
    json!([
        {"name": "look", "inputSchema": look},
        {"name": "open", "inputSchema": {"type": "object"}},
    ])
}

pub(super) fn step(name: &str, changes: Value) -> Value {
    let mut step = json!({"name": name, "server": "notes", "tool": "open"});
    if let (Some(step), Some(changes)) = (step.as_object_mut(), changes.as_object()) {
        step.extend(changes.clone());
    }
    step
}

/// An organization with the server `notes`.
struct Scene {
    app: App,
    acme: Organization,
    _upstream: Upstream,
}

async fn scene_on(store: Store) -> Scene {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let upstream = synced(&acme, "notes", tools()).await;
    Scene { app, acme, _upstream: upstream }
}

async fn made(actor: &Actor, body: Value) -> Value {
    actor.post(WORKFLOWS, &body).await.expect(201)
}

fn path(workflow: &Value) -> String {
    format!("{WORKFLOWS}/{}", workflow["id"].as_str().expect("an id"))
}

async fn patch(actor: &Actor, workflow: &Value, body: Value) -> Answer {
    actor.with_body(Method::PATCH, &path(workflow), &body).await
}

async fn a_workflow_is_made_found_changed_and_put_away(store: Store) {
    let Scene { app: _app, acme, .. } = scene_on(store).await;
    let owner = acme.owner();
    let project = owner.post("/api/v1/projects", &json!({"name": "checkout"})).await.expect(201);
    let server = owner.get("/api/v1/mcp-servers/notes").await.expect(200);
    let workflow = made(
        &owner,
        json!({
            "name": "Nightly",
            "description": "Looks",
            "projectId": "checkout",
            "timeoutSeconds": 120,
            "schedule": {"cron": "0 6 * * 1-5", "timeZone": "Europe/Berlin"},
            "steps": [
                step("find", json!({"tool": "look", "arguments": {"text": "milk", "count": 3}, "safe": true, "retries": 2})),
                step("use", json!({
                    "server": server["id"],
                    "arguments": {"list": [{"id": "{{steps.find.result/structuredContent/id}}"}]},
                    "expect": [
                        {"path": "/structuredContent/n", "op": "less", "value": 10},
                        {"path": "", "op": "equals", "value": null},
                        {"path": "/isError", "op": "absent"},
                    ],
                    "required": false,
                    "timeoutSeconds": 7,
                })),
            ],
        }),
    )
    .await;
    assert!(workflow["id"].as_str().expect("an id").starts_with("wf_"));
    assert_eq!((&workflow["version"], &workflow["projectId"]), (&json!(1), &project["id"]));
    assert_eq!((&workflow["timeoutSeconds"], &workflow["archivedAt"]), (&json!(120), &Value::Null));
    assert_eq!(workflow["schedule"], json!({"cron": "0 6 * * 1-5", "timeZone": "Europe/Berlin"}));
    assert!(workflow["nextRunAt"].as_str().expect("a time").ends_with(":00:00.000Z"));
    assert_eq!((&workflow["unreachableServers"], &workflow["unsyncedServers"]), (&json!([]), &json!([])));
    let find = json!({
        "name": "find", "server": "notes", "serverId": server["id"], "tool": "look",
        "arguments": {"text": "milk", "count": 3}, "expect": [], "required": true, "safe": true, "retries": 2,
        "timeoutSeconds": null,
    });
    assert_eq!(workflow["steps"][0], find);
    let second = &workflow["steps"][1];
    assert_eq!(
        (&second["server"], &second["required"], &second["timeoutSeconds"]),
        (&json!("notes"), &json!(false), &json!(7))
    );
    assert_eq!(second["expect"][2], json!({"path": "/isError", "op": "absent", "value": null}));
    assert_eq!(owner.get(&path(&workflow)).await.expect(200), workflow);

    let renamed =
        patch(&owner, &workflow, json!({"name": "Daily", "description": null, "schedule": null})).await.expect(200);
    assert_eq!(
        (&renamed["name"], &renamed["description"], &renamed["schedule"]),
        (&json!("Daily"), &Value::Null, &Value::Null)
    );
    assert_eq!((&renamed["nextRunAt"], &renamed["version"]), (&Value::Null, &json!(1)), "no version for that");
    assert_eq!(
        (&renamed["steps"], &renamed["projectId"]),
        (&workflow["steps"], &workflow["projectId"]),
        "the rest stays"
    );
    assert_eq!(owner.get(&path(&workflow)).await.expect(200), renamed);

    let archive = format!("{}/archive", path(&workflow));
    let archived = owner.post(&archive, &json!({})).await.expect(200);
    assert!(archived["archivedAt"].is_string());
    assert_eq!(owner.post(&archive, &json!({})).await.expect(200), archived, "again changes nothing");
    assert_eq!(owner.get(&path(&workflow)).await.expect(200), archived, "it stays for the record");
    patch(&owner, &workflow, json!({"name": "x"})).await.refused(409, "conflict");
    let restored = owner.post(&format!("{}/restore", path(&workflow)), &json!({})).await.expect(200);
    assert_eq!(restored, renamed);
}

async fn a_change_of_steps_makes_a_version_and_nothing_changes_one(store: Store) {
    let Scene { app: _app, acme, .. } = scene_on(store).await;
    let (owner, editor) = (acme.owner(), acme.member("ed", "editor").await);
    let first = made(&owner, json!({"name": "x", "steps": [step("a", json!({"arguments": {"n": 1}}))]})).await;
    let same = patch(&owner, &first, json!({"steps": [step("a", json!({"arguments": {"n": 1}}))]})).await.expect(200);
    assert_eq!(same, first, "the same steps are no change");
    let second =
        patch(&editor.actor(), &first, json!({"steps": [step("a", json!({"arguments": {"n": 2}}))]})).await.expect(200);
    let third = patch(&owner, &first, json!({"timeoutSeconds": 9, "name": "y"})).await.expect(200);
    assert_eq!((&second["version"], &third["version"]), (&json!(2), &json!(3)));

    let versions = format!("{}/versions", path(&first));
    let listed = owner.get(&versions).await.expect(200);
    let listed = listed["items"].as_array().expect("items");
    let numbers: Vec<_> = listed.iter().map(|version| version["version"].clone()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    let told = |version: &Value| {
        (
            version["steps"][0]["arguments"]["n"].clone(),
            version["timeoutSeconds"].clone(),
            version["createdBy"]["email"].clone(),
        )
    };
    assert_eq!(told(&listed[0]), (json!(2), json!(9), json!("owner@acme.example.com")));
    assert_eq!(told(&listed[1]), (json!(2), Value::Null, json!("ed@example.com")));
    assert_eq!(told(&listed[2]), (json!(1), Value::Null, json!("owner@acme.example.com")));
    for version in listed {
        let one = owner.get(&format!("{versions}/{}", version["version"])).await.expect(200);
        assert_eq!(&one, version);
        assert_eq!(one["workflowId"], first["id"]);
    }
    for none in ["0", "4", "-1", "x", "4294967296"] {
        owner.get(&format!("{versions}/{none}")).await.refused(404, "not_found");
    }
    let page = owner.get(&format!("{versions}?limit=2")).await.expect(200);
    let cursor = page["nextCursor"].as_str().expect("more");
    let rest = owner.get(&format!("{versions}?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((&rest["items"], &rest["nextCursor"]), (&json!([listed[2]]), &Value::Null));
}

async fn workflows_come_in_pages_by_project_and_archive(store: Store) {
    let Scene { app: _app, acme, .. } = scene_on(store).await;
    let owner = acme.owner();
    owner.post("/api/v1/projects", &json!({"name": "checkout"})).await.expect(201);
    owner.post("/api/v1/projects", &json!({"name": "empty"})).await.expect(201);
    for (name, project) in [("a", Some("checkout")), ("b", None), ("c", Some("checkout")), ("d", None)] {
        made(&owner, json!({"name": name, "projectId": project, "steps": [step("one", json!({}))]})).await;
    }
    let names = async |query: &str| {
        let list = owner.get(&format!("{WORKFLOWS}?{query}")).await.expect(200);
        let items = list["items"].as_array().expect("items").clone();
        let names: Vec<String> = items.iter().map(|item| item["name"].as_str().expect("text").to_owned()).collect();
        (names, items, list["nextCursor"].as_str().map(str::to_owned))
    };
    let (all, items, end) = names("").await;
    assert_eq!((all, end), (["a", "b", "c", "d"].map(str::to_owned).to_vec(), None));
    assert_eq!(owner.get(&path(&items[2])).await.expect(200), items[2], "a list has them whole");
    assert_eq!(names("projectId=checkout").await.0, ["a", "c"]);
    assert_eq!(names("projectId=empty").await.0, [""; 0]);
    owner.get(&format!("{WORKFLOWS}?projectId=no-such")).await.refused(404, "not_found");
    let (first, _, cursor) = names("limit=3").await;
    assert_eq!(first, ["a", "b", "c"]);
    assert_eq!(names(&format!("limit=3&cursor={}", cursor.expect("more"))).await.0, ["d"]);
    owner.post(&format!("{}/archive", path(&items[0])), &json!({})).await.expect(200);
    assert_eq!(names("").await.0, ["b", "c", "d"]);
    assert_eq!(names("archived=true").await.0, ["a"]);
    assert_eq!(names("projectId=checkout&archived=true").await.0, ["a"]);
    let projects = owner.get("/api/v1/projects").await.expect(200);
    let counts: Vec<_> = projects["items"].as_array().expect("items").iter().map(|one| &one["workflowCount"]).collect();
    assert_eq!(counts, [1, 0], "what is archived does not count");
    let moved = patch(&owner, &items[2], json!({"projectId": null})).await.expect(200);
    assert_eq!(moved["projectId"], Value::Null);
    assert_eq!(names("projectId=checkout").await.0, [""; 0]);
}

async fn of_two_changes_of_one_version_one_is_made(store: Store) {
    let Scene { app: _app, acme, .. } = scene_on(store).await;
    let (one, two) = (acme.owner(), acme.owner());
    let workflow = made(&one, json!({"name": "x", "steps": [step("a", json!({}))]})).await;
    let change = |n: u32| json!({"version": 1, "steps": [step("a", json!({"arguments": {"n": n}}))]});
    let (a, b) = tokio::join!(patch(&one, &workflow, change(1)), patch(&two, &workflow, change(2)));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", a.body, b.body);
    let versions = one.get(&format!("{}/versions", path(&workflow))).await.expect(200);
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(2));
    patch(&one, &workflow, json!({"version": 3, "name": "y"})).await.refused(409, "conflict");
    patch(&one, &workflow, json!({"version": 2, "name": "y"})).await.expect(200);
}

async fn a_definition_that_cannot_be_read_is_a_fault_of_ours(store: Store) {
    let Scene { app, acme, .. } = scene_on(store).await;
    let owner = acme.owner();
    let workflow = made(&owner, json!({"name": "x", "steps": [step("a", json!({}))]})).await;
    app.run_sql("UPDATE workflow_versions SET definition = REPLACE(definition, '\"form\":1', '\"form\":7')").await;
    owner.get(&path(&workflow)).await.refused(500, "internal");
    patch(&owner, &workflow, json!({"name": "y"})).await.refused(500, "internal");
}

async fn what_runs_finds_workflows_and_versions_of_its_own_organization(store: Store) {
    let Scene { app, acme, .. } = scene_on(store).await;
    let (owner, globex) = (acme.owner(), app.organization("globex").await);
    let workflow = made(&owner, json!({"name": "x", "steps": [step("a", json!({}))]})).await;
    patch(&owner, &workflow, json!({"steps": [step("b", json!({}))]})).await.expect(200);
    owner.post(&format!("{}/archive", path(&workflow)), &json!({})).await.expect(200);
    let id: WorkflowId = workflow["id"].as_str().expect("an id").parse().expect("an id");
    let definitions = &app.services().definitions;
    let grant = app.scope(&acme.access_token).await.grant::<RunsDispatch>().expect("an owner's");
    let found = definitions.to_run(&grant, id).await.expect("a store").expect("a workflow");
    assert_eq!((found.version, found.definition.steps[0].name.as_str()), (2, "b"));
    assert!(found.archived_at.is_some(), "whoever runs it is told");
    let scope = |organization: &Organization| SystemScope::new(organization.id.parse().expect("an id"), "a test");
    let version = async |of: &Organization, number| definitions.version(scope(of), id, number).await.expect("a store");
    let first = version(&acme, 1).await.expect("the first");
    assert_eq!((first.number, first.workflow, first.definition.steps[0].name.as_str()), (1, id, "a"));
    assert_eq!(version(&acme, 2).await.map(|version| version.definition), Some(found.definition));
    assert_eq!((version(&acme, 3).await, version(&globex, 1).await), (None, None));
    let foreign = app.scope(&globex.access_token).await.grant::<RunsDispatch>().expect("an owner's");
    assert_eq!(definitions.to_run(&foreign, id).await.expect("a store"), None);
}

async fn a_workflow_is_due_by_its_schedule_and_is_taken_once(store: Store) {
    let Scene { app, acme, .. } = scene_on(store).await;
    let owner = acme.owner();
    let body = json!({"name": "x", "steps": [step("a", json!({}))], "schedule": {"cron": "* * * * *"}});
    let workflow = made(&owner, body).await;
    made(&owner, json!({"name": "never", "steps": [step("a", json!({}))]})).await;
    let schedules = &app.services().schedules;
    let in_minutes = |minutes: u64| SystemClock.now().after(Duration::from_mins(minutes));
    let due = async |at: Timestamp| {
        let come = schedules.due(at, None, 10).await.expect("a store");
        come.into_iter().map(|come| come.due.expect("it can be read")).collect::<Vec<Due>>()
    };
    assert_eq!(due(SystemClock.now().before(Duration::from_secs(1))).await, []);
    let [first]: [Due; 1] = due(in_minutes(2)).await.try_into().expect("one");
    assert_eq!((first.workflow.to_string(), first.version), (workflow["id"].as_str().expect("an id").to_owned(), 1));
    assert_eq!((first.owner.who.id(), first.organization.to_string()), (acme.owner_id.clone(), acme.id.clone()));
    assert_eq!(Some(first.at.to_string().as_str()), workflow["nextRunAt"].as_str());
    let next = first.schedule.next_after(first.at);
    let taken = tokio::join!(schedules.take(&first, next), schedules.take(&first, next));
    let mut taken = [taken.0.expect("a store"), taken.1.expect("a store")];
    taken.sort_unstable();
    assert_eq!(taken, [false, true], "of two nodes one has it");
    let [second]: [Due; 1] = due(in_minutes(3)).await.try_into().expect("one");
    assert_eq!(Some(second.at), next);

    patch(&owner, &workflow, json!({"schedule": {"cron": "0 0 1 1 *"}})).await.expect(200);
    assert!(!schedules.take(&second, None).await.expect("a store"), "the schedule is another one");
    assert_eq!(due(in_minutes(3)).await, []);
    patch(&owner, &workflow, json!({"schedule": {"cron": "*/1 * * * *"}})).await.expect(200);
    owner.post(&format!("{}/archive", path(&workflow)), &json!({})).await.expect(200);
    assert_eq!(due(in_minutes(3)).await, [], "what is archived does not run");
    owner.post(&format!("{}/restore", path(&workflow)), &json!({})).await.expect(200);
    assert_eq!(due(in_minutes(3)).await.len(), 1);
    patch(&owner, &workflow, json!({"schedule": null})).await.expect(200);
    assert_eq!(due(in_minutes(3)).await, []);
}

#[tokio::test]
async fn what_could_never_run_is_refused_by_field_and_all_at_once() {
    let Scene { app: _app, acme, .. } = scene_on(Store::Sqlite).await;
    let owner = acme.owner();
    acme.server("old", "https://x.example.com/mcp").await;
    owner.post("/api/v1/mcp-servers/old/archive", &json!({})).await.expect(200);
    let refers = |text: &str| json!({"arguments": {"deep": [{"text": text}]}});
    let expects = |value: Value| json!({"expect": [value]});
    let long = "x".repeat(64 * 1024);
    let mut nested = json!(1);
    for _ in 0..65 {
        nested = json!([nested]);
    }
    let cases = [
        (step("Bad Name", json!({})), "name"),
        (step("b", json!({"server": "No Name"})), "server"),
        (step("b", json!({"server": "unknown"})), "server"),
        (step("b", json!({"server": "old"})), "server"),
        (step("b", json!({"server": "mcp_01kafx5tgyf1na07m4q6nf1sgb"})), "server"),
        (step("b", json!({"tool": ""})), "tool"),
        (step("b", json!({"tool": "missing"})), "tool"),
        (step("b", json!({"tool": "look"})), "arguments.text"),
        (step("b", json!({"tool": "look", "arguments": {"text": 7}})), "arguments.text"),
        (
            step(
                "b",
                json!({"tool": "look", "arguments": {"text": "{{steps.a.result}} x", "count": "{{steps.a.result}}!"}}),
            ),
            "arguments.count",
        ),
        (step("b", json!({"tool": "look", "arguments": {"text": "", "count": 1.5}})), "arguments.count"),
        (step("b", json!({"tool": "look", "arguments": {"text": "", "tags": {}}})), "arguments.tags"),
        (step("b", json!({"tool": "look", "arguments": {"text": "", "more": 1}})), "arguments.more"),
        (step("b", json!({"arguments": {"text": long}})), "arguments"),
        (step("b", json!({"arguments": {"n": nested}})), &format!("arguments.n{}", "[0]".repeat(64))),
        (step("b", refers("{{steps.b.result/x}}")), "arguments.deep[0].text"),
        (step("b", refers("x {{steps.c.result}}")), "arguments.deep[0].text"),
        (step("b", refers("{{steps.none.result}}")), "arguments.deep[0].text"),
        (step("b", refers("{{steps.a.output}}")), "arguments.deep[0].text"),
        (step("b", refers("{{steps.a.result/~}}")), "arguments.deep[0].text"),
        (step("b", refers("{{")), "arguments.deep[0].text"),
        (step("b", json!({"arguments": {"{{steps.a.result}}": 1}})), "arguments.{{steps.a.result}}"),
        (step("b", expects(json!({"path": "x", "op": "exists"}))), "expect[0].path"),
        (step("b", expects(json!({"path": "/a~", "op": "exists"}))), "expect[0].path"),
        (step("b", expects(json!({"path": "", "op": "like", "value": 1}))), "expect[0].op"),
        (step("b", expects(json!({"path": "", "op": "equals"}))), "expect[0].value"),
        (step("b", expects(json!({"path": "", "op": "exists", "value": 1}))), "expect[0].value"),
        (step("b", expects(json!({"path": "", "op": "less", "value": "1"}))), "expect[0].value"),
        (step("b", expects(json!({"path": "", "op": "greater", "value": "{{steps.c.result}}"}))), "expect[0].value"),
        (step("b", expects(json!({"path": "", "op": "matches", "value": "("}))), "expect[0].value"),
        (step("b", expects(json!({"path": "", "op": "matches", "value": r"\w{9999}"}))), "expect[0].value"),
        (step("b", expects(json!({"path": "", "op": "matches", "value": 1}))), "expect[0].value"),
        (
            step("b", expects(json!({"path": "", "op": "equals", "value": ["{{steps.b.result}}"]}))),
            "expect[0].value[0]",
        ),
        (step("b", json!({"retries": 1})), "retries"),
        (step("b", json!({"retries": 6, "safe": true})), "retries"),
        (step("b", json!({"timeoutSeconds": 0})), "timeoutSeconds"),
        (step("b", json!({"timeoutSeconds": 601})), "timeoutSeconds"),
        (step("a", json!({})), "name"),
    ];
    for (wrong, field) in &cases {
        let body = json!({"name": "x", "steps": [step("a", json!({})), wrong, step("c", json!({}))]});
        let answer = owner.post(WORKFLOWS, &body).await;
        answer.refused(400, "validation_failed").names_field(&format!("steps[1].{field}"));
        assert_eq!(fields(&answer), 1, "{} {}", answer.asked, answer.body);
    }
    let good = json!([step("a", json!({}))]);
    for (body, field) in [
        (json!({"name": " ", "steps": good}), "name"),
        (json!({"name": "x", "steps": []}), "steps"),
        (json!({"name": "x", "steps": vec![step("a", json!({})); 101]}), "steps"),
        (json!({"name": "x", "steps": good, "timeoutSeconds": 86_401}), "timeoutSeconds"),
        (json!({"name": "x", "steps": good, "projectId": "none"}), "projectId"),
        (json!({"name": "x", "steps": good, "schedule": {"cron": "* * * *"}}), "schedule.cron"),
        (json!({"name": "x", "steps": good, "schedule": {"cron": "0 0 30 2 *"}}), "schedule.cron"),
        (
            json!({"name": "x", "steps": good, "schedule": {"cron": "* * * * *", "timeZone": "Mars"}}),
            "schedule.timeZone",
        ),
        (json!({"name": "x", "steps": good, "more": 1}), "more"),
        (json!({"name": "x", "steps": [step("a", json!({"more": 1}))]}), "steps[0].more"),
    ] {
        owner.post(WORKFLOWS, &body).await.refused(400, "validation_failed").names_field(field);
    }
    let all = json!({
        "name": "", "projectId": "none", "schedule": {"cron": "x", "timeZone": "y"},
        "steps": cases.iter().enumerate().map(|(n, (case, _))| {
            let mut case = case.clone();
            case["name"] = format!("s{n}").into();
            case["arguments"]["big"] = Value::Null;
            case
        }).filter(|case| case["arguments"]["text"] != json!(long)).collect::<Vec<_>>(),
    });
    let answer = owner.post(WORKFLOWS, &all).await;
    assert!(fields(&answer) >= 38, "{}", answer.body);
    assert_eq!(owner.get(WORKFLOWS).await.expect(200)["items"], json!([]), "nothing was made");
}

fn fields(answer: &Answer) -> usize {
    answer.json()["error"]["details"]["fieldErrors"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_server_that_was_never_synced_may_have_any_tool_and_the_workflow_says_so() {
    let Scene { app: _app, acme, .. } = scene_on(Store::Sqlite).await;
    let owner = acme.owner();
    let server = acme.server("new", "https://x.example.com/mcp").await;
    let steps = json!([step("a", json!({"server": "new", "tool": "anything"})), step("b", json!({}))]);
    let workflow = made(&owner, json!({"name": "x", "steps": steps})).await;
    assert_eq!(workflow["unsyncedServers"], json!([{"id": server["id"], "slug": "new"}]));
    assert_eq!(workflow["unreachableServers"], json!([]));
}

#[tokio::test]
async fn a_server_that_goes_out_of_reach_is_told_of_and_cannot_be_written_again() {
    let Scene { app, acme, .. } = scene_on(Store::Sqlite).await;
    let owner = acme.owner();
    let upstream = synced(&acme, "files", tools()).await;
    let files = owner.get("/api/v1/mcp-servers/files").await.expect(200);
    let notes = owner.get("/api/v1/mcp-servers/notes").await.expect(200);
    let steps = json!([step("a", json!({})), step("b", json!({"server": "files"}))]);
    let workflow = made(&owner, json!({"name": "x", "steps": steps})).await;
    let narrow = app.key(&acme.key(json!({"servers": [notes["id"]]})).await.token);
    let seen = narrow.get(&path(&workflow)).await.expect(200);
    assert_eq!(seen["unreachableServers"], json!([{"id": files["id"], "slug": "files"}]), "outside the key");
    assert_eq!(owner.get(&path(&workflow)).await.expect(200)["unreachableServers"], json!([]));
    for changed in [json!({"steps": steps}), json!({"steps": [step("b", json!({"server": "files"}))]})] {
        let refused = patch(&narrow, &workflow, changed).await;
        refused.refused(400, "validation_failed");
    }
    patch(&narrow, &workflow, json!({"name": "y"})).await.expect(200);
    owner.post("/api/v1/mcp-servers/files/archive", &json!({})).await.expect(200);
    let seen = owner.get(&path(&workflow)).await.expect(200);
    assert_eq!(seen["unreachableServers"], json!([{"id": files["id"], "slug": "files"}]), "archived");
    patch(&owner, &workflow, json!({"steps": steps}))
        .await
        .refused(400, "validation_failed")
        .names_field("steps[1].server");
    drop(upstream);
}

#[tokio::test]
async fn a_tool_that_waits_for_an_approval_is_not_written_into_a_workflow() {
    let Scene { app: _app, acme, _upstream: upstream } = scene_on(Store::Sqlite).await;
    let owner = acme.owner();
    let on = json!({"features": {"tool_approval": true}});
    owner.with_body(Method::PATCH, "/api/v1/org", &on).await.expect(200);
    made(&owner, json!({"name": "x", "steps": [step("a", json!({}))]})).await;
    upstream.offer(json!({"tools": [{"name": "open", "inputSchema": {"type": "object", "maxProperties": 3}}]}));
    sync(&acme, "notes").await;
    let refused = owner.post(WORKFLOWS, &json!({"name": "x", "steps": [step("a", json!({}))]})).await;
    refused.refused(400, "validation_failed").names_field("steps[0].tool");
}

#[tokio::test]
async fn no_secret_is_ever_written_into_a_workflow() {
    let Scene { app, acme, .. } = scene_on(Store::Sqlite).await;
    let owner = acme.owner();
    let allowing = json!({"name": "vault", "slug": "vault", "url": "https://x.example.com/mcp", "allowedSecretFields": ["password"]});
    acme.server_with(allowing).await;
    let token = acme.solo().await.token;
    let secret = |at: &str, step: Value| {
        (at.to_owned(), json!([json!({"name": "first", "server": "vault", "tool": "t"}), step]))
    };
    let cases = [
        secret("steps[1].arguments", step("a", json!({"arguments": {"db": [{"apiKey": "x"}]}}))),
        secret("steps[1].arguments", step("a", json!({"arguments": {"text": token}}))),
        secret("steps[1].arguments", step("a", json!({"server": "vault", "arguments": {"password": "hunter2"}}))),
        secret("steps[1].arguments", step("a", json!({"arguments": {"password": "{{steps.first.result/x}}"}}))),
        secret("steps[1].expect[0]", step("a", json!({"expect": [{"path": "", "op": "equals", "value": token}]}))),
        secret(
            "steps[1].expect[0]",
            step("a", json!({"expect": [{"path": "", "op": "equals", "value": {"token": "x"}}]})),
        ),
    ];
    for (field, steps) in cases {
        // With another fault, so that nobody mends that one and sends the secret again.
        let answer = owner.post(WORKFLOWS, &json!({"name": "", "steps": steps})).await;
        answer.refused(403, "secret_argument").names_field(&field);
        assert!(!answer.body.contains("hunter2") && !answer.body.contains(&token));
    }
    let passed =
        json!({"name": "a", "server": "vault", "tool": "t", "arguments": {"password": "{{steps.first.result/x}}"}});
    let steps = json!([json!({"name": "first", "server": "vault", "tool": "t"}), passed]);
    made(&owner, json!({"name": "x", "steps": steps})).await;
    app.settled().await;
}

#[tokio::test]
async fn the_log_says_what_became_of_a_workflow() {
    let Scene { app, acme, .. } = scene_on(Store::Sqlite).await;
    let owner = acme.owner();
    let workflow = made(&owner, json!({"name": "x", "steps": [step("a", json!({}))]})).await;
    patch(&owner, &workflow, json!({"name": "x"})).await.expect(200);
    patch(&owner, &workflow, json!({"name": "y", "steps": [step("b", json!({}))]})).await.expect(200);
    owner.post(&format!("{}/archive", path(&workflow)), &json!({})).await.expect(200);
    owner.post(&format!("{}/restore", path(&workflow)), &json!({})).await.expect(200);
    app.settled().await;
    let id = workflow["id"].as_str().expect("an id");
    let events = owner.get(&format!("/api/v1/audit-events?targetId={id}")).await.expect(200);
    let told: Vec<_> = events["items"]
        .as_array()
        .expect("items")
        .iter()
        .rev()
        .filter(|event| event["action"].as_str().is_some_and(|action| action.starts_with("workflow.")))
        .map(|event| {
            (event["action"].as_str().unwrap_or_default(), event["reason"].as_str(), event["target"]["kind"].as_str())
        })
        .collect();
    let kind = Some("workflow");
    assert_eq!(
        told,
        [
            ("workflow.create", None, kind),
            ("workflow.update", Some("version 2, name"), kind),
            ("workflow.archive", None, kind),
            ("workflow.restore", None, kind),
        ]
    );
}

#[tokio::test]
async fn a_creation_that_is_repeated_under_its_name_makes_one() {
    let Scene { app: _app, acme, .. } = scene_on(Store::Sqlite).await;
    let owner = acme.owner().and("idempotency-key", "one");
    let body = json!({"name": "x", "steps": [step("a", json!({}))]});
    let first = made(&owner, body.clone()).await;
    assert_eq!(made(&owner, body).await["id"], first["id"]);
    assert_eq!(owner.get(WORKFLOWS).await.expect(200)["items"].as_array().map(Vec::len), Some(1));
    let proposals = format!("{}/proposals", path(&first));
    let change = json!({"change": {"name": "y"}});
    let proposer = acme.owner().and("idempotency-key", "two");
    let proposed = proposer.post(&proposals, &change).await.expect(201);
    assert_eq!(proposer.post(&proposals, &change).await.expect(201), proposed);
}

#[tokio::test]
async fn the_workflow_of_the_documents_is_taken() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let owner = acme.owner();
    owner.post("/api/v1/projects", &json!({"name": "checkout"})).await.expect(201);
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}, "limit": {"type": "integer"}}});
    let tools = ["add_note", "search", "remove_note"].map(|name| json!({"name": name, "inputSchema": schema}));
    let _upstream = synced(&acme, "notes", json!(tools)).await;
    let page = include_str!("../../docs/workflows.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let example: Value = serde_json::from_str(example).expect("JSON");
    let workflow = made(&owner, example.clone()).await;
    assert_eq!((&workflow["name"], &workflow["schedule"]), (&example["name"], &example["schedule"]));
    for (step, written) in
        workflow["steps"].as_array().expect("steps").iter().zip(example["steps"].as_array().expect("steps"))
    {
        assert_eq!((&step["name"], &step["arguments"]), (&written["name"], &written["arguments"]));
    }
}
