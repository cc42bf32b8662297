//! What keys cost when there are very many in one database: a remembered key, one that is not, a page of a list, memory,
//! and pages of an audit log that is as long.
//!
//! `tests/bench/million_keys` runs it and writes the result down. `KEYRACK_TEST_KEYS` is the number of keys, a million when
//! not given, `KEYRACK_TEST_AUDIT_ROWS` that of rows of the audit log, none when not given, and `KEYRACK_TEST_STORE` where they
//! are: `sqlite` or `postgres`. The last line on standard output is the result as JSON.

#![expect(clippy::cast_precision_loss, reason = "samples are few")]

mod audit_rows;

use std::hint::black_box;
use std::time::{Duration, Instant};

use api::extract::decode_cursor;
use api::v1::api_keys::list::{cursor, position};
use domain::key::TokenKeys;
use domain::key::port::KeyPosition;
use domain::key::verify::Recalled;
use domain::root::RootSecret;
use domain::time::Timestamp;
use mimalloc::MiMalloc;
use serde_json::{Value, json};
use support::many_keys::{add_copies, add_with_tokens};
use support::{Actor, App, AppOptions, Organization, Store};

// As in the product.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ROOT: &str = "the root secret of very many keys, long enough";
/// `KEYRACK_CACHE_ENTRIES`
const REMEMBERED: usize = 5_000;
/// Keys that are used: many times what is remembered.
const USED: usize = 60_000;
const FEW: usize = 1_000;
/// Keys that one round of measuring verifies.
const SAMPLE: usize = 500;
const ROUNDS: usize = 400;
const PAGES: usize = 40;

#[tokio::main]
async fn main() {
    support::logs::keep_nothing();
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let many = number("KEYRACK_TEST_KEYS").map_or(1_000_000, |many| usize::try_from(many).expect("it fits"));
    let audit_rows = number("KEYRACK_TEST_AUDIT_ROWS").unwrap_or(0);
    let store = match std::env::var("KEYRACK_TEST_STORE").as_deref() {
        Ok("postgres") => Store::Postgres,
        _ => Store::Sqlite,
    };
    let settings = vec![
        ("signup", "open".to_owned()),
        ("root-secret", ROOT.to_owned()),
        ("cache-entries", REMEMBERED.to_string()),
    ];
    let app = App::with(AppOptions { store, settings }).await;
    let mut acme = app.organization("acme").await;
    app.make_instance_admin("owner@acme.example.com").await;
    acme.solo().await;
    let keys = TokenKeys::derive(&RootSecret::new(ROOT).expect("long enough"));

    let sample = add_with_tokens(&app, &keys, 2 * SAMPLE).await;
    let few = measure(&app, &acme, &sample, FEW).await;
    let began = Instant::now();
    add_copies(&app, many.saturating_sub(FEW + USED)).await;
    let used = add_with_tokens(&app, &keys, USED).await;
    eprintln!("{many} keys after {:.0} s", began.elapsed().as_secs_f64());
    let rare = if audit_rows > 0 { Some(audit_rows::fill(&app, &acme, audit_rows).await) } else { None };
    settle_statistics(&app, store).await;
    acme.renew_session().await;
    let lots = measure(&app, &acme, &used[..2 * SAMPLE], many).await;
    let audit = match &rare {
        Some(rare) => audit_rows::pages(&acme, rare).await,
        None => vec![],
    };
    let memory = memory(&app, &used).await;
    println!("{}", json!({"few": few, "many": lots, "memory": memory, "audit": {"rows": audit_rows, "pages": audit}}));
}

/// What PostgreSQL does by itself within a minute of such a change. SQLite's plans need none.
async fn settle_statistics(app: &App, store: Store) {
    if store == Store::Postgres {
        app.run_sql("ANALYZE").await;
    }
}

async fn measure(app: &App, acme: &Organization, tokens: &[String], keys: usize) -> Value {
    let verifier = &app.services().verifier;
    let (lookups, mut cold) = (app.key_lookups(), Vec::with_capacity(tokens.len()));
    for token in tokens {
        let began = Instant::now();
        verifier.verify(token).await.expect("a valid key");
        cold.push(began.elapsed());
    }
    let lookups = app.key_lookups() - lookups;
    let warm = &tokens[tokens.len() - SAMPLE..];
    let mut cached = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for token in warm {
            let recalled = verifier.verify_cached(black_box(token)).expect("a valid key");
            assert!(matches!(recalled, Recalled::Verified(_)), "a key was forgotten");
            black_box(recalled);
        }
        cached.push(began.elapsed());
    }
    let per_key = median(&mut cached).as_secs_f64() * 1e9 / SAMPLE as f64;
    json!({
        "keys": keys,
        "cachedNs": per_key,
        "coldUs": micros(median(&mut cold)),
        "coldP99Us": micros(percentile(&mut cold, 99)),
        "coldKeys": tokens.len(),
        "coldLookups": lookups,
        "pages": pages(acme, keys).await,
    })
}

/// Every listing, at its beginning and in its middle.
async fn pages(acme: &Organization, keys: usize) -> Vec<Value> {
    let owner = acme.owner();
    let newest = owner.get("/api/v1/api-keys?limit=1").await.expect(200);
    let newest =
        newest["nextCursor"].as_str().and_then(decode_cursor).as_deref().and_then(position).expect("a position");
    let middle = cursor(KeyPosition {
        // Copies stand a microsecond apart.
        created_at: Timestamp::from_micros(
            newest.created_at.as_micros() - i64::try_from(keys / 2).expect("not so many"),
        ),
        id: newest.id,
    });
    let mut measured = Vec::new();
    for (name, path) in [
        ("own", "/api/v1/api-keys?"),
        ("organization", "/api/v1/api-keys?scope=organization&"),
        ("instance", "/api/v1/admin/api-keys?"),
    ] {
        for (place, cursor) in [("first", String::new()), ("middle", format!("&cursor={middle}"))] {
            for limit in [50, 200] {
                let took = page(&owner, &format!("{path}limit={limit}{cursor}"), Some(limit)).await;
                measured
                    .push(json!({"list": name, "place": place, "limit": limit, "medianMs": took.0, "worstMs": took.1}));
            }
        }
    }
    measured
}

/// In milliseconds, the median and the worst. It has as many items as are expected, if any number is.
async fn page(owner: &Actor, path: &str, expected: Option<usize>) -> (f64, f64) {
    let mut took = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let began = Instant::now();
        let answer = owner.get(path).await;
        took.push(began.elapsed());
        let items = answer.expect(200)["items"].as_array().map(Vec::len);
        assert!(expected.is_none() || items == expected, "{path}: {items:?}");
    }
    (micros(median(&mut took)) / 1000.0, micros(percentile(&mut took, 100)) / 1000.0)
}

/// What memory does while many more keys are used than it may remember.
async fn memory(app: &App, tokens: &[String]) -> Value {
    let verify = async |tokens: &[String]| {
        for token in tokens {
            app.services().verifier.verify(token).await.expect("a valid key");
        }
    };
    let (first, rest) = tokens.split_at(2 * REMEMBERED);
    verify(first).await;
    let before = resident_kib();
    verify(rest).await;
    let after = resident_kib();
    json!({
        "setting": REMEMBERED,
        "remembered": app.services().key_lookups.remembered(),
        "used": tokens.len(),
        "fullKib": before,
        "afterKib": after,
    })
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn median(times: &mut [Duration]) -> Duration {
    percentile(times, 50)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
