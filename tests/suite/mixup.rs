//! Very many calls of very many tenants at once, by every way there is: each arrives with its own tenant's credential, also
//! while credentials are replaced, and each answer goes to who asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Organization, Store, Toolbox};

/// Who call at once.
const CALLERS: usize = 24;
/// Of so many calls one is made while its credential is being replaced.
const REPLACED: usize = 25;
const TENANTS: usize = 50;
const SERVERS: [&str; 2] = ["notes", "mail"];

/// A tenant, and how it comes.
struct Tenant {
    caller: Actor,
    query: String,
    org: Option<&'static str>,
    user: String,
    connections: [Connection; SERVERS.len()],
}

/// Which of a tenant's credentials for a server may be seen: those between the last that is certainly in force and the
/// last that was asked for. Their numbers count up.
#[derive(Default)]
struct Connection {
    asked: AtomicUsize,
    certain: AtomicUsize,
    // One replacement at a time, or nobody could tell which came last.
    replacing: tokio::sync::Mutex<()>,
}

/// How a call goes.
#[derive(Clone, Copy)]
enum Way {
    Gateway,
    Endpoint,
}

/// What everybody shares.
struct Scene {
    tenants: Vec<Tenant>,
    // In the order in which they are made.
    calls: Vec<(usize, usize, Way)>,
    next: AtomicUsize,
    replaced: AtomicUsize,
    overtaken: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_carries_its_own_tenants_credential() {
    tenants_called_at_random(Store::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_carries_its_own_tenants_credential_on_postgres() {
    tenants_called_at_random(Store::Postgres).await;
}

async fn tenants_called_at_random(store: Store) {
    let count = std::env::var("KEYRACK_TEST_CALLS").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let (app, toolbox) = (App::on(store).await, Toolbox::start(&["read"]));
    let acme = app.organization("acme").await;
    for slug in SERVERS {
        let auth = json!({"kind": "bearer", "scope": "tenant"});
        acme.server_with(json!({"name": slug, "slug": slug, "url": toolbox.url, "auth": auth})).await;
    }
    let mut random = StdRng::seed_from_u64(7);
    let scene = Arc::new(Scene {
        tenants: tenants(&app, &acme).await,
        calls: calls(count, &mut random),
        next: AtomicUsize::new(0),
        replaced: AtomicUsize::new(0),
        overtaken: AtomicUsize::new(0),
    });
    for tenant in &scene.tenants {
        for server in 0..SERVERS.len() {
            tenant.connect(server).await;
        }
    }
    let began = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| tokio::spawn(call(Arc::clone(&scene), StdRng::seed_from_u64(number as u64))))
        .collect();
    for caller in callers {
        caller.await.expect("every answer carried the caller's own credential");
    }
    let (replaced, overtaken) = (scene.replaced.load(Ordering::SeqCst), scene.overtaken.load(Ordering::SeqCst));
    println!(
        "mixup, bearer on {store:?}: {} calls of {TENANTS} tenants in {:.1} s, {replaced} credentials replaced meanwhile, \
         {overtaken} calls during a replacement of their own; no mix-up",
        toolbox.called(),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(toolbox.called(), count, "each call arrived, and once");
    assert!(overtaken > 0 && replaced > count / REPLACED / 4, "too few replacements to see anything: {replaced}");
}

/// Users of ours below a client key, and the same ids below two tenant orgs of a platform key.
async fn tenants(app: &App, acme: &Organization) -> Vec<Tenant> {
    let (client, platform) = (app.key(&acme.client().await.token), app.key(&acme.platform().await.token));
    let places = [(None, &client), (Some("globex"), &platform), (Some("initech"), &platform)];
    let tenant = |number: usize| {
        let (org, caller) = places[number % places.len()];
        let user = format!("user-{}", number / places.len());
        let query = match org {
            Some(org) => format!("?org_id={org}&user_id={user}"),
            None => format!("?user_id={user}"),
        };
        Tenant { caller: caller.clone(), query, org, user, connections: Default::default() }
    };
    (0..TENANTS).map(tenant).collect()
}

/// Every tenant calls every server by both ways as often as any other, in any order.
fn calls(count: usize, random: &mut StdRng) -> Vec<(usize, usize, Way)> {
    let mut calls: Vec<_> = (0..count)
        .map(|number| {
            let way = if (number / TENANTS).is_multiple_of(2) { Way::Gateway } else { Way::Endpoint };
            (number % TENANTS, number / TENANTS / 2 % SERVERS.len(), way)
        })
        .collect();
    calls.shuffle(random);
    calls
}

async fn call(scene: Arc<Scene>, mut random: StdRng) {
    loop {
        let number = scene.next.fetch_add(1, Ordering::SeqCst);
        let Some((tenant, server, way)) = scene.calls.get(number).copied() else { return };
        let tenant = &scene.tenants[tenant];
        let called = tenant.call(server, way, number);
        let overtaken = if random.random_range(0..REPLACED) == 0 {
            scene.replaced.fetch_add(1, Ordering::SeqCst);
            tokio::join!(called, tenant.connect(server)).0
        } else {
            called.await
        };
        scene.overtaken.fetch_add(usize::from(overtaken), Ordering::SeqCst);
    }
}

impl Tenant {
    /// The credential of this number, which is nobody else's, at no other server, and at no other time.
    fn secret(&self, server: usize, number: usize) -> String {
        format!("{}-{}-{}-{number}", self.org.unwrap_or("none"), self.user, SERVERS[server])
    }

    /// Connects, or replaces what is connected.
    async fn connect(&self, server: usize) {
        let connection = &self.connections[server];
        let _replacing = connection.replacing.lock().await;
        let number = connection.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let path = format!("/api/v1/connections/{}{}", SERVERS[server], self.query);
        let body = json!({"kind": "bearer", "secret": self.secret(server, number)});
        self.caller.with_body(Method::PUT, &path, &body).await.expect(200);
        connection.certain.store(number, Ordering::SeqCst);
    }

    /// Calls, and looks at what the server saw. Says whether the credential was being replaced meanwhile.
    async fn call(&self, server: usize, way: Way, number: usize) -> bool {
        let connection = &self.connections[server];
        let certain = connection.certain.load(Ordering::SeqCst);
        let answer = match way {
            Way::Gateway => {
                let params = json!({"name": "read", "arguments": {"text": number}});
                self.caller.mcp(SERVERS[server], &self.query, "tools/call", params).await
            }
            Way::Endpoint => {
                let params = json!({"name": format!("{}_read", SERVERS[server]), "arguments": {"text": number}});
                let message = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params});
                let path = format!("/mcp{}", self.query);
                let request = self
                    .caller
                    .request(Method::POST, &path)
                    .header("accept", "application/json, text/event-stream")
                    .header("mcp-protocol-version", "2025-11-25")
                    .json(&message);
                self.caller.send(format!("POST {path} {message}"), request).await
            }
        };
        let asked = connection.asked.load(Ordering::SeqCst);
        let answer = answer.expect(200);
        let saw = &answer["result"]["structuredContent"];
        assert_eq!(saw["arguments"]["text"], number, "an answer of somebody else: {answer}");
        let claims = &saw["claims"];
        assert_eq!(
            (&claims["organization"], &claims["tenantOrg"], &claims["tenantUser"]),
            (&json!("acme"), &self.org.map_or(Value::Null, Into::into), &json!(self.user)),
            "{answer}"
        );
        let own: Vec<String> =
            (certain..=asked).map(|number| format!("Bearer {}", self.secret(server, number))).collect();
        let sent = saw["authorization"].as_str().unwrap_or_default();
        assert!(own.iter().any(|own| own == sent), "{sent} is none of {own:?}");
        asked > certain
    }
}
