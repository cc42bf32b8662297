//! What the views of insights cost over very many call records.
//!
//! `tests/bench/insights` runs it and writes the result down. Records go in through the audit log's writer and are folded as
//! they always are; only their times are made up, so that there are ninety days of them. `KEYRACK_TEST_CALLS` is how many
//! there are, 100,000 when not given, and `KEYRACK_TEST_STORE` where: `sqlite` or `postgres`. The last line on standard output is the result as JSON.

#![expect(clippy::cast_precision_loss, reason = "times are short")]

use std::time::{Duration, Instant};

use domain::call::{CallRecord, Label, Outcome, SessionTag};
use domain::id::ServerId;
use domain::key::KeyId;
use domain::time::{Clock, SystemClock, Timestamp};
use mimalloc::MiMalloc;
use serde_json::{Value, json};
use support::calls::{call, of_tenant, saying};
use support::{Actor, App, Organization, Store};
use uuid::Uuid;

// As in the product.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SERVERS: u64 = 40;
const TOOLS_OF_A_SERVER: u64 = 25;
const KEYS: u64 = 2_000;
const ORGS: u64 = 10_000;
const USERS_OF_AN_ORG: u64 = 20;
/// One of so many calls says what the person wants.
const SAYING: u64 = 5;
/// Calls of one transaction, which is what the writer takes at most.
const BATCH: u64 = 4_096;
/// Batches between two folds: what 6,500 calls a second leave in five seconds.
const FOLDED_AT_ONCE: u64 = 8;
/// Sessions that are under way at once, and one of so many calls is a session's last.
const SESSIONS: usize = 400;
const LAST: u64 = 12;
/// How often each view is asked for.
const ROUNDS: usize = 15;
const DAY: Duration = Duration::from_hours(24);
const DAYS: u32 = 90;

const VERBS: [&str; 20] = [
    "find",
    "create",
    "cancel",
    "update",
    "export",
    "compare",
    "translate",
    "schedule",
    "approve",
    "archive",
    "merge",
    "review",
    "forward",
    "rename",
    "estimate",
    "publish",
    "restore",
    "verify",
    "import",
    "summarize",
];
const THINGS: [&str; 40] = [
    "invoice",
    "ticket",
    "meeting",
    "report",
    "contract",
    "shipment",
    "customer record",
    "refund",
    "branch",
    "deployment",
    "calendar entry",
    "draft",
    "budget",
    "campaign",
    "dashboard",
    "password policy",
    "server log",
    "expense",
    "holiday",
    "purchase order",
    "warranty",
    "subscription",
    "translation",
    "survey",
    "interview",
    "onboarding checklist",
    "release note",
    "test run",
    "backup",
    "certificate",
    "domain name",
    "price list",
    "stock level",
    "delivery",
    "payroll",
    "timesheet",
    "training",
    "audit finding",
    "risk",
    "supplier",
];

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// A few numbers very often, and most of them seldom: about Zipf's law.
    fn skewed(&mut self, bound: u64) -> u64 {
        let exponent = self.below(1 << 20) as f64 / f64::from(1 << 20);
        let number = ((bound as f64 + 1.0).powf(exponent) - 1.0).max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between nought and the bound")]
        let number = number as u64;
        number.min(bound - 1)
    }
}

#[tokio::main]
async fn main() {
    support::logs::keep_nothing();
    let calls: u64 = std::env::var("KEYRACK_TEST_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let store = match std::env::var("KEYRACK_TEST_STORE").as_deref() {
        Ok("postgres") => Store::Postgres,
        _ => Store::Sqlite,
    };
    println!("{}", measure(store, calls).await);
}

async fn measure(store: Store, calls: u64) -> Value {
    let mut app = App::on(store).await;
    let acme = app.organization("acme").await;
    acme.switch_insights(true).await;
    let mut servers = Vec::new();
    for number in 0..SERVERS {
        let made = acme.server(&format!("server-{number}"), "https://x.example.com/mcp").await;
        servers.push(made["id"].as_str().expect("an id").parse::<ServerId>().expect("an id"));
    }
    let members: Vec<&ServerId> = servers.iter().take(10).collect();
    let body = json!({"name": "Ten", "slug": "ten", "servers": members});
    acme.owner().post("/api/v1/projects", &body).await.expect(201);
    // Now: the owner's session is over before ten million calls are written.
    let platform = app.key(&acme.platform().await.token);
    let filled = fill(&app, &acme, &servers, calls).await;
    check(&platform, calls).await;
    let views = views(&platform).await;
    app.stop().await;
    json!({"filled": filled, "views": views})
}

