//! What insights say of many calls, against sums made from the calls themselves.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use domain::call::{AnswerFault, CallRecord, Label, Outcome};
use domain::id::ServerId;
use domain::insight::Period;
use domain::insight::week::Week;
use domain::key::KeyId;
use domain::tenant::TenantText;
use domain::time::{Clock, SystemClock, Timestamp};
use infra::db::{Batch, SqlInsightFold};
use serde_json::{Value, json};
use support::calls::{call, fold, of_tenant, record};
use support::{App, Organization, Store};

on_both! {
    every_call_is_counted_once_for_each_period_tenant_and_project
    weeks_are_read_in_place_of_their_days
    calls_count_once_however_many_fold_at_once
    the_period_before_is_what_a_period_is_compared_with
    many_small_batches_are_folded_at_once_and_keep_no_other_organization_waiting
}

const DAY: Duration = Duration::from_hours(24);

/// The same numbers again and again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let first = self.below(bound);
        self.below(first + 1)
    }
}

fn key(number: u64) -> KeyId {
    KeyId::from_token_part(&format!("0123456789abc{number:03}")).expect("an id")
}

/// A call of any of these servers, at any time of the last 100 days, more of them lately.
fn any_call(numbers: &mut Numbers, acme: &Organization, servers: &[ServerId], now: Timestamp) -> CallRecord {
    let tool = format!("tool-{}", numbers.skewed(9));
    let age = numbers.skewed(100 * 86_400) * numbers.below(1_000) / 1_000;
    let org = (numbers.below(4) > 0).then(|| format!("org-{}", numbers.skewed(6)));
    let user = (org.is_some() || numbers.below(2) > 0).then(|| format!("user-{}", numbers.skewed(8)));
    let slow = if numbers.below(50) == 0 { 100 } else { 1 };
    let micros = (2_000 + numbers.below(50_000)) * slow;
    let outcome = if numbers.below(20) == 0 { Outcome::Failed("upstream_error".into()) } else { Outcome::Answered };
    let server = servers[usize::try_from(numbers.skewed(servers.len() as u64)).expect("few")];
    let call = CallRecord {
        at: now.before(Duration::from_secs(age)),
        key: key(numbers.skewed(12)),
        server,
        tool: (numbers.below(10) > 0).then(|| Label::of_stored(&tool)),
        outcome,
        fault: (numbers.below(30) == 0).then_some(AnswerFault::Tool),
        first_byte: Some(Duration::from_micros(micros)),
        took: Duration::from_micros(2 * micros),
        ..call(acme, &tool)
    };
    of_tenant(call, org.as_deref(), user.as_deref())
}

fn time(value: &Value) -> Timestamp {
    Timestamp::parse(value.as_str().expect("a time")).expect("a time")
}

/// Compares a view with the calls that it should be of.
fn compare(seen: &Value, all: &[CallRecord], fits: impl Fn(&CallRecord) -> bool, what: &str) {
    let (from, to) = (time(&seen["from"]), time(&seen["to"]));
    let of: Vec<&CallRecord> = all.iter().filter(|call| call.at >= from && call.at < to && fits(call)).collect();
    compare_counts(seen, &of, what);
    let ranked = |name: &str, subject: &dyn Fn(&CallRecord) -> Option<Value>, shown: &dyn Fn(&Value) -> Value| {
        let Some(items) = seen[name]["items"].as_array() else { return };
        let mut expected: BTreeMap<String, Vec<&CallRecord>> = BTreeMap::new();
        for call in &of {
            if let Some(subject) = subject(call) {
                expected.entry(subject.to_string()).or_default().push(call);
            }
        }
        let counts: Vec<u64> = items.iter().map(|item| item["calls"].as_u64().expect("a number")).collect();
        assert!(counts.is_sorted_by(|a, b| a >= b), "{what} {name}: {counts:?}");
        let mut rest: u64 = expected.values().map(|calls| calls.len() as u64).sum();
        for item in items {
            let subject = shown(item).to_string();
            compare_counts(item, &expected[&subject], &format!("{what} {name} {subject}"));
            rest -= item["calls"].as_u64().expect("a number");
        }
        assert_eq!(seen[name]["other"]["calls"], rest, "{what} {name}");
        assert!(rest == 0 || items.len() == 100, "{what} {name}");
        assert_eq!(items.len(), expected.len().min(100), "{what} {name}");
    };
    ranked("servers", &|call| Some(json!([call.server])), &|item| json!([item["serverId"]]));
    ranked("tools", &|call| call.tool.as_ref().map(|tool| json!([call.server, tool.as_str()])), &|item| {
        json!([item["serverId"], item["tool"]])
    });
    ranked("apiKeys", &|call| Some(json!([call.key])), &|item| json!([item["apiKeyId"]]));
    let text = |text: &Option<TenantText>| text.as_ref().map(TenantText::as_str).map(str::to_owned);
    ranked(
        "tenants",
        &|call| {
            let tenant = (text(&call.tenant_org), text(&call.tenant_user));
            (tenant != (None, None)).then(|| json!(tenant))
        },
        &|item| json!([item["tenant"]["org"], item["tenant"]["user"]]),
    );
    let steps: u64 = seen["series"].as_array().expect("steps").iter().filter_map(|step| step["calls"].as_u64()).sum();
    assert_eq!(steps, of.len() as u64, "{what}: the series");
}

