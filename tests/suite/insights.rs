//! `/insights`: who may see and change what, sessions with their calls, and topics.

use std::time::{Duration, Instant};

use super::audit_changes::refuse_changes;
use domain::call::{CallRecord, SessionTag};
use domain::insight::IntakeCall;
use domain::insight::topic::TopicBook;
use domain::time::{Clock, SystemClock};
use infra::db::SqlPurge;
use infra::purge::{Retention, once};
use reqwest::Method;
use serde_json::{Value, json};
use support::calls::{at, call, of_tenant, saying};
use support::{Actor, App, Organization, Store, Upstream};

on_both! {
    sessions_have_their_calls_page_by_page
    topics_have_volume_errors_frustration_and_trend
    a_topic_is_renamed_marked_and_put_away_and_the_log_says_so
    what_insights_are_made_of_goes_when_it_is_older_than_it_is_kept
}

const PATHS: [&str; 5] = ["overview", "topics", "topics/{topic}", "sessions", "sessions/{session}"];

async fn insights(app: &App) -> Organization {
    let acme = app.organization("acme").await;
    acme.switch_insights(true).await;
    acme
}

async fn get(actor: &Actor, path: &str) -> Value {
    actor.get(&format!("/api/v1/insights/{path}")).await.expect(200)
}

async fn first(actor: &Actor, area: &str) -> String {
    get(actor, area).await["items"][0]["id"].as_str().expect("an id").to_owned()
}

fn texts(items: &Value, field: &str) -> Vec<String> {
    let items = items.as_array().expect("items").iter();
    items.map(|item| item[field].as_str().expect("text").to_owned()).collect()
}

/// The row of the seed's table: any role reads with the feature; editors, admins and owners edit topics.
#[tokio::test]
async fn with_the_feature_every_role_reads_and_editors_and_up_edit_topics() {
    let app = App::spawn().await;
    let acme = insights(&app).await;
    acme.record(vec![saying(call(&acme, "look"), "find the unpaid invoices", None)]).await;
    let (topic, session) = (first(&acme.owner(), "topics").await, first(&acme.owner(), "sessions").await);
    for role in ["viewer", "editor", "admin", "owner"] {
        let key = app.key(&acme.key(json!({"role": role})).await.token);
        let person = match role {
            "owner" => acme.owner(),
            _ => acme.member(role, role).await.actor(),
        };
        for actor in [key, person] {
            for path in PATHS {
                get(&actor, &path.replace("{topic}", &topic).replace("{session}", &session)).await;
            }
            let path = format!("/api/v1/insights/topics/{topic}");
            let edited = actor.with_body(Method::PATCH, &path, &json!({"unmetDemand": true})).await;
            if role == "viewer" {
                edited.refused(403, "forbidden_role");
            } else {
                edited.expect(200);
            }
        }
    }
    for (permissions, path) in [(json!(["insights:write"]), "overview"), (json!(["mcp:connect"]), "topics")] {
        let key = app.key(&acme.key(json!({"permissions": permissions})).await.token);
        key.get(&format!("/api/v1/insights/{path}")).await.refused(403, "forbidden_permission");
    }
}

