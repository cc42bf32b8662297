//! Reading the audit log: filters, pages, and nobody else's events.

use std::fmt::Write;

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use support::{Actor, App, Organization, Store, Upstream};

const LIST: &str = "/api/v1/audit-events";

/// An organization in which something happened; its decisions are written.
async fn busy(app: &App, upstream: &Upstream, slug: &str) -> (Organization, support::actor::Key) {
    let acme = app.organization(slug).await;
    acme.server("up", &upstream.url("/echo")).await;
    let key = acme.platform().await;
    let caller = app.key(&key.token);
    for user in ["marina", "otto", "marina"] {
        let query = format!("?org_id=globex&user_id={user}");
        caller.mcp("up", &query, "ping", json!({})).await.expect(200);
    }
    caller.mcp("nothing", "?org_id=globex&user_id=marina", "ping", json!({})).await.refused(404, "server_not_found");
    caller.get("/api/v1/api-keys").await.refused(403, "forbidden_permission");
    app.settled().await;
    (acme, key)
}

/// All pages of a list.
async fn all(actor: &Actor, query: &str) -> Vec<Value> {
    let (mut events, mut path) = (Vec::new(), format!("{LIST}?limit=7&{query}"));
    loop {
        let page = actor.get(&path).await.expect(200);
        events.extend(page["items"].as_array().expect("items").iter().cloned());
        let Some(cursor) = page["nextCursor"].as_str() else { return events };
        path = format!("{LIST}?limit=7&cursor={cursor}&{query}");
    }
}

fn numbers(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["seq"].as_i64().expect("a number")).collect()
}

async fn filters_pick_exactly_what_fits(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let (acme, key) = busy(&app, &upstream, "acme").await;
    // Reading is a decision too: a fixed end keeps what is compared the same.
    let to = all(&acme.owner(), "").await[0]["at"].as_str().expect("a time").to_owned();
    let everything = all(&acme.owner(), &format!("to={to}")).await;
    let refused = everything.iter().find(|event| event["outcome"] == "refused").expect("a refusal");
    let text = |event: &Value, pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let middle = text(&everything[everything.len() / 2], "/at").expect("a time");
    let request = text(refused, "/requestId").expect("an id");
    type Picks<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let cases: Vec<(String, Picks<'_>)> = vec![
        ("actorKind=member".into(), Box::new(|event| event["actor"]["kind"] == "member")),
        (format!("actorId={}", key.id), Box::new(|event| event["actor"]["id"] == key.id.as_str())),
        ("action=mcp.connect".into(), Box::new(|event| event["action"] == "mcp.connect")),
        ("action=tenant.create".into(), Box::new(|event| event["action"] == "tenant.create")),
        ("targetKind=server".into(), Box::new(|event| event["target"]["kind"] == "server")),
        (format!("targetId={}", key.id), Box::new(|event| event["target"]["id"] == key.id.as_str())),
        ("outcome=refused".into(), Box::new(|event| event["outcome"] == "refused")),
        ("outcome=allowed".into(), Box::new(|event| event["outcome"] == "allowed")),
        ("code=server_not_found".into(), Box::new(|event| event["code"] == "server_not_found")),
        (format!("requestId={request}"), Box::new(|event| event["requestId"] == request.as_str())),
        ("tenantUser=marina".into(), Box::new(|event| event["tenant"]["user"]["id"] == "marina")),
        ("tenantOrg=globex".into(), Box::new(|event| event["tenant"]["org"]["id"] == "globex")),
        (format!("from={middle}"), Box::new(|event| event["at"].as_str() >= Some(middle.as_str()))),
        (
            format!("actorId={}&outcome=refused&from={middle}", key.id),
            Box::new(|event| {
                event["actor"]["id"] == key.id.as_str()
                    && event["outcome"] == "refused"
                    && event["at"].as_str() >= Some(middle.as_str())
            }),
        ),
        ("action=nothing.like-it".into(), Box::new(|_| false)),
    ];
    for (query, fits) in cases {
        let expected: Vec<Value> = everything.iter().filter(|event| fits(event)).cloned().collect();
        assert_eq!(all(&acme.owner(), &format!("{query}&to={to}")).await, expected, "{query}");
        let mut ascending = all(&acme.owner(), &format!("{query}&order=asc&to={to}")).await;
        ascending.reverse();
        assert_eq!(ascending, expected, "{query}, oldest first");
        assert!(expected.is_empty() == query.starts_with("action=nothing"), "{query} is tried on something");
    }
}