fn compare_counts(seen: &Value, of: &[&CallRecord], what: &str) {
    assert_eq!(seen["calls"], of.len(), "{what}");
    assert_eq!(seen["errors"], of.iter().filter(|call| call.went_wrong()).count(), "{what}");
    let mut times: Vec<f64> =
        of.iter().filter_map(|call| call.first_byte).map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    for (name, percent) in [("p50Ms", 50), ("p95Ms", 95), ("p99Ms", 99)] {
        let Some(exact) = times.get((times.len() * percent).div_ceil(100).saturating_sub(1)) else {
            assert!(seen[name].is_null(), "{what}");
            continue;
        };
        let found = seen[name].as_f64().expect("a number");
        assert!((found - exact).abs() <= exact * 0.02, "{what}: {name} is {found} and should be {exact}");
    }
}

async fn every_call_is_counted_once_for_each_period_tenant_and_project(store: Store) {
    let app = App::on(store).await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    acme.switch_insights(true).await;
    globex.switch_insights(true).await;
    let mut servers = Vec::new();
    for slug in ["notes", "files", "mail", "wiki"] {
        let made = acme.server(slug, "https://x.example.com/mcp").await;
        servers.push(made["id"].as_str().expect("an id").parse::<ServerId>().expect("an id"));
    }
    let body = json!({"name": "Half", "slug": "half", "servers": [servers[1], servers[2]]});
    acme.owner().post("/api/v1/projects", &body).await.expect(201);
    let mut numbers = Numbers(42);
    let now = SystemClock.now();
    let mut calls: Vec<CallRecord> = (0..3_000).map(|_| any_call(&mut numbers, &acme, &servers, now)).collect();
    for part in calls.chunks(700) {
        record(app.services(), part.to_vec()).await;
    }
    let half: HashSet<ServerId> = HashSet::from([servers[1], servers[2]]);
    let platform = app.key(&acme.platform().await.token);
    let (org, user) = (
        |call: &CallRecord| call.tenant_org.as_ref().map(ToString::to_string),
        |call: &CallRecord| call.tenant_user.as_ref().map(ToString::to_string),
    );
    let of_org = |call: &CallRecord| org(call).as_deref() == Some("org-1");
    let of_user = |call: &CallRecord| of_org(call) && user(call).as_deref() == Some("user-2");
    let of_half = |call: &CallRecord| half.contains(&call.server);
    let compare_all = async |calls: &[CallRecord]| {
        for period in ["24h", "7d", "30d", "90d"] {
            let see = async |query: &str| {
                let path = format!("/api/v1/insights/overview?top=100&period={period}{query}");
                platform.get(&path).await.expect(200)
            };
            let seen = see("").await;
            assert!(seen["calls"].as_u64() > Some(10), "{seen}");
            compare(&seen, calls, |_| true, period);
            compare(&see("&projectId=half").await, calls, of_half, &format!("{period} of a project"));
            compare(&see("&org_id=org-1").await, calls, of_org, &format!("{period} of a tenant org"));
            let seen = see("&org_id=org-1&user_id=user-2").await;
            assert!(seen["tenants"].is_null());
            compare(&seen, calls, of_user, &format!("{period} of a tenant user"));
            let seen = see("&org_id=org-1&projectId=half").await;
            assert!(seen["apiKeys"].is_null() && seen["tenants"].is_null(), "they are not known of both");
            compare(&seen, calls, |call| of_org(call) && of_half(call), &format!("{period} of both"));
            let foreign = globex.owner().get(&format!("/api/v1/insights/overview?period={period}")).await.expect(200);
            assert_eq!(foreign["calls"], 0, "another organization's calls are not there");
        }
    };
    compare_all(&calls).await;
    assert!(add_up(&app).await > 10, "weeks of the organization and of each server");
    compare_all(&calls).await;
    // Calls that come late change days that are added up.
    let late = (0..300).map(|_| any_call(&mut numbers, &acme, &servers, now));
    let late: Vec<CallRecord> = late.map(|call| CallRecord { at: now.before(33 * DAY), ..call }).collect();
    record(app.services(), late.clone()).await;
    calls.extend(late);
    compare_all(&calls).await;
    assert!(add_up(&app).await > 10);
    compare_all(&calls).await;
}

