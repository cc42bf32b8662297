//! Very many keys revoked in any order while others call: what was revoked is over at once, and nothing else is.
//!
//! Callers call without a rest, which keeps the machine as busy as it can be; `KEYRACK_TEST_REST_MS` gives them one, for
//! the times of receipts when all is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::json;
use support::{Actor, Answer, App, Organization, Store, Upstream, postgres};
use tokio::task::JoinHandle;

/// Who call at once, and who revoke at once.
const CALLERS: usize = 24;
const REVOKERS: usize = 4;
/// Of so many keys one is never revoked.
const SPARED: usize = 6;
/// Callers like keys so near to the one that is revoked next, in the order of revocation.
const NEAR: usize = 12;

/// A key, and how far its revocation is.
struct Doomed {
    id: String,
    caller: Actor,
    query: &'static str,
    // Somebody is about to ask for it.
    begun: AtomicBool,
    // It was answered.
    answered: AtomicBool,
}

/// What everybody shares.
struct Scene {
    nodes: Vec<App>,
    // In the order of their revocation; those after the last are spared.
    keys: Vec<Doomed>,
    revoked: usize,
    next: AtomicUsize,
    over: AtomicBool,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    // How long callers rest between two calls, on average.
    rest: Option<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_keys_are_over_at_once_and_no_others() {
    keys_revoked_under_load(vec![App::on(Store::Sqlite).await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_keys_are_over_at_once_and_no_others_on_postgres() {
    keys_revoked_under_load(vec![App::on(Store::Postgres).await]).await;
}

/// Each call, stream and revocation goes to any of three nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_keys_are_over_at_once_on_every_node_and_no_others() {
    let url = postgres::database().await;
    let nodes = vec![App::node("a", &url).await, App::node("b", &url).await, App::node("c", &url).await];
    keys_revoked_under_load(nodes).await;
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

/// The machine's time so far that was spent, and all of it, in some unit.
fn machine() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/stat").expect("Linux tells");
    let times: Vec<u64> =
        stat.lines().next().into_iter().flat_map(str::split_whitespace).flat_map(str::parse).collect();
    let idle = times[3] + times[4];
    let all: u64 = times.iter().take(8).sum();
    (all - idle, all)
}

async fn keys_revoked_under_load(nodes: Vec<App>) {
    let revoked = asked("KEYRACK_TEST_REVOCATIONS").map_or(40, |count| usize::try_from(count).expect("not that many"));
    let upstream = Upstream::start();
    let acme = nodes[0].organization("acme").await;
    for (server, behaviour) in [("calls", "/echo"), ("silent", "/legacy"), ("talking", "/sse")] {
        acme.server(server, &upstream.url(behaviour)).await;
    }
    let mut random = StdRng::seed_from_u64(4);
    let scene = Arc::new(Scene {
        keys: keys(&nodes[0], &acme, revoked + revoked / SPARED, &mut random).await,
        nodes,
        revoked,
        next: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        accepted: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        rest: asked("KEYRACK_TEST_REST_MS").map(Duration::from_millis),
    });
    let mut streams = Vec::new();
    for index in 0..scene.keys.len() {
        streams.push(stream(&scene, index).await);
    }
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| tokio::spawn(call(Arc::clone(&scene), StdRng::seed_from_u64(number as u64))))
        .collect();
    let (began, before) = (Instant::now(), machine());
    let revokers =
        (0..REVOKERS).map(|number| revoke(&scene, acme.owner().at(&scene.nodes[number % scene.nodes.len()])));
    let answered: Vec<(usize, Instant, f64)> = futures_util::future::join_all(revokers).await.concat();
    assert_eq!(answered.len(), revoked);
    let (took, after) = (began.elapsed(), machine());
    let busy = 100 * (after.0 - before.0) / (after.1 - before.1).max(1);
    // Also when all is quiet.
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.over.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.expect("no call was answered wrongly");
    }
    let mut latest = Duration::ZERO;
    let (spared, cut): (Vec<_>, Vec<_>) = streams.into_iter().partition(|(index, _)| *index >= revoked);
    for (index, reading) in cut {
        let ended = reading.await.expect("the stream was read to its end");
        let (_, at, _) = answered.iter().find(|(revoked, ..)| *revoked == index).expect("it was revoked");
        latest = latest.max(ended.saturating_duration_since(*at));
    }
    assert!(latest < Duration::from_secs(1), "a stream went on for {latest:?} after the answer");
    for (index, reading) in &spared {
        assert!(!reading.is_finished(), "the stream of {}, which was not revoked, ended", scene.keys[*index].id);
        reading.abort();
    }
    let (accepted, refused) = (scene.accepted.load(Ordering::SeqCst), scene.refused.load(Ordering::SeqCst));
    let mut receipts: Vec<f64> = answered.iter().map(|(.., ms)| *ms).collect();
    receipts.sort_by(f64::total_cmp);
    let part = |parts: usize| receipts[(receipts.len() * parts / 100).min(receipts.len() - 1)];
    let store = scene.nodes[0].services().settings.database().kind();
    println!(
        "revocations, {store:?}, {} nodes: {revoked} of {} keys in {:.1} s; {accepted} calls accepted, {refused} refused; \
         last end of a stream {:.1} ms after its answer; receipts p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; machine {busy} % busy",
        scene.nodes.len(),
        scene.keys.len(),
        took.as_secs_f64(),
        latest.as_secs_f64() * 1000.0,
        part(50),
        part(99),
        receipts.last().copied().unwrap_or_default(),
    );
    assert!(accepted > revoked && refused > revoked / 2, "too few calls to see anything: {accepted} and {refused}");
}

/// Keys of every type, in any order.
async fn keys(app: &App, acme: &Organization, count: usize, random: &mut StdRng) -> Vec<Doomed> {
    let mut keys = Vec::new();
    for number in 0..count {
        let (key, query) = match number % 3 {
            0 => (acme.solo().await, ""),
            1 => (acme.client().await, "?user_id=marina"),
            _ => (acme.platform().await, "?org_id=globex&user_id=marina"),
        };
        let caller = app.key(&key.token);
        keys.push(Doomed { id: key.id, caller, query, begun: AtomicBool::default(), answered: AtomicBool::default() });
    }
    keys.shuffle(random);
    keys
}

/// Opens a stream of a key, most of them silent ones; when it ended.
async fn stream(scene: &Arc<Scene>, index: usize) -> (usize, JoinHandle<Instant>) {
    let key = &scene.keys[index];
    let server = if index.is_multiple_of(20) { "talking" } else { "silent" };
    let path = format!("/mcp-connect/{server}/mcp{}", key.query);
    let caller = key.caller.at(&scene.nodes[index % scene.nodes.len()]);
    let response = caller.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let mut chunks = response.bytes_stream();
    chunks.next().await.expect("an event").expect("bytes");
    let scene = Arc::clone(scene);
    let reading = tokio::spawn(async move {
        while let Some(Ok(_)) = chunks.next().await {}
        assert!(scene.keys[index].begun.load(Ordering::SeqCst), "a stream ended before its key was revoked");
        Instant::now()
    });
    (index, reading)
}

/// Revokes what is next until nothing is; when each was answered, and how long the slowest node took.
async fn revoke(scene: &Scene, owner: Actor) -> Vec<(usize, Instant, f64)> {
    let mut answered = Vec::new();
    loop {
        let index = scene.next.fetch_add(1, Ordering::SeqCst);
        if index >= scene.revoked {
            return answered;
        }
        let key = &scene.keys[index];
        // So that callers come before, between and after.
        tokio::time::sleep(Duration::from_millis(10)).await;
        key.begun.store(true, Ordering::SeqCst);
        let revoked = owner.delete(&format!("/api/v1/api-keys/{}", key.id)).await.expect(200);
        key.answered.store(true, Ordering::SeqCst);
        let receipt = revoked["receipt"].as_array().expect("a receipt");
        assert_eq!(receipt.len(), scene.nodes.len(), "{receipt:?}");
        assert!(receipt.iter().all(|node| node["why"] == "confirmed"), "{receipt:?}");
        let slowest = receipt.iter().filter_map(|node| node["ms"].as_f64()).fold(0.0, f64::max);
        answered.push((index, Instant::now(), slowest));
    }
}

/// Calls until all is over, mostly with keys that are about to be revoked or were a moment ago.
async fn call(scene: Arc<Scene>, mut random: StdRng) {
    while !scene.over.load(Ordering::SeqCst) {
        if let Some(rest) = scene.rest {
            tokio::time::sleep(rest.mul_f64(random.random_range(0.0..2.0))).await;
        }
        let next = scene.next.load(Ordering::SeqCst);
        let index = if random.random_bool(0.8) {
            (next + random.random_range(0..NEAR)).saturating_sub(NEAR / 2).min(scene.keys.len() - 1)
        } else {
            random.random_range(0..scene.keys.len())
        };
        let key = &scene.keys[index];
        let caller = key.caller.at(&scene.nodes[random.random_range(0..scene.nodes.len())]);
        let after = key.answered.load(Ordering::SeqCst);
        let request = if random.random_bool(0.7) {
            let message =
                json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {}}});
            caller.request(Method::POST, &format!("/mcp-connect/calls/mcp{}", key.query)).json(&message)
        } else {
            caller.request(Method::GET, "/api/v1/me")
        };
        let accepted = match request.send().await {
            Ok(response) => {
                let answer = Answer::read(format!("with {}, revoked before: {after}", key.id), response).await;
                if after {
                    answer.refused(401, "unauthenticated");
                } else if !key.begun.load(Ordering::SeqCst) {
                    answer.expect(200);
                }
                answer.status == 200
            }
            // An answer that had begun when its key was revoked breaks off, perhaps before its first byte left.
            Err(error) => {
                assert!(!after && key.begun.load(Ordering::SeqCst), "{error:?}");
                false
            }
        };
        let counter = if accepted { &scene.accepted } else { &scene.refused };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}