#[tokio::test]
async fn filters_pick_exactly_what_fits_on_sqlite() {
    filters_pick_exactly_what_fits(Store::Sqlite).await;
}

#[tokio::test]
async fn filters_pick_exactly_what_fits_on_postgres() {
    filters_pick_exactly_what_fits(Store::Postgres).await;
}

#[tokio::test]
async fn pages_are_complete_and_stable_while_events_are_added() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let (acme, _) = busy(&app, &upstream, "acme").await;
    let seen = numbers(&all(&acme.owner(), "").await);
    // Every page was a decision and came on top, where no page looked any more.
    let newest = seen[0];
    assert_eq!(seen, (1..=newest).rev().collect::<Vec<_>>());
    app.settled().await;
    assert!(numbers(&all(&acme.owner(), "").await)[0] > newest);
}

#[tokio::test]
async fn an_organization_sees_its_own_events_alone() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let ((acme, _), (globex, key)) = (busy(&app, &upstream, "acme").await, busy(&app, &upstream, "globex").await);
    app.key("kr_nonsense").get("/api/v1/me").await.refused(401, "unauthenticated");
    for event in all(&acme.owner(), "").await {
        assert_eq!(event["organization"], acme.id.as_str());
    }
    for query in [format!("actorId={}", key.id), format!("targetId={}", key.id), format!("targetId={}", globex.id)] {
        assert_eq!(all(&acme.owner(), &query).await, Vec::<Value>::new(), "{query}");
    }
    let exported = acme.owner().get(&format!("{LIST}/export")).await;
    exported.expect_status(200);
    assert!(!exported.body.contains(&globex.id) && !exported.body.contains(&key.id));
}

#[tokio::test]
async fn keys_never_read_the_log_and_what_cannot_be_asked_is_refused() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let key = app.key(&acme.solo().await.token);
    for path in [LIST.to_owned(), format!("{LIST}/export")] {
        key.get(&path).await.refused(403, "forbidden_permission");
        app.anonymous().get(&path).await.refused(401, "unauthenticated");
        for wrong in ["from=yesterday", "to=1", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "actorid=x"] {
            acme.owner().get(&format!("{path}?{wrong}")).await.refused(400, "validation_failed");
        }
    }
    for wrong in [
        "limit=0",
        "limit=201",
        "cursor=x",
        "order=up",
        "actorKind=dog",
        "outcome=maybe",
        "requestId=1",
        "actorId=",
        "action=%00",
        "tenantUser=",
        "tenantUser=%00",
        &format!("targetId={}", "x".repeat(129)),
    ] {
        acme.owner().get(&format!("{LIST}?{wrong}")).await.refused(400, "validation_failed");
    }
}