/// Adds up the weeks that are over, as Keyrack does by itself; how many there are now.
async fn add_up(app: &App) -> i64 {
    while !app.services().insight_fold.add_up_weeks(SystemClock.now()).await.expect("added up").1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    super::calls_store::rows(&app.sql().await, "insight_weeks", "1 = 1").await
}

/// What cannot be read is not read: of ninety days most are in weeks, and those that are not are read as before.
async fn weeks_are_read_in_place_of_their_days(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    acme.switch_insights(true).await;
    let server = acme.server("notes", "https://x.example.com/mcp").await;
    let server: ServerId = server["id"].as_str().expect("an id").parse().expect("an id");
    let now = SystemClock.now();
    // Also of a server that is not registered any more, and has no weeks.
    let (of_notes, of_none) = (CallRecord { server, ..call(&acme, "look") }, call(&acme, "look"));
    let at = |call: &CallRecord, days| CallRecord { at: now.before(days * DAY), ..call.clone() };
    let calls = (0..100).flat_map(|days| [at(&of_notes, days), at(&of_none, days)]).collect();
    acme.record(calls).await;
    let body = json!({"name": "Notes", "slug": "notes", "servers": [server]});
    acme.owner().post("/api/v1/projects", &body).await.expect(201);
    let see = async |query: &str| {
        let seen = acme.owner().get(&format!("/api/v1/insights/overview?{query}")).await.expect(200);
        [&seen["calls"], &seen["previous"]["calls"]].map(|calls| calls.as_u64().expect("a number"))
    };
    assert_eq!(see("period=90d").await, [180, 20]);
    assert!(add_up(&app).await >= 2 * 12, "twelve weeks and more of the organization and of a server");
    // The days that weeks stand for can be read no more.
    let first = Week::within(Period::Quarter.until(now)).next().expect("a week").begins().as_micros();
    let (last, broken) =
        (Week::of(now).begins().as_micros(), ["x'ff'", "'\\xff'"][usize::from(store == Store::Postgres)]);
    let days = format!("kind = 1 AND begins >= {first} AND begins < {last}");
    app.run_sql(&format!("UPDATE insight_slices SET content = {broken} WHERE {days}")).await;
    assert_eq!(see("period=90d").await, [180, 20]);
    assert_eq!(see("period=90d&projectId=notes").await, [90, 10]);
}

