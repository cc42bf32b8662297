//! Replacing the root secret of several nodes one after the other, in three steps, under calls that never stop: nobody who
//! has a key that works is refused, and what one node makes another can read at every moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use support::app::try_start;
use support::upstream::Seen;
use support::{Actor, App, AppOptions, Organization, Store, Upstream, postgres};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

const OLD: &str = "the old root secret of the tests, long enough";
const NEW: &str = "the new root secret of the tests, long enough";

/// What a node is given in each step.
const BEFORE: &[(&str, &str)] = &[("root-secret", OLD)];
const COMING: &[(&str, &str)] = &[("root-secret", OLD), ("next-root-secret", NEW)];
const MOVING: &[(&str, &str)] = &[("root-secret", NEW), ("previous-root-secret", OLD)];
const AFTER: &[(&str, &str)] = &[("root-secret", NEW)];

fn options(name: &str, url: &str, roots: &[(&'static str, &str)]) -> AppOptions {
    let mut settings = vec![
        ("signup", "open".to_owned()),
        ("node-name", name.to_owned()),
        ("database-url", url.to_owned()),
        ("runs-at-once", "0".to_owned()),
    ];
    settings.extend(roots.iter().map(|(flag, secret)| (*flag, (*secret).to_owned())));
    AppOptions { store: Store::Postgres, settings }
}

async fn node(name: &str, url: &str, roots: &[(&'static str, &str)]) -> App {
    App::with(options(name, url, roots)).await
}

/// Why a node with these root secrets does not start.
async fn refused(url: &str, roots: &[(&'static str, &str)]) -> String {
    try_start(options("refused", url, roots)).await.err().expect("it does not start")
}

/// Calls through whichever nodes are in front, until it is ended.
struct Calls {
    front: Arc<RwLock<BTreeMap<String, Actor>>>,
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<usize>>,
}

impl Calls {
    /// By each of these tokens, to `/me` and through the gateway in turn, at every node in front.
    fn begin(tokens: &[String]) -> Self {
        let front = Arc::new(RwLock::new(BTreeMap::<String, Actor>::new()));
        let over = Arc::new(AtomicBool::new(false));
        let tasks = tokens.iter().map(|token| {
            let (front, over, token) = (Arc::clone(&front), Arc::clone(&over), token.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !over.load(Ordering::SeqCst) {
                    // A node leaves the front when nobody is calling it, as behind a proxy.
                    let front = front.read().await;
                    for (name, node) in front.iter() {
                        let caller = node.clone().and("x-api-key", &token);
                        for answer in [caller.get("/api/v1/me").await, caller.mcp("up", "", "ping", json!({})).await] {
                            // 408 says that the request itself came too late, from a machine that is too busy.
                            assert!(matches!(answer.status, 200 | 408), "{name}: {} {}", answer.status, answer.body);
                            calls += usize::from(answer.status == 200);
                        }
                    }
                    drop(front);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                calls
            })
        });
        let tasks = tasks.collect();
        Self { front, over, tasks }
    }

    async fn enter(&self, name: &str, app: &App) {
        self.front.write().await.insert(name.to_owned(), app.anonymous());
    }

    async fn leave(&self, name: &str) {
        self.front.write().await.remove(name);
    }

    /// Puts a node in the place of another one.
    async fn replace(&self, name: &str, app: &mut App, url: &str, roots: &[(&'static str, &str)]) {
        self.leave(name).await;
        app.stop().await;
        *app = node(name, url, roots).await;
        self.enter(name, app).await;
    }

    async fn end(self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        let mut calls = 0;
        for task in self.tasks {
            calls += task.await.expect("nobody was refused");
        }
        calls
    }
}

async fn server(caller: &Actor, slug: &str, upstream: &Upstream) {
    let auth = json!({"kind": "bearer", "secret": format!("secret of {slug}")});
    let body = json!({"name": slug, "slug": slug, "url": upstream.url("/echo"), "auth": auth});
    caller.post("/api/v1/mcp-servers", &body).await.expect(201);
}

/// A call arrives there, with the credential that the server was registered with; as it was seen.
async fn arrives(caller: &Actor, slug: &str, upstream: &Upstream) -> Seen {
    let credential = format!("Bearer secret of {slug}");
    let seen = || {
        let seen = upstream.seen().into_iter();
        seen.filter(|seen| seen.header("authorization") == Some(credential.as_str())).collect::<Vec<_>>()
    };
    let before = seen().len();
    caller.mcp(slug, "", "ping", json!({})).await.expect(200);
    let mut seen = seen();
    assert_eq!(seen.len(), before + 1, "{slug}");
    seen.pop().expect("it was seen")
}

async fn new_key(caller: &Actor) -> (String, String) {
    let made = caller.post("/api/v1/api-keys", &json!({"name": "made in between"})).await.expect(201);
    let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).expect("text").to_owned();
    (text("/apiKey/id"), text("/token"))
}

async fn until_settled(app: &App) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while app.services().database.unsettled().await.expect("the store answers").is_some() {
        assert!(Instant::now() < deadline, "never settled\n{}", support::logs::tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_with_a_key_is_refused_while_nodes_get_another_root_secret_one_after_the_other() {
    let (url, upstream) = (postgres::database().await, Upstream::start());
    let (mut a, mut b) = (node("a", &url, BEFORE).await, node("b", &url, BEFORE).await);
    let acme = a.organization("acme").await;
    server(&acme.owner(), "up", &upstream).await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        tokens.push(acme.solo().await.token);
    }
    let unused = acme.solo().await.token;
    let calls = Calls::begin(&tokens);
    calls.enter("a", &a).await;
    calls.enter("b", &b).await;

    // Nobody gets ahead of a node that knows the old one alone.
    let fault = refused(&url, MOVING).await;
    assert!(fault.contains("the node") && fault.contains("three steps"), "{fault}");
    calls.replace("a", &mut a, &url, COMING).await;
    calls.replace("b", &mut b, &url, COMING).await;
    // What is never in front: a key that is used now by nodes that could move it.
    a.key(&unused).get("/api/v1/me").await.expect(200);
    calls.replace("a", &mut a, &url, MOVING).await;

    Box::pin(mixed(&a, &b, &acme, &upstream)).await;
    let fault = refused(&url, BEFORE).await;
    assert!(fault.contains("root secret"), "{fault}");
    let fault = refused(&url, AFTER).await;
    assert!(fault.contains("KEYRACK_PREVIOUS_ROOT_SECRET"), "{fault}");
    // A node of the step before that was lost comes back.
    calls.replace("b", &mut b, &url, COMING).await;
    server(&acme.owner().at(&b), "late", &upstream).await;
    assert!(a.services().database.unsettled().await.expect("the store answers").is_some());
    calls.replace("b", &mut b, &url, MOVING).await;
    until_settled(&a).await;

    calls.replace("a", &mut a, &url, AFTER).await;
    // The last step and the one before: each can read what the other makes, and what it was given.
    let caller = a.key(&tokens[0]);
    for slug in ["late", "through-a", "through-b"] {
        arrives(&caller, slug, &upstream).await;
    }
    let (_, token) = new_key(&signed_in(&a).await).await;
    b.key(&token).get("/api/v1/me").await.expect(200);
    let (_, token) = new_key(&signed_in(&b).await).await;
    a.key(&token).get("/api/v1/me").await.expect(200);
    calls.replace("b", &mut b, &url, AFTER).await;
    let number = calls.end().await;
    assert!(number > 100, "{number} calls");
    b.key(&unused).get("/api/v1/me").await.refused(401, "unauthenticated");
}

async fn signed_in(app: &App) -> Actor {
    let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
    let session = app.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    let bearer = format!("Bearer {}", session["accessToken"].as_str().expect("a token"));
    app.headers(&[("authorization", &bearer)])
}

/// `moving` makes things under the new root secret, `coming` under the old one.
async fn mixed(moving: &App, coming: &App, acme: &Organization, upstream: &Upstream) {
    // Whoever signed in before or at either node is somebody at both.
    acme.owner().at(moving).get("/api/v1/me").await.expect(200);
    let (at_moving, at_coming) = (signed_in(moving).await, signed_in(coming).await);
    at_moving.at(coming).get("/api/v1/me").await.expect(200);
    at_coming.at(moving).get("/api/v1/me").await.expect(200);

    for (maker, owner, reader) in [(moving, &at_moving, coming), (coming, &at_coming, moving)] {
        a_key_works_and_ends_everywhere(maker, owner, reader).await;
    }
    a_key_that_was_moved_changes_everywhere(moving, &at_moving, coming).await;

    // Credentials, and the assertions that go with them.
    server(&at_moving, "through-a", upstream).await;
    server(&at_coming, "through-b", upstream).await;
    let key = new_key(&at_moving).await.1;
    for (slug, node) in [("through-a", coming), ("through-b", moving)] {
        let seen = arrives(&node.key(&key), slug, upstream).await;
        let kid = key_id(seen.header("x-keyrack-assertion").expect("an assertion"));
        for node in [moving, coming] {
            let published = node.anonymous().get("/.well-known/jwks.json").await.expect(200);
            let kids: Vec<_> = published["keys"].as_array().expect("keys").iter().map(|key| &key["kid"]).collect();
            assert!(kids.contains(&&json!(kid)), "{kid} is not among {kids:?}");
        }
    }

    // A write that may be repeated, wherever it is, one after the other and at once.
    let write = async |node: &App, name: &str| {
        let named = at_moving.at(node).and("idempotency-key", name);
        named.post("/api/v1/projects", &json!({"name": name})).await
    };
    for (name, first, second) in [("one", moving, coming), ("two", coming, moving)] {
        let (made, again) = (write(first, name).await.expect(201), write(second, name).await);
        assert_eq!(
            (again.expect(201)["id"].clone(), &again.headers["idempotent-replayed"]),
            (made["id"].clone(), &"true".parse().expect("a value"))
        );
    }
    let (here, there) = tokio::join!(write(moving, "three"), write(coming, "three"));
    assert!([here.status, there.status].iter().all(|status| matches!(status, 201 | 409)), "{here:?} {there:?}");
    let projects = at_moving.get("/api/v1/projects").await.expect(200);
    let three = projects["items"].as_array().expect("projects").iter().filter(|project| project["name"] == "three");
    assert!(three.count() <= 1, "{projects}");

    // The wish for a run has one run.
    let step = json!({"name": "a", "server": "up", "tool": "ping"});
    let workflow = at_moving.post("/api/v1/workflows", &json!({"name": "w", "steps": [step]})).await.expect(201);
    let path = format!("/api/v1/workflows/{}/runs", workflow["id"].as_str().expect("an id"));
    let wish = json!({"idempotencyKey": "nightly"});
    let first = at_moving.post(&path, &wish).await.expect(202);
    let again = at_moving.at(coming).post(&path, &wish).await.expect(202);
    assert_eq!(first["id"], again["id"]);
}

/// A key that one node makes works at the other, and one that either ends is over at both.
async fn a_key_works_and_ends_everywhere(maker: &App, owner: &Actor, reader: &App) {
    let (id, token) = new_key(owner).await;
    for node in [reader, maker, reader] {
        node.key(&token).get("/api/v1/me").await.expect(200);
    }
    owner.at(reader).delete(&format!("/api/v1/api-keys/{id}")).await.expect(200);
    for node in [maker, reader] {
        node.key(&token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
}

/// One node remembers a token as it was stored, the other moves it; what changes then is in force at both.
async fn a_key_that_was_moved_changes_everywhere(moving: &App, owner: &Actor, coming: &App) {
    let (id, token) = new_key(&owner.at(coming)).await;
    coming.key(&token).get("/api/v1/mcp-servers").await.expect(200);
    moving.key(&token).get("/api/v1/mcp-servers").await.expect(200);
    let path = format!("/api/v1/api-keys/{id}");
    let narrower = json!({"permissions": ["mcp:connect"]});
    owner.with_body(Method::PATCH, &path, &narrower).await.expect(200);
    for node in [coming, moving] {
        node.key(&token).get("/api/v1/mcp-servers").await.refused(403, "forbidden_permission");
    }
    // Remembered there under what it is stored as now: the second request asks no database.
    coming.key(&token).get("/api/v1/me").await.expect(200);
    let before = coming.key_lookups();
    coming.key(&token).get("/api/v1/me").await.expect(200);
    assert_eq!(coming.key_lookups(), before);
    owner.delete(&path).await.expect(200);
    for node in [coming, moving] {
        node.key(&token).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
}

fn key_id(assertion: &str) -> String {
    let header = assertion.split('.').next().expect("a header");
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64")).expect("JSON");
    header["kid"].as_str().expect("a key's name").to_owned()
}

/// Whoever is moved by two requests at once is refused by neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_with_a_token_that_is_moved_are_all_answered() {
    let url = postgres::database().await;
    let mut app = node("a", &url, BEFORE).await;
    let acme = app.organization("acme").await;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(acme.solo().await.token);
    }
    app.stop().await;
    let app = node("a", &url, MOVING).await;
    for key in keys {
        let caller = app.key(&key);
        let calls = (0..4).map(|_| caller.get("/api/v1/me"));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }
}

/// A node that the others went on without finds that it must not serve any more, and neither guesses nor says 401.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_missed_a_step_serves_nobody() {
    let url = postgres::database().await;
    let mut a = node("a", &url, BEFORE).await;
    let (wire, through) = support::Wire::to_database(&url).await;
    let late = node("late", &through, BEFORE).await;
    let acme = a.organization("acme").await;
    let key = acme.solo().await.token;
    late.key(&key).get("/api/v1/me").await.expect(200);
    wire.cut();
    a.stop().await;
    // It waits for the row of the one that is cut off to go.
    let mut a = node("a", &url, MOVING).await;
    a.key(&key).get("/api/v1/me").await.expect(200);
    wire.mend();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = late.key(&key).get("/api/v1/me").await;
        assert_ne!(answer.status, 401, "{}", answer.body);
        let told = String::from_utf8_lossy(&support::logs::so_far()).contains("this node serves nobody any more");
        if told {
            break;
        }
        assert!(Instant::now() < deadline, "it is never told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    late.key(&key).get("/api/v1/me").await.refused(503, "unavailable");
    assert_eq!(late.anonymous().get("/ready").await.status, 503);
    // Alone it does not fit to the database either.
    a.stop().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        late.key(&key).get("/api/v1/me").await.refused(503, "unavailable");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