/// Writes and folds.
async fn fill(app: &App, acme: &Organization, servers: &[ServerId], calls: u64) -> Value {
    let (mut numbers, end) = (Numbers(0x2026_1121), SystemClock.now());
    let step = Duration::from_micros(u64::try_from((DAY * DAYS).as_micros()).expect("small") / calls);
    let template = call(acme, "x");
    let mut under_way: Vec<CallRecord> = (0..SESSIONS).map(|_| session(&mut numbers, &template, servers)).collect();
    let (mut written, mut folding) = (Duration::ZERO, Duration::ZERO);
    let mut at = end.before(step * u32::try_from(calls).expect("not so many"));
    let (mut left, mut batches) = (calls, 0);
    while left > 0 {
        let batch: Vec<CallRecord> = (0..left.min(BATCH))
            .map(|_| {
                at = at.after(step);
                let place = usize::try_from(numbers.below(SESSIONS as u64)).expect("few");
                let made = any_call(&mut numbers, &under_way[place], at);
                if numbers.below(LAST) == 0 {
                    under_way[place] = session(&mut numbers, &template, servers);
                }
                made
            })
            .collect();
        left -= batch.len() as u64;
        let began = Instant::now();
        // As the audit log's writer does.
        while let Err(fault) = app.services().audit_rows.append(&[], &batch).await {
            eprintln!("trying again: {fault}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        written += began.elapsed();
        batches += 1;
        if batches % FOLDED_AT_ONCE == 0 || left == 0 {
            let began = Instant::now();
            fold(app).await;
            folding += began.elapsed();
        }
        if (calls - left) % (BATCH * 100) < BATCH {
            eprintln!("{} of {calls}: written in {written:.0?}, folded in {folding:.0?}", calls - left);
        }
    }
    let began = Instant::now();
    while !app.services().insight_fold.add_up_weeks(SystemClock.now()).await.expect("weeks are added up").1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    folding += began.elapsed();
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / calls as f64;
    json!({"writtenUs": micros(written), "foldedUs": micros(folding)})
}

/// Folds until nothing waits, and tries again, as the product does. The node's own folding goes on beside it: what that is
/// at is left to it by one pass, and is not folded yet.
async fn fold(app: &App) {
    let fold = &app.services().insight_fold;
    loop {
        match infra::insights::once(fold, SystemClock.now()).await {
            Ok(_) if fold.waiting().await.is_ok_and(|batches| batches == 0) => return,
            Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(fault) => {
                eprintln!("trying again: {fault}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Views of calls that are not folded yet are quick and say nothing: each period has its share of all calls.
async fn check(platform: &Actor, calls: u64) {
    for (period, days, steps) in [("24h", 1, 24), ("7d", 7, 7), ("30d", 30, 30), ("90d", 90, 90)] {
        let seen = platform.get(&format!("/api/v1/insights/overview?period={period}")).await.expect(200);
        let told = seen["calls"].as_u64().expect("calls");
        let share = calls * days / u64::from(DAYS);
        // A period's last hour or day is under way, and the newest call is as old as the filling took.
        let (least, most) = (share * (steps - 2) / steps, share + share / 20 + 1);
        eprintln!("{period}: {told} calls of about {share}");
        assert!((least..=most).contains(&told), "{period}: {told} calls, where there are about {share}");
    }
}

/// What the calls of a session have in common. Two of three have a tag.
fn session(numbers: &mut Numbers, template: &CallRecord, servers: &[ServerId]) -> CallRecord {
    let server = usize::try_from(numbers.skewed(SERVERS)).expect("few");
    let (org, user) = (format!("org-{}", numbers.skewed(ORGS)), format!("user-{}", numbers.skewed(USERS_OF_AN_ORG)));
    let tag = i64::try_from(numbers.below(1 << 60)).expect("small");
    let begun = CallRecord {
        key: KeyId::from_token_part(&format!("0123456789a{:05}", numbers.skewed(KEYS))).expect("an id"),
        server: servers[server],
        session: (numbers.below(3) > 0).then(|| SessionTag::of_stored(tag)),
        ..template.clone()
    };
    of_tenant(begun, Some(&org), Some(&user))
}

fn any_call(numbers: &mut Numbers, session: &CallRecord, at: Timestamp) -> CallRecord {
    let slow = if numbers.below(40) == 0 { 50 } else { 1 };
    let took = Duration::from_micros((1_500 + numbers.below(60_000)) * slow);
    let failed = numbers.below(25) == 0;
    let made = CallRecord {
        at,
        request_id: Uuid::now_v7(),
        tool: Some(Label::of_stored(&format!("tool_{}", numbers.skewed(TOOLS_OF_A_SERVER)))),
        outcome: if failed { Outcome::Failed("upstream_error".into()) } else { Outcome::Answered },
        first_byte: Some(took),
        took,
        ..session.clone()
    };
    if numbers.below(SAYING) > 0 {
        return made;
    }
    let verb = VERBS[usize::try_from(numbers.skewed(20)).expect("few")];
    let thing = THINGS[usize::try_from(numbers.skewed(40)).expect("few")];
    let intent = match numbers.below(3) {
        0 => format!("{verb} the {thing}"),
        1 => format!("I want to {verb} a {thing} for the customer"),
        _ => format!("{verb} {thing} {}", numbers.below(100_000)),
    };
    saying(made, &intent, (numbers.below(12) == 0).then_some("it takes too long"))
}

async fn views(platform: &Actor) -> Vec<Value> {
    let id = async |area: &str| {
        let list = platform.get(&format!("/api/v1/insights/{area}?limit=1&period=90d")).await.expect(200);
        list["items"][0]["id"].as_str().expect("an id").to_owned()
    };
    eprintln!("measuring");
    let (topic, session) = (id("topics").await, id("sessions").await);
    let mut paths = Vec::new();
    for period in ["24h", "7d", "30d", "90d"] {
        for (name, query) in [
            ("", ""),
            (", a tenant user", "&org_id=org-0&user_id=user-0"),
            (", a tenant org", "&org_id=org-0"),
            (", a project of 10 servers", "&projectId=ten"),
        ] {
            paths.push((format!("overview, {period}{name}"), format!("overview?top=50&period={period}{query}")));
            paths.push((format!("topics, {period}{name}"), format!("topics?period={period}{query}")));
        }
        paths.push((format!("a topic, {period}"), format!("topics/{topic}?period={period}")));
        paths.push((format!("sessions, {period}"), format!("sessions?period={period}&limit=200")));
    }
    paths.push((
        "sessions, 90d, a tenant user".to_owned(),
        "sessions?period=90d&org_id=org-0&user_id=user-0".to_owned(),
    ));
    paths.push(("sessions, 90d, a tenant org".to_owned(), "sessions?period=90d&org_id=org-0".to_owned()));
    paths.push(("sessions, 90d, a project".to_owned(), "sessions?period=90d&projectId=ten".to_owned()));
    paths.push(("a session and its calls".to_owned(), format!("sessions/{session}?limit=200")));
    let mut seen = Vec::new();
    for (name, path) in paths {
        let (median, worst) = timed(platform, &path).await;
        eprintln!("{name}: {median:.1} ms, at most {worst:.1} ms");
        seen.push(json!({"view": name, "medianMs": median, "worstMs": worst}));
    }
    seen
}

/// In milliseconds, to the last byte: the median and the worst.
async fn timed(actor: &Actor, path: &str) -> (f64, f64) {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let answer = actor.get(&format!("/api/v1/insights/{path}")).await;
        took.push(began.elapsed());
        answer.expect(200);
    }
    took.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    (ms(took[ROUNDS / 2]), ms(took[ROUNDS - 1]))
}