/// Fills the log of the one organization up to number `rows` with copies of a sign-in, made by `sets`: expressions by
/// column, in which `n.seq` is the number and `e` the event that is copied.
async fn fill(app: &App, rows: i64, sets: &[(&str, &str)]) {
    let columns =
        ["organization_id", "id", "at", "actor_kind", "action", "target_kind", "outcome", "previous_hash", "hash"];
    let kept = columns.iter().filter(|column| sets.iter().all(|(set, _)| set != *column));
    let (mut into, mut select) = (vec!["seq".to_owned()], vec!["n.seq".to_owned()]);
    for column in kept {
        into.push((*column).to_owned());
        select.push(format!("e.{column}"));
    }
    for (column, expression) in sets {
        into.push((*column).to_owned());
        select.push((*expression).to_owned());
    }
    let (into, select) = (into.join(", "), select.join(", "));
    let db = app.sql().await;
    for sql in [
        format!(
            "WITH RECURSIVE n(seq) AS (SELECT 100 UNION ALL SELECT seq + 1 FROM n WHERE seq < {rows}) \
             INSERT INTO audit_events ({into}) \
             SELECT {select} FROM n, audit_events e WHERE e.action = 'session.open' AND e.seq < 100"
        ),
        format!("UPDATE audit_heads SET seq = {rows}"),
    ] {
        db.execute_unprepared(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// How many pages a search takes, and the numbers that it finds.
async fn search(actor: &Actor, query: &str) -> (usize, Vec<i64>) {
    let (mut pages, mut found, mut path) = (0, Vec::new(), format!("{LIST}?{query}"));
    loop {
        let page = actor.get(&path).await.expect(200);
        pages += 1;
        found.extend(numbers(page["items"].as_array().expect("items")));
        let Some(cursor) = page["nextCursor"].as_str() else { return (pages, found) };
        path = format!("{LIST}?{query}&cursor={cursor}");
    }
}

async fn one_event_among_very_many_is_found_in_bounded_steps(store: Store) {
    const ROWS: i64 = 260_000;
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    acme.server("up", "https://a.example.com").await;
    app.settled().await;
    let code = "CASE WHEN n.seq % 2 = 1 THEN 'conflict' END";
    fill(&app, ROWS, &[("outcome", "CASE WHEN n.seq % 2 = 0 THEN 'allowed' ELSE 'refused' END"), ("code", code)]).await;
    app.services().audit_blocks.build().await.expect("blocks");
    let owner = acme.owner();
    for order in ["desc", "asc"] {
        // In one block alone, or in none: found, or not, at once.
        let (pages, found) = search(&owner, &format!("action=server.create&order={order}")).await;
        assert_eq!((pages, found.len()), (1, 1), "{order}");
        for nothing in
            ["targetId=nothing", "actorId=nothing", "code=gone", "requestId=00000000-0000-0000-0000-000000000000"]
        {
            assert_eq!(search(&owner, &format!("{nothing}&order={order}")).await, (1, vec![]), "{nothing}, {order}");
        }
        // Both are in every block, and no event has both: a page can be empty and yet not be the last.
        let query = format!("outcome=allowed&code=conflict&order={order}");
        assert_eq!(search(&owner, &query).await, (2, vec![]), "{order}");
    }
}

#[tokio::test]
async fn one_event_among_very_many_is_found_in_bounded_steps_on_sqlite() {
    one_event_among_very_many_is_found_in_bounded_steps(Store::Sqlite).await;
}

#[tokio::test]
async fn one_event_among_very_many_is_found_in_bounded_steps_on_postgres() {
    one_event_among_very_many_is_found_in_bounded_steps(Store::Postgres).await;
}

/// What a process left in its journal comes late: three thousand events of the second minute stand behind hours of others.
async fn events_that_come_late_are_found_by_their_time_and_hide_no_others(store: Store) {
    const ROWS: i64 = 33_000;
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    app.settled().await;
    let late = "n.seq BETWEEN 28000 AND 30999";
    let at = format!("e.at + CASE WHEN {late} THEN 100000000 + n.seq ELSE CAST(n.seq AS BIGINT) * 1000000 END");
    let user = format!("CASE WHEN {late} THEN 'late' ELSE 'in time' END");
    fill(&app, ROWS, &[("at", &at), ("tenant_user", &user)]).await;
    app.services().audit_blocks.build().await.expect("blocks");
    let owner = acme.owner();
    let when = async |query: &str| {
        let page = owner.get(&format!("{LIST}?limit=1&{query}")).await.expect(200);
        let event = page["items"].as_array().expect("items").first().unwrap_or_else(|| panic!("nothing for {query}"));
        (event["seq"].as_i64().expect("a number"), event["at"].as_str().expect("a time").to_owned())
    };
    let (first, from) = when("tenantUser=late&order=asc").await;
    assert_eq!(first, 28_000);
    let (_, last) = when("tenantUser=late&order=desc").await;
    let range = format!("from={from}&to={last}");
    assert_eq!(search(&owner, &format!("tenantUser=late&limit=200&{range}")).await.1.len(), 2_999, "but the last one");
    // Those that were written in time: the first since then, and the last before.
    let (next, _) = when(&format!("tenantUser=in time&order=asc&from={from}")).await;
    assert!((100..=160).contains(&next), "{next}");
    let (before, _) = when(&format!("tenantUser=in time&order=desc&to={from}")).await;
    assert_eq!(before, next - 1);
    assert_eq!(when(&format!("order=asc&from={from}&to={last}")).await.0, 28_000);
    assert_eq!(when(&format!("tenantUser=late&order=desc&to={last}")).await.0, 30_998);
}

#[tokio::test]
async fn events_that_come_late_are_found_by_their_time_and_hide_no_others_on_sqlite() {
    events_that_come_late_are_found_by_their_time_and_hide_no_others(Store::Sqlite).await;
}

#[tokio::test]
async fn events_that_come_late_are_found_by_their_time_and_hide_no_others_on_postgres() {
    events_that_come_late_are_found_by_their_time_and_hide_no_others(Store::Postgres).await;
}

/// Blocks change what is looked at, and nothing of what is found: before they are there, and after.
async fn blocks_skip_nothing_that_fits(store: Store) {
    const ROWS: i64 = 6_000;
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    app.settled().await;
    fill(&app, ROWS, &[("tenant_user", "'u' || (n.seq % 701)"), ("at", "e.at + CAST(n.seq AS BIGINT) * 60000000")])
        .await;
    let at = async |seq: i64| {
        let owner = acme.owner();
        let page = owner.get(&format!("{LIST}?tenantUser=u{}&limit=200", seq % 701)).await.expect(200);
        let event = page["items"].as_array().expect("items").iter().find(|event| event["seq"] == seq).cloned();
        event.expect("the event")["at"].as_str().expect("a time").to_owned()
    };
    for built in [false, true] {
        if built {
            assert!(app.services().audit_blocks.build().await.expect("blocks") <= 5, "not twice");
        }
        for (from, to) in [(None, None), (Some(2_000), Some(4_500)), (Some(5_500), None), (None, Some(150))] {
            let mut range = String::new();
            if let Some(from) = from {
                let _ = write!(range, "&from={}", at(from).await);
            }
            if let Some(to) = to {
                let _ = write!(range, "&to={}", at(to).await);
            }
            for user in [7, 100, 700] {
                let mut expected: Vec<i64> =
                    (from.unwrap_or(100)..to.unwrap_or(ROWS + 1)).filter(|seq| seq % 701 == user).collect();
                let ascending = search(&acme.owner(), &format!("tenantUser=u{user}&limit=3&order=asc{range}")).await.1;
                assert_eq!(ascending, expected, "u{user} {range}, blocks: {built}");
                expected.reverse();
                let descending = search(&acme.owner(), &format!("tenantUser=u{user}&limit=3{range}")).await.1;
                assert_eq!(descending, expected, "u{user} {range}, blocks: {built}");
            }
        }
    }
}

#[tokio::test]
async fn blocks_skip_nothing_that_fits_on_sqlite() {
    blocks_skip_nothing_that_fits(Store::Sqlite).await;
}

#[tokio::test]
async fn blocks_skip_nothing_that_fits_on_postgres() {
    blocks_skip_nothing_that_fits(Store::Postgres).await;
}
