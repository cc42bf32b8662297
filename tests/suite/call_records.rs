//! Call records: every call of an admitted caller leaves one, which says how it ended, on either database.

use std::time::{Duration, Instant};

use domain::access::SystemScope;
use domain::call::port::CallPosition;
use domain::call::{AnswerFault, CallKind, CallRecord, Cut, Outcome};
use domain::id::OrganizationId;
use domain::page::{Limit, PageRequest};
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::json;
use support::{App, Organization, Store, Upstream};

/// The records of an organization, the newest call first, as far as they are written.
async fn written(app: &App, acme: &Organization) -> Vec<CallRecord> {
    let organization: OrganizationId = acme.id.parse().expect("an id");
    let scope = SystemScope::new(organization, "the test looks");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let request = PageRequest { limit: Limit::new(200).expect("a limit"), after };
        let page = app.services().call_records.page(&scope, request).await.expect("a page");
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// The same, when all calls that have ended are written.
async fn records(app: &App, acme: &Organization) -> Vec<CallRecord> {
    app.settled().await;
    written(app, acme).await
}

/// The same, when there are this many; fails after five seconds.
async fn when_there_are(count: usize, app: &App, acme: &Organization) -> Vec<CallRecord> {
    for _ in 0..500 {
        let all = records(app, acme).await;
        if all.len() >= count {
            assert_eq!(all.len(), count, "{all:?}");
            return all;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there are not {count} calls but {:?}", records(app, acme).await);
}

/// Reads a body to its end, whatever that is.
async fn drained(events: impl Stream<Item = reqwest::Result<bytes::Bytes>>) {
    let mut events = std::pin::pin!(events);
    while let Some(Ok(_)) = events.next().await {}
}

fn method(record: &CallRecord) -> &str {
    record.method.as_ref().map_or("-", domain::call::Method::as_str)
}

fn tool(record: &CallRecord) -> &str {
    record.tool.as_ref().map_or("-", domain::call::Label::as_str)
}

#[tokio::test]
async fn every_call_of_an_admitted_caller_leaves_one_record_that_says_how_it_ended() {
    for store in [Store::Sqlite, Store::Postgres] {
        let (app, upstream) = (App::on(store).await, Upstream::start());
        let acme = app.organization("acme").await;
        let up = acme.server("up", &upstream.url("/echo")).await["id"].as_str().expect("an id").to_owned();
        acme.server("bad", &upstream.url("/status/500")).await;
        acme.server("closed", &upstream.url("/status/401")).await;
        acme.server("gone", "http://127.0.0.1:9/mcp").await;
        let key = acme.key(json!({"type": "platform", "tenants": {"orgs": "*"}})).await;
        let (caller, tenant) = (app.key(&key.token), "?org_id=globex&user_id=marina");
        let good = json!({"name": "get_weather", "arguments": {"city": "Bern"}});
        let answer = caller.mcp("up", tenant, "tools/call", good.clone()).await;
        let length = answer.expect(200).to_string().len();
        caller
            .mcp_message("up", tenant, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await
            .expect(200);
        caller
            .mcp("up", tenant, "tools/call", json!({"name": "t", "arguments": {"password": "x"}}))
            .await
            .refused(200, "secret_argument");
        caller.mcp("bad", tenant, "x/own", json!({})).await.expect(500);
        caller.mcp("closed", tenant, "ping", json!({})).await.refused(502, "upstream_error");
        caller.mcp("gone", tenant, "ping", json!({})).await.refused(502, "upstream_error");
        let foreign = caller.clone().and("mcp-session-id", "somebody-elses");
        foreign.mcp("up", tenant, "ping", json!({})).await.refused(404, "session_not_found");
        caller.get(&format!("/mcp-connect/up{tenant}")).await.expect(200);
        caller.delete(&format!("/mcp-connect/up{tenant}")).await.expect(200);
        // Not let through, so no calls.
        caller.mcp("nowhere", tenant, "ping", json!({})).await.expect(404);
        caller.mcp("up", "", "ping", json!({})).await.expect(400);
        app.anonymous().mcp("up", tenant, "ping", json!({})).await.expect(401);

        let mut all = records(&app, &acme).await;
        all.reverse();
        let seen: Vec<_> = all
            .iter()
            .map(|call| {
                (call.kind, method(call), tool(call), call.status, call.outcome.reason().unwrap_or("-"), call.fault)
            })
            .collect();
        let rpc = Some(AnswerFault::Rpc(-32601));
        assert_eq!(
            seen,
            [
                (CallKind::Request, "tools/call", "get_weather", Some(200), "-", None),
                (CallKind::Notification, "notifications/initialized", "-", Some(200), "-", None),
                (CallKind::Request, "tools/call", "t", Some(200), "secret_argument", None),
                (CallKind::Request, "x/own", "-", Some(500), "-", rpc),
                (CallKind::Request, "ping", "-", Some(502), "upstream_error", None),
                (CallKind::Request, "ping", "-", Some(502), "upstream_error", None),
                (CallKind::Request, "ping", "-", Some(404), "session_not_found", None),
                (CallKind::Stream, "-", "-", Some(200), "-", None),
                (CallKind::End, "-", "-", Some(200), "-", None),
            ]
        );
        let numbers: Vec<_> = all.iter().map(|call| call.outcome.number()).collect();
        assert_eq!(numbers, [0, 0, 2, 0, 1, 1, 2, 0, 0], "answered, refused or failed");
        let first = &all[0];
        assert_eq!((first.key.to_string(), first.server.to_string()), (key.id.clone(), up));
        let tenant = |text: &Option<domain::tenant::TenantText>| text.as_ref().map(ToString::to_string);
        assert_eq!(tenant(&first.tenant_org).as_deref(), Some("globex"));
        assert_eq!(tenant(&first.tenant_user).as_deref(), Some("marina"));
        assert_eq!(first.version.as_ref().map(domain::call::Label::as_str), Some("2025-11-25"));
        assert_eq!(first.response_bytes, length as u64);
        assert_eq!(
            first.request_bytes,
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": good}).to_string().len() as u64
        );
        assert!(first.first_byte.is_some_and(|time| time > Duration::ZERO && time <= first.took), "{first:?}");
        assert!(all[4].first_byte.is_none() && all[4].response_bytes == 0);
        // The records and the audit log name the same requests.
        let events = acme.owner().get("/api/v1/audit-events?action=mcp.connect&limit=200").await.expect(200);
        let mut audited: Vec<String> = events["items"]
            .as_array()
            .expect("items")
            .iter()
            .filter(|event| event["outcome"] == "allowed")
            .map(|event| event["requestId"].as_str().expect("an id").to_owned())
            .collect();
        let mut recorded: Vec<_> = all.iter().map(|call| call.request_id.to_string()).collect();
        audited.sort();
        recorded.sort();
        assert_eq!(recorded, audited);
    }
}

#[tokio::test]
async fn pages_are_of_one_organization_newest_first_and_complete() {
    for store in [Store::Sqlite, Store::Postgres] {
        let (app, upstream) = (App::on(store).await, Upstream::start());
        let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
        for organization in [&acme, &globex] {
            organization.server("up", &upstream.url("/echo")).await;
            let caller = app.key(&organization.solo().await.token);
            caller.mcp("up", "", "ping", json!({})).await.expect(200);
        }
        // Many that began in the same microsecond, as those of several nodes can.
        let one = records(&app, &acme).await.remove(0);
        for _ in 0..6 {
            app.services().calls.add(CallRecord { request_id: uuid::Uuid::now_v7(), ..one.clone() });
        }
        app.services().calls.add(CallRecord {
            at: one.at.after(Duration::from_micros(1)),
            request_id: uuid::Uuid::nil(),
            ..one.clone()
        });
        let all = records(&app, &acme).await;
        assert_eq!(all.len(), 8);
        assert!(all[0].request_id.is_nil(), "the youngest stands first");
        let place = |call: &CallRecord| (call.at, call.request_id);
        assert!(all.is_sorted_by(|a, b| place(a) > place(b)), "{all:?}");
        let scope = SystemScope::new(acme.id.parse().expect("an id"), "the test looks");
        let (mut paged, mut after): (Vec<CallRecord>, Option<CallPosition>) = (Vec::new(), None);
        loop {
            let request = PageRequest { limit: Limit::new(3).expect("a limit"), after };
            let page = app.services().call_records.page(&scope, request).await.expect("a page");
            assert!(page.items.len() <= 3);
            paged.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, all);
        assert_eq!(records(&app, &globex).await.len(), 1);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_or_within_it_has_cancelled() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("hang", &upstream.url("/hang")).await;
    acme.server("sse", &upstream.url("/sse")).await;
    let caller = app.key(&acme.solo().await.token);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow"}});
    let request = caller.request(Method::POST, "/mcp-connect/hang/mcp").json(&message);
    assert!(tokio::time::timeout(Duration::from_millis(200), request.send()).await.is_err(), "the upstream hangs");
    let all = when_there_are(1, &app, &acme).await;
    assert_eq!((&all[0].outcome, all[0].status, tool(&all[0])), (&Outcome::Cancelled, None, "slow"));
    assert!(all[0].took >= Duration::from_millis(150), "{:?}", all[0].took);

    let response = caller.request(Method::POST, "/mcp-connect/sse/mcp").json(&message).send().await.expect("an answer");
    let mut events = response.bytes_stream();
    let mut length = 0;
    for _ in 0..3 {
        length += events.next().await.expect("an event").expect("whole").len() as u64;
    }
    assert_eq!(records(&app, &acme).await.len(), 1, "what is under way has no record yet");
    drop(events);
    let all = when_there_are(2, &app, &acme).await;
    assert_eq!((&all[0].outcome, all[0].status), (&Outcome::Cancelled, Some(200)));
    assert!(all[0].response_bytes >= length, "{} of {length}", all[0].response_bytes);
    let first = all[0].first_byte.expect("it began");
    assert!(all[0].took >= first + Duration::from_millis(90), "two more events took their time: {:?}", all[0]);
}

#[tokio::test]
async fn what_ended_a_stream_before_its_time_is_told() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("sse", &upstream.url("/sse")).await;
    acme.server("half", &upstream.url("/half")).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let client = acme.key(json!({"type": "client"})).await;
    let open = async |token: &str, path: &str| {
        let request = app.key(token).request(Method::POST, path).json(&message);
        let mut events = request.send().await.expect("an answer").bytes_stream();
        events.next().await.expect("a chunk").expect("whole");
        events
    };
    let key = acme.solo().await;
    let events = open(&key.token, "/mcp-connect/sse/mcp").await;
    acme.revoke(&key.id).await;
    drained(events).await;
    let all = when_there_are(1, &app, &acme).await;
    assert_eq!(all[0].outcome, Outcome::Cut(Cut::KeyOver));

    let events = open(&client.token, "/mcp-connect/sse/mcp?user_id=marina").await;
    let users = acme.owner().get("/api/v1/tenants/users").await.expect(200);
    let marina = users["items"][0]["id"].as_str().expect("an id").to_owned();
    acme.owner().post(&format!("/api/v1/tenants/users/{marina}/suspend"), &json!({})).await.expect(200);
    drained(events).await;
    let all = when_there_are(2, &app, &acme).await;
    assert_eq!(all[0].outcome, Outcome::Cut(Cut::TenantSuspended));

    drained(open(&client.token, "/mcp-connect/half/mcp?user_id=otto").await).await;
    let all = when_there_are(3, &app, &acme).await;
    assert_eq!((&all[0].outcome, all[0].status), (&Outcome::Cut(Cut::Broken), Some(200)));
}

#[tokio::test]
async fn calls_of_one_session_are_told_from_those_of_another_and_its_id_is_not_kept() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/session")).await;
    let (a, b) = (app.key(&acme.solo().await.token), app.key(&acme.solo().await.token));
    let begin = async |caller: &support::Actor| {
        let answer = caller.mcp("up", "", "initialize", json!({})).await;
        answer.expect(200);
        answer.headers["mcp-session-id"].to_str().expect("text").to_owned()
    };
    let session = begin(&a).await;
    a.clone().and("mcp-session-id", &session).mcp("up", "", "ping", json!({})).await.expect(200);
    // The upstream gives everybody the same id; they are sessions of two callers all the same.
    begin(&b).await;
    let all = records(&app, &acme).await;
    let tags: Vec<_> = all.iter().rev().map(|call| call.session.expect("a session")).collect();
    assert_eq!((tags.len(), tags[0] == tags[1], tags[0] == tags[2]), (3, true, false), "{tags:?}");
    for (path, kept) in app.files() {
        let found = kept.windows(18).any(|bytes| bytes == b"upstream-session-1");
        assert!(!found, "the session's id is in {}", path.display());
    }
}

#[tokio::test]
async fn no_name_that_a_caller_writes_stops_the_log_and_no_key_gets_into_it() {
    for store in [Store::Sqlite, Store::Postgres] {
        let (app, upstream) = (App::on(store).await, Upstream::start());
        let acme = app.organization("acme").await;
        acme.server("up", &upstream.url("/echo")).await;
        let key = acme.solo().await;
        let caller = app.key(&key.token);
        let long = "ä".repeat(5_000);
        caller.mcp("up", "", "tools/call", json!({"name": "a\u{0}b"})).await.expect(200);
        caller.mcp("up", "", "tools/call", json!({"name": long})).await.expect(200);
        caller.mcp("up", "", "\u{0}", json!({"name": "x"})).await.expect(200);
        caller.mcp("up", "", &format!("run {}", key.token), json!({})).await.expect(200);
        caller.mcp("up", "", "tools/call", json!({"name": key.token})).await.refused(200, "secret_argument");
        let vendors = format!("ghp_{}", "0Az9By8Cx7Dw6Ev5Fu4Gt3Hs2Ir1Jq");
        caller.mcp("up", "", "tools/call", json!({"name": vendors})).await.expect(200);
        let mut all = records(&app, &acme).await;
        all.reverse();
        let names: Vec<_> = all.iter().map(|call| (method(call), tool(call))).collect();
        let hidden = "[redacted:keyrack]";
        assert_eq!(
            names,
            [
                ("tools/call", "ab"),
                ("tools/call", &*"ä".repeat(64)),
                ("", "-"),
                (hidden, "-"),
                ("tools/call", hidden),
                ("tools/call", "[redacted:github]"),
            ]
        );
    }
}

#[tokio::test]
async fn a_call_is_use_once() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    acme.server("sse", &upstream.url("/sse")).await;
    acme.server("gone", "http://127.0.0.1:9/mcp").await;
    let caller = app.key(&acme.solo().await.token);
    caller.mcp("up", "", "ping", json!({})).await.expect(200);
    caller.mcp("gone", "", "ping", json!({})).await.expect(502);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let stream = caller.request(Method::POST, "/mcp-connect/sse/mcp").json(&message).send().await.expect("an answer");
    let counted = async || {
        let report = acme.owner().get("/api/v1/usage").await.expect(200);
        let sum = |field: &str| {
            let items = report["items"].as_array().expect("items").iter();
            items.map(|item| item[field].as_u64().expect("a number")).sum::<u64>()
        };
        (sum("calls"), sum("errors"))
    };
    assert_eq!(counted().await, (3, 1), "a stream is counted when it begins");
    drop(stream);
    when_there_are(3, &app, &acme).await;
    assert_eq!(counted().await, (3, 1), "and not again when it ends");
}

#[tokio::test]
async fn what_ended_is_written_when_the_server_stops_and_what_was_under_way_was_cut_by_that() {
    let (mut app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    acme.server("sse", &upstream.url("/sse")).await;
    let caller = app.key(&acme.solo().await.token);
    for _ in 0..20 {
        caller.mcp("up", "", "ping", json!({})).await.expect(200);
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let stream = caller.request(Method::POST, "/mcp-connect/sse/mcp").json(&message).send().await.expect("an answer");
    let mut events = stream.bytes_stream();
    events.next().await.expect("an event").expect("whole");
    let reading = tokio::spawn(drained(events));
    let db = app.sql().await;
    let began = Instant::now();
    app.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    reading.await.expect("the stream ended");
    assert_eq!(super::calls_store::count(&db, "outcome = 0").await, 20);
    assert_eq!(super::calls_store::count(&db, "outcome = 4 AND reason = 'shutdown'").await, 1);
    assert_eq!(super::calls_store::count(&db, "1 = 1").await, 21);
}
