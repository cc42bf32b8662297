//! Call records in a store that does not keep up, and how long they are kept.

use std::time::{Duration, Instant};

use domain::access::SystemScope;
use domain::call::CallRecord;
use domain::call::port::CallPosition;
use domain::id::{OrganizationId, ServerId};
use domain::key::KeyId;
use domain::page::{Limit, PageRequest};
use domain::time::{Clock, SystemClock};
use domain::usage::port::UsageStore;
use domain::usage::{Hour, Slot, Tally};
use infra::calls::ROOM;
use infra::db::SqlPurge;
use infra::purge::{Retention, once};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use serde_json::json;
use support::calls::fold;
use support::{App, Store, Upstream};
use uuid::Uuid;

/// How many records of calls fit a condition.
pub async fn count(db: &DatabaseConnection, condition: &str) -> i64 {
    rows(db, "call_records", condition).await
}

pub async fn rows(db: &DatabaseConnection, table: &str, condition: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE {condition}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("an answer");
    row.expect("a row").try_get("", "n").expect("a number")
}

/// A call that nobody made.
fn filler(organization: OrganizationId) -> CallRecord {
    CallRecord {
        at: SystemClock.now(),
        request_id: Uuid::now_v7(),
        organization,
        key: KeyId::from_token_part("0123456789abcdef").expect("an id"),
        server: ServerId::new(),
        tenant_org: None,
        tenant_user: None,
        kind: domain::call::CallKind::Request,
        method: Some(domain::call::Method::ToolsCall),
        tool: Some(domain::call::Label::of_stored("filler")),
        version: None,
        session: None,
        outcome: domain::call::Outcome::Answered,
        status: Some(200),
        fault: None,
        request_bytes: 1,
        response_bytes: 1,
        first_byte: Some(Duration::from_millis(1)),
        took: Duration::from_millis(1),
        telemetry: None,
    }
}

