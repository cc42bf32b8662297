//! Limits that nodes share by Redis: the same whatever the number of nodes, and what holds while Redis is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::ServerId;
use domain::key::RateLimit;
use domain::limit::window::SlidingWindow;
use domain::limit::{Limited, RateLimiter, Verdict};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use infra::limit::{SharedLimiter, shared};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use support::{App, AppOptions, Redis, Store, Upstream, postgres};

fn limit(requests: u32, per_seconds: u32) -> RateLimit {
    RateLimit::new(requests, per_seconds).expect("a limit")
}

fn limiter(redis: &Redis) -> Arc<SharedLimiter> {
    Arc::new(SharedLimiter::new(&redis.url.parse().expect("an address"), 1_000).expect("a limiter"))
}

fn within(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Within(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_together_take_what_the_limit_allows_and_no_more() {
    let redis = Redis::start().await;
    let nodes = [limiter(&redis), limiter(&redis), limiter(&redis)];
    for requests in [1, 64, 65, 500] {
        let (limit, server) = (limit(requests, 3_600), Limited::Server(ServerId::new()));
        let callers = (0..1_000).map(|caller| {
            let node = Arc::clone(&nodes[caller % nodes.len()]);
            tokio::spawn(async move { node.take(server, limit).await.expect("an answer") })
        });
        let verdicts: Vec<Verdict> =
            join_all(callers).await.into_iter().map(|verdict| verdict.expect("no panic")).collect();
        let taken = verdicts.iter().filter(|verdict| within(verdict)).count();
        assert_eq!(taken, requests as usize, "of 1,000 callers at three nodes");
    }
}

/// The same over HTTP, from key to server: what reaches the server is what the limit allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_at_three_nodes_get_as_many_calls_through_as_the_key_may() {
    const ALLOWED: usize = 137;
    let (redis, upstream, url) = (Redis::start().await, Upstream::start(), postgres::database().await);
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        let settings = vec![
            ("signup", "open".to_owned()),
            ("node-name", name.to_owned()),
            ("database-url", url.clone()),
            ("redis-url", redis.url.clone()),
        ];
        nodes.push(App::with(AppOptions { store: Store::Postgres, settings }).await);
    }
    let acme = nodes[0].organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let key = acme.key(json!({"rateLimit": {"requests": ALLOWED, "perSeconds": 3600}})).await;
    let callers = (0..1_000).map(|caller| {
        let caller = nodes[caller % nodes.len()].key(&key.token);
        async move { caller.mcp("up", "", "ping", json!({})).await }
    });
    // Not all at one instant: a server's queue of connections is shorter.
    let answers: Vec<_> = stream::iter(callers).buffer_unordered(250).collect().await;
    let mut accepted = 0;
    for answer in answers {
        if answer.status == 200 {
            accepted += 1;
        } else {
            answer.refused(429, "rate_limited");
        }
    }
    assert_eq!(accepted, ALLOWED);
    assert_eq!(upstream.seen().len(), ALLOWED, "calls that reached the server");
}

/// The rules in Redis are those that one node has in its memory, at any time and also when a limit changes.
#[tokio::test]
async fn redis_counts_as_memory_does() {
    let redis = Redis::start().await;
    let client = redis::Client::open(redis.url.as_str()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let told = shared::SCRIPT.replace("redis.call('TIME')", "{ARGV[4], ARGV[5]}");
    assert_ne!(told, shared::SCRIPT, "the clock is not where it was");
    let script = redis::Script::new(&told);
    let mut random = StdRng::seed_from_u64(11);
    for round in 0..30 {
        let name = format!("round-{round}");
        let (mut memory, mut now) = (SlidingWindow::default(), 1_000_000_000_u64);
        let mut asked = [1, 3, 63, 64, 65, 200, 1_000][round % 7];
        for step in 0..400 {
            now += random.random_range(0..if step % 40 == 0 { 3_000_000 } else { 20_000 });
            if random.random_range(0..100) == 0 {
                asked = random.random_range(1..300);
            }
            let limit = limit(asked, 2);
            let expected = memory.take(limit, Duration::from_micros(now));
            let (took, remaining, reset, retry): (bool, u32, u64, u64) = script
                .key(&name)
                .arg(asked)
                .arg(2_000_000)
                .arg(64)
                .arg(now / 1_000_000)
                .arg(now % 1_000_000)
                .invoke_async(&mut connection)
                .await
                .expect("the script runs");
            let (quota, after) = match expected {
                Verdict::Within(quota) => (quota, Duration::ZERO),
                Verdict::Over { quota, retry_after } => (quota, retry_after),
            };
            let seen = (took, remaining, Duration::from_micros(reset), Duration::from_micros(retry));
            assert_eq!(seen, (within(&expected), quota.remaining, quota.reset, after), "round {round}, step {step}");
        }
    }
}

#[tokio::test]
async fn a_window_leaves_redis_when_nothing_in_it_counts_any_more() {
    let redis = Redis::start().await;
    let node = limiter(&redis);
    let (limit, server) = (limit(2, 1), Limited::Server(ServerId::new()));
    assert!(within(&node.take(server, limit).await.expect("an answer")));
    let client = redis::Client::open(redis.url.as_str()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let begun = Instant::now();
    loop {
        let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.expect("a number");
        if keys == 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{keys} keys stay");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn while_redis_is_away_a_node_counts_by_itself_and_nobody_waits_for_long() {
    let mut redis = Redis::start().await;
    let settings = vec![("signup", "open".to_owned()), ("redis-url", redis.url.clone())];
    let app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let acme = app.organization("acme").await;
    let key = acme.key(json!({"rateLimit": {"requests": 500, "perSeconds": 3600}})).await;
    let caller = app.key(&key.token);
    let remaining = async || {
        let answer = caller.get("/api/v1/me").await;
        answer.expect(200);
        answer.headers["ratelimit-remaining"].to_str().expect("text").parse::<u32>().expect("a number")
    };
    assert_eq!((remaining().await, remaining().await), (499, 498));

    // Slow is away: what it holds up is bounded, and the next do not wait.
    redis.pause();
    let begun = Instant::now();
    assert_eq!(remaining().await, 499, "its own count begins anew");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!((remaining().await, remaining().await), (498, 497));
    assert!(begun.elapsed() < Duration::from_millis(700), "they waited: {:?}", begun.elapsed());
    for _ in 0..50 {
        remaining().await;
    }
    redis.resume();
    back(&remaining, 480).await;

    // Gone, and back without what it knew.
    redis.stop().await;
    for _ in 0..50 {
        remaining().await;
    }
    redis.again().await;
    back(&remaining, 499).await;
}

/// Waits until requests are counted in Redis again, where so many are left at least.
async fn back(remaining: &impl AsyncFn() -> u32, at_least: u32) {
    let begun = Instant::now();
    while remaining().await < at_least {
        assert!(begun.elapsed() < Duration::from_secs(20), "Redis is not asked again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