async fn calls_count_once_however_many_fold_at_once(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    acme.switch_insights(true).await;
    let now = SystemClock.now();
    let mut numbers = Numbers(7);
    let mut folders = Vec::new();
    for _ in 0..4 {
        let fold = SqlInsightFold::new(app.services().database.clone());
        let organization = acme.id.parse().expect("an id");
        folders.push(tokio::spawn(async move {
            let (mut calls, mut idle) = (0, 0);
            while idle < 40 {
                match fold.fold_batch(organization, now.before(DAY)).await.expect("folded") {
                    Batch::Folded { calls: some, .. } => calls += some,
                    Batch::Overtaken => {}
                    Batch::Empty => {
                        idle += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            calls
        }));
    }
    let server = [ServerId::new()];
    for _ in 0..20 {
        for _ in 0..30 {
            let call = any_call(&mut numbers, &acme, &server, now);
            app.services().calls.add(CallRecord { at: now, ..call });
        }
        app.settled().await;
    }
    for folder in folders {
        folder.await.expect("it ends");
    }
    fold(app.services()).await;
    let seen = acme.owner().get("/api/v1/insights/overview").await.expect(200);
    assert_eq!(seen["calls"], 600);
    assert_eq!(seen["servers"]["items"][0]["calls"], 600);
}

async fn the_period_before_is_what_a_period_is_compared_with(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    acme.switch_insights(true).await;
    let now = SystemClock.now();
    let days = [0, 1, 6, 7, 8, 9, 13, 14];
    let calls = days.map(|days| CallRecord { at: now.before(days * DAY), ..call(&acme, "look") });
    acme.record(calls.to_vec()).await;
    let seen = acme.owner().get("/api/v1/insights/overview?period=7d").await.expect(200);
    assert_eq!((&seen["calls"], &seen["previous"]["calls"]), (&json!(3), &json!(4)));
}

/// More rows than are looked at for one batch, of an organization that has its turn before another.
async fn many_small_batches_are_folded_at_once_and_keep_no_other_organization_waiting(store: Store) {
    let app = App::on(store).await;
    let mut organizations = [app.organization("acme").await, app.organization("globex").await];
    organizations.sort_by_key(|organization| organization.id.clone());
    let rows = &app.services().audit_rows;
    for _ in 0..600 {
        rows.append(&[], &[call(&organizations[0], "look")]).await.expect("written");
    }
    rows.append(&[], &[call(&organizations[1], "look")]).await.expect("written");
    let fold = &app.services().insight_fold;
    let organization = organizations[0].id.parse().expect("an id");
    let before = fold.waiting().await.expect("an answer");
    let first = fold.fold_batch(organization, SystemClock.now().before(DAY)).await.expect("folded");
    // Keyrack folds by itself as well, and may have taken some.
    if before == 601
        && let Batch::Folded { calls, more } = first
    {
        assert_eq!((calls, more), (512, true), "what is left is known");
    }
    infra::insights::once(fold, SystemClock.now()).await.expect("folded");
    let began = Instant::now();
    while fold.waiting().await.expect("an answer") > 0 {
        assert!(began.elapsed() < Duration::from_secs(2), "some of both are left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An intake that cannot be read stops nobody but its organization.
#[tokio::test]
async fn what_cannot_be_folded_is_left_and_others_are_folded() {
    let app = App::spawn().await;
    let organizations = [app.organization("acme").await, app.organization("globex").await];
    for organization in &organizations {
        organization.switch_insights(true).await;
        app.services().calls.add(call(organization, "look"));
    }
    // No fold is between the two statements: the rows are broken as they are written.
    app.run_sql("CREATE TRIGGER breaking AFTER INSERT ON insight_intake BEGIN UPDATE insight_intake SET packed = x'ff' \
                 WHERE organization_id = NEW.organization_id AND organization_id = (SELECT MIN(id) FROM organizations); END")
        .await;
    app.settled().await;
    for organization in &organizations {
        app.services().calls.add(call(organization, "look"));
    }
    app.settled().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let counts = loop {
        // Keyrack folds by itself as well, and may be at it.
        let folded = infra::insights::once(&app.services().insight_fold, SystemClock.now()).await;
        assert!(folded.is_err(), "it says so");
        let mut counts = Vec::new();
        for organization in &organizations {
            let seen = organization.owner().get("/api/v1/insights/overview").await.expect(200);
            counts.push(seen["calls"].as_u64().expect("a number"));
        }
        if counts.contains(&2) {
            break counts;
        }
        assert!(Instant::now() < deadline, "{counts:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(counts.iter().min() < Some(&2), "{counts:?}");
    assert!(app.services().insight_fold.waiting().await.expect("an answer") > 0, "what is broken is not thrown away");
}