/// A store that takes no writes: calls wait before they are sent anywhere, then get 503, and the record of every call that
/// was made is there afterwards.
async fn a_locked_store_loses_no_record(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let caller = app.key(&acme.solo().await.token);
    caller.mcp("up", "", "ping", json!({})).await.expect(200);
    app.settled().await;
    let (db, lock) = (app.sql().await, app.sql().await);
    let lock = match store {
        Store::Sqlite => {
            lock.execute_unprepared("BEGIN IMMEDIATE").await.expect("a lock");
            Lock::Sqlite(lock)
        }
        Store::Postgres => {
            let transaction = lock.begin().await.expect("a transaction");
            let sql = "LOCK TABLE call_records IN ACCESS EXCLUSIVE MODE";
            transaction.execute_unprepared(sql).await.expect("a lock");
            Lock::Postgres(transaction)
        }
    };
    // Calls go on until too many records wait.
    caller.mcp("up", "", "ping", json!({})).await.expect(200);
    let mut fillers = 0;
    while app.services().calls.has_room() {
        app.services().calls.add(filler(acme.id.parse().expect("an id")));
        fillers += 1;
    }
    assert_eq!(fillers, ROOM - 1, "the record of the call before waits too");
    let began = Instant::now();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let caller = caller.clone();
        waiting.push(tokio::spawn(async move { caller.mcp("up", "", "ping", json!({})).await }));
    }
    for answer in waiting {
        let answer = answer.await.expect("an answer");
        answer.refused(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(answer.json()["id"], 1);
    }
    assert!(began.elapsed() >= Duration::from_secs(4), "they waited for {:?}", began.elapsed());
    assert_eq!(upstream.seen().len(), 2, "none of them was sent");

    // Who waits when the store comes back is served.
    let late = caller.clone();
    let late = tokio::spawn(async move { late.mcp("up", "", "ping", json!({})).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    lock.release().await;
    late.await.expect("an answer").expect(200);
    let mut tries = 0;
    while app.services().audit.settle().await.is_err() {
        tries += 1;
        assert!(tries < 20, "the log catches up");
    }
    assert_eq!(count(&db, "method = 'ping'").await, 3);
    assert_eq!(count(&db, "tool = 'filler'").await, i64::try_from(fillers).expect("a number"));
    assert_eq!(rows(&db, "audit_events", "action = 'mcp.forward' AND code = 'unavailable'").await, 8);
}

enum Lock {
    Sqlite(DatabaseConnection),
    Postgres(sea_orm::DatabaseTransaction),
}

impl Lock {
    async fn release(self) {
        match self {
            Self::Sqlite(connection) => {
                connection.execute_unprepared("ROLLBACK").await.expect("the lock is let go");
            }
            Self::Postgres(transaction) => transaction.rollback().await.expect("the lock is let go"),
        }
    }
}

#[tokio::test]
async fn a_locked_store_loses_no_record_on_sqlite() {
    a_locked_store_loses_no_record(Store::Sqlite).await;
}

#[tokio::test]
async fn a_locked_store_loses_no_record_on_postgres() {
    a_locked_store_loses_no_record(Store::Postgres).await;
}

#[tokio::test]
async fn a_page_of_calls_is_read_in_the_order_of_its_index() {
    let app = App::spawn().await;
    let scope = SystemScope::new(OrganizationId::new(), "nothing is read but the plan");
    let position = CallPosition { at: SystemClock.now(), request_id: Uuid::now_v7() };
    for after in [None, Some(position)] {
        let page = PageRequest { limit: Limit::default(), after };
        let plan = app.services().database.explain_calls(&scope, &page).await.expect("a plan");
        let by_key = |step: &String| step.contains("SEARCH") && step.contains("PRIMARY KEY");
        assert!(plan.len() == 1 && plan.iter().all(by_key), "{plan:?}");
    }
}

#[tokio::test]
async fn a_record_that_is_there_already_is_not_written_again_and_stops_nobody() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let call = filler(acme.id.parse().expect("an id"));
        for _ in 0..3 {
            app.services().calls.add(call.clone());
            app.settled().await;
        }
        assert_eq!(count(&app.sql().await, "1 = 1").await, 1);
        // Nor is it left for insights again, whether it is folded by then or not.
        fold(app.services()).await;
        app.services().calls.add(call.clone());
        app.settled().await;
        fold(app.services()).await;
        acme.switch_insights(true).await;
        assert_eq!(acme.owner().get("/api/v1/insights/overview").await.expect(200)["calls"], 1);
    }
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes_and_the_rest_stays() {
    const DAY: Duration = Duration::from_hours(24);
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let mut organizations = [app.organization("acme").await, app.organization("globex").await]
            .map(|organization| organization.id.parse::<OrganizationId>().expect("an id"));
        organizations.sort();
        let now = SystemClock.now();
        let later = now.after(90 * DAY);
        // More than go by one statement, of the first; a few of the second, and some that are kept.
        for (organization, old, young) in [(organizations[0], 2_500, 3), (organizations[1], 2, 1)] {
            for number in 0..old + young {
                let age = if number < old { DAY } else { Duration::ZERO };
                let at = later.before(90 * DAY + age).after(Duration::from_micros(number));
                app.services().calls.add(CallRecord { at, ..filler(organization) });
            }
            let slot = |days: u32| Slot {
                organization,
                key: filler(organization).key,
                server: ServerId::new(),
                hour: Hour::of(later.before(days * DAY)),
            };
            let tally = Tally { calls: 1, ..Tally::default() };
            let counted = [399, 400, 401].map(|days| (slot(days), tally.clone()));
            app.services().usage_store.add(&counted).await.expect("kept");
        }
        app.settled().await;
        let purge = SqlPurge::new(app.services().database.clone());
        let retention = Retention { calls: 90 * DAY, usage: 400 * DAY, runs: 90 * DAY, insights: 400 * DAY };
        let cleared = once(&purge, retention, later).await.expect("cleared out");
        assert_eq!((cleared.calls, cleared.usage), (2_502, 2));
        let db = app.sql().await;
        assert_eq!(count(&db, "1 = 1").await, 4);
        assert_eq!(count(&db, &format!("at < {}", now.as_micros())).await, 0);
        assert_eq!(rows(&db, "usage_buckets", "1 = 1").await, 4, "an hour that is not over yet is kept");
        let again = once(&purge, retention, later).await.expect("cleared out");
        assert_eq!((again.calls, again.usage), (0, 0));
    }
}