#[tokio::test]
async fn without_the_feature_every_role_is_told_so_before_anything_else() {
    let app = App::spawn().await;
    let acme = insights(&app).await;
    acme.record(vec![saying(call(&acme, "look"), "find the unpaid invoices", None)]).await;
    let topic = first(&acme.owner(), "topics").await;
    acme.switch_insights(false).await;
    for role in ["viewer", "editor", "admin", "owner"] {
        let key = app.key(&acme.key(json!({"role": role})).await.token);
        let person = if role == "owner" { acme.owner() } else { acme.member(role, role).await.actor() };
        for actor in [key, person] {
            for path in PATHS {
                // Also what is not there, and what cannot be read.
                let path = path.replace("{topic}", &topic).replace("{session}", "none");
                actor.get(&format!("/api/v1/insights/{path}?period=x")).await.refused(403, "feature_disabled");
            }
            let path = format!("/api/v1/insights/topics/{topic}");
            actor.with_body(Method::PATCH, &path, &json!({"x": 1})).await.refused(403, "feature_disabled");
        }
    }
    // A tenant that the key may not speak for comes before the feature.
    let solo = app.key(&acme.solo().await.token);
    solo.get("/api/v1/insights/overview?user_id=somebody").await.refused(403, "tenant_not_allowed");
    // Calls were folded all the while: switched on again, there is no gap.
    acme.record(vec![call(&acme, "look")]).await;
    acme.switch_insights(true).await;
    assert_eq!(get(&acme.owner(), "overview").await["calls"], 2);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_field() {
    let app = App::spawn().await;
    let acme = insights(&app).await;
    acme.record(vec![saying(call(&acme, "look"), "find the unpaid invoices", None)]).await;
    let topic = first(&acme.owner(), "topics").await;
    for (path, field) in [
        ("overview?period=1h", "period"),
        ("overview?period=", "period"),
        ("overview?top=0", "top"),
        ("overview?top=101", "top"),
        ("topics?period=90", "period"),
        ("topics?limit=0", "limit"),
        ("topics?cursor=x", "cursor"),
        ("sessions?cursor=x", "cursor"),
        ("sessions?period=2d", "period"),
        (&format!("topics/{topic}?period=x"), "period"),
    ] {
        let answer = acme.owner().get(&format!("/api/v1/insights/{path}")).await;
        answer.refused(400, "validation_failed").names_field(field);
    }
    let path = format!("/api/v1/insights/topics/{topic}");
    for (body, field) in [(json!({}), "body"), (json!({"name": ""}), "name"), (json!({"name": "a\nb"}), "name")] {
        let answer = acme.owner().with_body(Method::PATCH, &path, &body).await;
        answer.refused(400, "validation_failed").names_field(field);
    }
    acme.owner().post("/api/v1/projects", &json!({"name": "Half"})).await.expect(201);
    let key = app.key(&acme.client().await.token);
    let both = key.get("/api/v1/insights/topics?user_id=marina&projectId=half").await;
    both.refused(400, "validation_failed").names_field("projectId");
    for path in ["topics/none", "sessions/none", "sessions/ses_01kafx5tgyf1na07m4q6nf1sgb", "overview?projectId=none"] {
        acme.owner().get(&format!("/api/v1/insights/{path}")).await.refused(404, "not_found");
    }
}

/// From real calls, and folded by nobody but Keyrack itself.
#[tokio::test]
async fn calls_of_the_gateway_and_of_the_platforms_endpoint_are_seen_within_seconds() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = insights(&app).await;
    upstream.offer(json!({"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}));
    acme.server("notes", &upstream.url("/offer")).await;
    acme.server("files", &upstream.url("/echo")).await;
    let key = acme.client().await;
    let caller = app.key(&key.token);
    let params = json!({"name": "look", "arguments": {}});
    caller.mcp("files", "?user_id=marina", "tools/call", params).await.expect(200);
    let telemetry = json!({"intent": "find the unpaid invoices", "frustration": "the search is slow"});
    let call = json!({"name": "notes_look", "arguments": {"telemetry": telemetry}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call});
    let request = caller
        .request(Method::POST, "/mcp?user_id=marina")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&message);
    caller.send("tools/call".to_owned(), request).await.expect(200);
    let deadline = Instant::now() + Duration::from_secs(30);
    let seen = loop {
        let seen = get(&acme.owner(), "overview").await;
        if seen["calls"].as_u64() >= Some(2) && seen["frustrated"] == 1 {
            break seen;
        }
        assert!(Instant::now() < deadline, "{seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(seen["servers"]["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(texts(&seen["tools"]["items"], "tool"), ["look", "look"]);
    assert_eq!(seen["apiKeys"]["items"][0]["apiKeyId"], key.id.as_str());
    assert_eq!(seen["tenants"]["items"][0]["tenant"], json!({"org": null, "user": "marina"}));
    assert!(seen["p50Ms"].as_f64() > Some(0.0));
    let topics = get(&acme.owner(), "topics").await;
    assert_eq!(texts(&topics["items"], "name"), ["find the unpaid invoices"]);
    let session = get(&acme.owner(), &format!("sessions/{}", first(&acme.owner(), "sessions").await)).await;
    let said = session["items"].as_array().expect("calls").iter().find(|call| call["intent"].is_string());
    assert_eq!(said.expect("one")["frustration"], "the search is slow");
}

async fn sessions_have_their_calls_page_by_page(store: Store) {
    let app = App::on(store).await;
    let acme = insights(&app).await;
    let server = acme.server("notes", "https://x.example.com/mcp").await["id"].as_str().expect("an id").to_owned();
    acme.owner().post("/api/v1/projects", &json!({"name": "Half", "servers": [server]})).await.expect(201);
    let now = SystemClock.now();
    let minute = |minute: u64, call: CallRecord| at(call, now.before(Duration::from_mins(240 - minute)));
    let marina = |number: u64| of_tenant(call(&acme, &format!("tool-{number}")), Some("globex"), Some("marina"));
    let otto = of_tenant(call(&acme, "other"), Some("globex"), Some("otto"));
    let tagged = CallRecord { session: Some(SessionTag::of_stored(-5)), ..otto.clone() };
    let mut calls: Vec<CallRecord> = (0..7).map(|number| minute(10 * number, marina(number))).collect();
    calls.push(minute(100, marina(8)));
    calls.push(minute(5, otto));
    calls.push(minute(6, tagged.clone()));
    calls.push(minute(200, CallRecord { server: server.parse().expect("an id"), ..tagged }));
    // In two batches, and in each in any order.
    for part in calls.chunks_mut(6) {
        part.reverse();
        acme.record(part.to_vec()).await;
    }
    let platform = app.key(&acme.platform().await.token);
    let sessions = get(&platform, "sessions").await;
    let counts = |sessions: &Value| -> Vec<u64> {
        sessions["items"].as_array().expect("items").iter().filter_map(|item| item["calls"].as_u64()).collect()
    };
    assert_eq!(counts(&sessions), [1, 2, 1, 7], "{sessions}");
    assert_eq!(counts(&get(&platform, "sessions?org_id=globex&user_id=marina").await), [1, 7]);
    assert_eq!(counts(&get(&platform, "sessions?org_id=globex").await), [1, 2, 1, 7]);
    assert_eq!(counts(&get(&platform, "sessions?org_id=initech").await), [0_u64; 0]);
    assert_eq!(counts(&get(&acme.owner(), "sessions?projectId=half").await), [2]);
    let mut paged = Vec::new();
    let mut path = "sessions?limit=3".to_owned();
    loop {
        let page = get(&platform, &path).await;
        paged.extend(texts(&page["items"], "id"));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("sessions?limit=3&cursor={cursor}");
    }
    assert_eq!(paged, texts(&sessions["items"], "id"));

    let (mut tools, mut path) = (Vec::new(), format!("sessions/{}?limit=3", paged[3]));
    loop {
        let page = get(&platform, &path).await;
        assert_eq!(page["session"]["tenant"], json!({"org": "globex", "user": "marina"}));
        tools.extend(texts(&page["items"], "tool"));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("sessions/{}?limit=3&cursor={cursor}", paged[3]);
    }
    assert_eq!(tools, (0..7).map(|number| format!("tool-{number}")).collect::<Vec<_>>());
    let theirs = get(&platform, &format!("sessions/{}", paged[1])).await;
    assert_eq!(theirs["items"].as_array().map(Vec::len), Some(2), "the tag tells it from the one without: {theirs}");
    let narrowed = get(&acme.owner(), &format!("sessions/{}?projectId=half", paged[1])).await;
    assert_eq!(narrowed["items"].as_array().map(Vec::len), Some(1), "of a project's servers alone");
    // Somebody else's session is one that is not there.
    let path = format!("/api/v1/insights/sessions/{}?org_id=globex&user_id=otto", paged[3]);
    platform.get(&path).await.refused(404, "not_found");
    let path = format!("/api/v1/insights/sessions/{}?projectId=half", paged[3]);
    acme.owner().get(&path).await.refused(404, "not_found");
}

async fn topics_have_volume_errors_frustration_and_trend(store: Store) {
    let app = App::on(store).await;
    let acme = insights(&app).await;
    let now = SystemClock.now();
    let invoices = ["find the unpaid invoices", "Find all unpaid invoices", "unpaid invoices: find 'em"];
    let mut calls = Vec::new();
    for (number, intent) in invoices.iter().cycle().take(9).enumerate() {
        let tenant = if number < 6 { "marina" } else { "otto" };
        let frustration = (number % 3 == 0).then_some("too slow");
        let said = saying(of_tenant(call(&acme, "search"), None, Some(tenant)), intent, frustration);
        let failed = number == 1;
        calls.push(CallRecord { status: Some(if failed { 500 } else { 200 }), ..said });
    }
    for days in [8, 9, 10] {
        calls.push(at(
            saying(call(&acme, "search"), "find unpaid invoices", None),
            now.before(Duration::from_hours(24 * days)),
        ));
    }
    calls.push(saying(call(&acme, "book"), "book a meeting room", Some("None.")));
    calls.push(call(&acme, "quiet"));
    acme.record(calls).await;
    let topics = get(&acme.owner(), "topics?period=7d").await;
    let topic = &topics["items"][0];
    assert_eq!(topics["items"].as_array().map(Vec::len), Some(2), "{topics}");
    assert_eq!((&topic["calls"], &topic["errors"], &topic["frustrated"]), (&json!(9), &json!(1), &json!(3)));
    assert_eq!(topic["frustrationRate"], json!(3.0 / 9.0));
    assert_eq!(topic["trend"], json!({"previousCalls": 3, "change": 2.0}));
    assert_eq!(topics["items"][1]["trend"], json!({"previousCalls": 0, "change": null}));
    assert_eq!(
        (&topics["items"][1]["name"], &topics["items"][1]["frustrated"]),
        (&json!("book a meeting room"), &json!(0))
    );
    let page = get(&acme.owner(), "topics?period=7d&limit=1").await;
    let cursor = page["nextCursor"].as_str().expect("a cursor");
    let second = get(&acme.owner(), &format!("topics?period=7d&limit=1&cursor={cursor}")).await;
    assert_eq!((&second["items"][0]["id"], &second["nextCursor"]), (&topics["items"][1]["id"], &Value::Null));

    let id = topic["id"].as_str().expect("an id");
    let detail = get(&acme.owner(), &format!("topics/{id}?period=7d")).await;
    assert_eq!((&detail["calls"], &detail["tools"]["items"][0]["tool"]), (&json!(9), &json!("search")));
    assert_eq!(detail["series"].as_array().map(Vec::len), Some(7));
    // A tenant's own calls and words alone.
    let client = app.key(&acme.client().await.token);
    let own = get(&client, "topics?period=7d&user_id=otto").await;
    assert_eq!((own["items"].as_array().map(Vec::len), &own["items"][0]["calls"]), (Some(1), &json!(3)));
    let own = get(&client, &format!("topics/{id}?period=7d&user_id=nobody")).await;
    assert_eq!((&own["calls"], &own["examples"], &own["tools"]), (&json!(0), &json!([]), &Value::Null));
}

async fn a_topic_is_renamed_marked_and_put_away_and_the_log_says_so(store: Store) {
    let app = App::on(store).await;
    let acme = insights(&app).await;
    let said = || saying(call(&acme, "look"), "find the unpaid invoices", None);
    acme.record(vec![said(), said()]).await;
    let id = first(&acme.owner(), "topics").await;
    let path = format!("/api/v1/insights/topics/{id}");
    let patch = async |body: Value| acme.owner().with_body(Method::PATCH, &path, &body).await.expect(200);
    let renamed = patch(json!({"name": "Dunning", "unmetDemand": true})).await;
    assert_eq!((&renamed["name"], &renamed["renamed"]), (&json!("Dunning"), &json!(true)));
    let again = patch(json!({"name": "Dunning"})).await;
    assert_eq!(again, renamed);
    // Without its row in the log no change takes place.
    refuse_changes(&app, store, true).await;
    let unlogged = acme.owner().with_body(Method::PATCH, &path, &json!({"name": "Unlogged", "archived": true})).await;
    assert!(unlogged.status >= 500, "{}", unlogged.body);
    refuse_changes(&app, store, false).await;
    assert_eq!(get(&acme.owner(), &format!("topics/{id}")).await["name"], "Dunning");
    // More calls change nothing that an editor did.
    acme.record(vec![said()]).await;
    let topics = get(&acme.owner(), "topics?unmetDemand=true").await;
    assert_eq!(
        (texts(&topics["items"], "name"), &topics["items"][0]["calls"]),
        (vec!["Dunning".to_owned()], &json!(3))
    );
    assert_eq!(get(&acme.owner(), "topics?unmetDemand=false").await["items"], json!([]));
    assert_eq!(patch(json!({"archived": true})).await["archived"], json!(true));
    acme.record(vec![said()]).await;
    assert_eq!(get(&acme.owner(), "topics").await["items"], json!([]));
    assert_eq!(get(&acme.owner(), "topics?archived=true").await["items"][0]["calls"], 4, "counted all the same");
    let back = patch(json!({"archived": false, "name": null, "unmetDemand": false})).await;
    assert_eq!((&back["name"], &back["renamed"]), (&json!("find the unpaid invoices"), &json!(false)));
    app.settled().await;
    let log = acme.owner().get(&format!("/api/v1/audit-events?targetId={id}&outcome=allowed")).await.expect(200);
    let mut actions = texts(&log["items"], "action");
    actions.retain(|action| action.starts_with("topic."));
    actions.reverse();
    assert_eq!(actions, ["topic.update", "topic.archive", "topic.update", "topic.restore"], "one row for each change");
}

async fn what_insights_are_made_of_goes_when_it_is_older_than_it_is_kept(store: Store) {
    const DAY: Duration = Duration::from_hours(24);
    let app = App::on(store).await;
    let acme = insights(&app).await;
    let now = SystemClock.now();
    let calls = [0_u32, 1, 50, 120].map(|days| {
        let intent = ["alpha", "beta", "gamma", "delta"][[0, 1, 50, 120].iter().position(|d| *d == days).expect("one")];
        at(saying(call(&acme, "look"), intent, None), now.before(days * DAY))
    });
    acme.record(calls.to_vec()).await;
    let count = async |table: &str| {
        let rows = app.sql().await;
        super::calls_store::rows(&rows, table, "1 = 1").await
    };
    assert_eq!((count("insight_sessions").await, count("insight_topics").await), (4, 4));
    let slices = count("insight_slices").await;
    let purge = SqlPurge::new(app.services().database.clone());
    let retention = Retention { calls: 90 * DAY, usage: 400 * DAY, runs: 90 * DAY, insights: 100 * DAY };
    assert!(once(&purge, retention, now).await.expect("cleared out").insights > 0);
    assert_eq!((count("insight_sessions").await, count("insight_topics").await), (3, 3));
    assert!(count("insight_slices").await < slices);
    assert_eq!(get(&acme.owner(), "overview?period=90d").await["calls"], 3);
    assert_eq!(get(&acme.owner(), "overview").await["calls"], 1, "the hours are kept for three days");
    // Four days later there are days and no hours.
    once(&purge, retention, now.after(4 * DAY)).await.expect("cleared out");
    assert_eq!(get(&acme.owner(), "overview").await["calls"], 0);
    assert_eq!(get(&acme.owner(), "overview?period=90d").await["calls"], 3);
    assert_eq!(once(&purge, retention, now.after(4 * DAY)).await.expect("cleared out").insights, 0);
}

/// The table in `docs/insights.md` is what the code makes of its intents.
#[test]
fn the_example_in_the_documentation_is_what_happens() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/insights.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let table = text.split("<!-- example -->").nth(1).expect("an example");
    let rows: Vec<(String, String)> = table
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|--"))
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            (cells[0].trim_matches('`').to_owned(), cells[1].to_owned())
        })
        .collect();
    assert!(rows.len() >= 8, "{rows:?}");
    let now = SystemClock.now();
    let organization = domain::id::OrganizationId::new();
    let mut book = TopicBook::of(organization, vec![]);
    let mut of_rows = Vec::new();
    for (number, (intent, _)) in rows.iter().enumerate() {
        let made = IntakeCall {
            at: now.after(Duration::from_secs(number as u64)),
            request_id: uuid::Uuid::nil(),
            key: domain::key::KeyId::from_token_part("0123456789abcdef").expect("an id"),
            server: domain::id::ServerId::new(),
            tool: None,
            tenant: None,
            session: None,
            failed: false,
            frustrated: false,
            latency: 1,
            intent: Some(intent.clone()),
        };
        of_rows.push(book.add(&made));
    }
    let topics = book.changes().changed;
    for ((intent, expected), id) in rows.iter().zip(of_rows) {
        let name = id.and_then(|id| topics.iter().find(|topic| topic.id == id)).map(|topic| topic.words.stored());
        assert_eq!(name.as_deref().unwrap_or("none"), expected, "{intent}");
    }
}
