//! Very many calls of very many tenants at once, by every way there is: each arrives with its own tenant's credential, also
//! while credentials are replaced, and each answer goes to who asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Browser, OAuthServer, OAuthSettings, Organization, Store, Toolbox};

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

/// The server behind all of the names, by the credential that it takes.
enum Upstream {
    Bearer(Toolbox),
    // Its tokens end so soon that each is renewed many times, in the middle of all that.
    OAuth(OAuthServer),
}

/// How long access tokens last. One is renewed when a fifth of that is left, and not sent in the last tenth, which must be
/// more than any stall of a busy machine.
const ACCESS_LASTS: Duration = Duration::from_secs(15);

impl Upstream {
    fn bearer() -> Self {
        Self::Bearer(Toolbox::start(&["read"]))
    }

    fn oauth() -> Self {
        let settings = OAuthSettings { access_lasts: ACCESS_LASTS, consents: None, ..OAuthSettings::default() };
        Self::OAuth(OAuthServer::start(settings))
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Bearer(_) => "bearer",
            Self::OAuth(_) => "oauth2",
        }
    }

    fn url(&self) -> &str {
        match self {
            Self::Bearer(toolbox) => &toolbox.url,
            Self::OAuth(server) => &server.url,
        }
    }

    const fn tool(&self) -> &'static str {
        match self {
            Self::Bearer(_) => "read",
            Self::OAuth(_) => "whoami",
        }
    }
}

/// What everybody shares.
struct Scene {
    upstream: Upstream,
    tenants: Vec<Tenant>,
    // In the order in which they are made.
    calls: Vec<(usize, usize, Way)>,
    next: AtomicUsize,
    replaced: AtomicUsize,
    overtaken: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_carries_its_own_tenants_credential() {
    tenants_called_at_random(Store::Sqlite, Upstream::bearer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_carries_its_own_tenants_credential_on_postgres() {
    tenants_called_at_random(Store::Postgres, Upstream::bearer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_carries_its_own_tenants_token() {
    tenants_called_at_random(Store::Sqlite, Upstream::oauth()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_carries_its_own_tenants_token_on_postgres() {
    tenants_called_at_random(Store::Postgres, Upstream::oauth()).await;
}

async fn tenants_called_at_random(store: Store, upstream: Upstream) {
    let count = std::env::var("KEYRACK_TEST_CALLS").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    for slug in SERVERS {
        let auth = json!({"kind": upstream.kind(), "scope": "tenant"});
        acme.server_with(json!({"name": slug, "slug": slug, "url": upstream.url(), "auth": auth})).await;
    }
    let mut random = StdRng::seed_from_u64(7);
    let scene = Arc::new(Scene {
        upstream,
        tenants: tenants(&app, &acme).await,
        calls: calls(count, &mut random),
        next: AtomicUsize::new(0),
        replaced: AtomicUsize::new(0),
        overtaken: AtomicUsize::new(0),
    });
    for tenant in &scene.tenants {
        for server in 0..SERVERS.len() {
            tenant.connect(&scene.upstream, server).await;
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
    let renewed = match &scene.upstream {
        Upstream::Bearer(toolbox) => {
            assert_eq!(toolbox.called(), count, "each call arrived, and once");
            0
        }
        Upstream::OAuth(server) => {
            let counts = server.counts();
            assert_eq!(counts.reuses, 0, "a refresh token was used twice");
            assert!(counts.refreshes > 0 || began.elapsed() < 2 * ACCESS_LASTS, "no token was renewed");
            counts.refreshes
        }
    };
    println!(
        "mixup, {} on {store:?}: {count} calls of {TENANTS} tenants in {:.1} s, {replaced} credentials replaced and {renewed} \
         tokens renewed meanwhile, {overtaken} calls during a replacement of their own; no mix-up",
        scene.upstream.kind(),
        began.elapsed().as_secs_f64()
    );
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
        let called = tenant.call(&scene.upstream, server, way, number);
        let overtaken = if random.random_range(0..REPLACED) == 0 {
            scene.replaced.fetch_add(1, Ordering::SeqCst);
            tokio::join!(called, tenant.connect(&scene.upstream, server)).0
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
    async fn connect(&self, upstream: &Upstream, server: usize) {
        let connection = &self.connections[server];
        let _replacing = connection.replacing.lock().await;
        let number = connection.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let secret = self.secret(server, number);
        match upstream {
            Upstream::Bearer(_) => {
                let path = format!("/api/v1/connections/{}{}", SERVERS[server], self.query);
                let body = json!({"kind": "bearer", "secret": secret});
                self.caller.with_body(Method::PUT, &path, &body).await.expect(200);
            }
            Upstream::OAuth(_) => self.consent(server, &secret).await,
        }
        connection.certain.store(number, Ordering::SeqCst);
    }

    /// Follows a connect link, and consents as this person there.
    async fn consent(&self, server: usize, subject: &str) {
        let path = format!("/api/v1/connections/{}/link{}", SERVERS[server], self.query);
        let made = self.caller.post(&path, &json!({})).await.expect(201);
        let mut browser = Browser::default();
        let page = browser.open(made["url"].as_str().expect("a url")).await;
        let sent = browser.submit(&page, "", &["proof"], &[]).await;
        let consent = browser.open(sent.refresh().expect("on to the authorization server").as_str()).await;
        let typed = [("subject", subject), ("decision", "allow")];
        let back = browser.submit(&consent, "/as/consent", &["asked"], &typed).await;
        let done = browser.open(back.headers["location"].to_str().expect("text")).await;
        assert!(done.says("is connected"), "{}", done.body);
    }

    /// Calls, and looks at what the server saw. Says whether the credential was being replaced meanwhile.
    async fn call(&self, upstream: &Upstream, server: usize, way: Way, number: usize) -> bool {
        let connection = &self.connections[server];
        let certain = connection.certain.load(Ordering::SeqCst);
        let answer = match way {
            Way::Gateway => {
                let params = json!({"name": upstream.tool(), "arguments": {"text": number}});
                self.caller.mcp(SERVERS[server], &self.query, "tools/call", params).await
            }
            Way::Endpoint => {
                let name = format!("{}_{}", SERVERS[server], upstream.tool());
                let params = json!({"name": name, "arguments": {"text": number}});
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
        let own = |number| self.secret(server, number);
        match upstream {
            Upstream::Bearer(_) => {
                assert_eq!(saw["arguments"]["text"], number, "an answer of somebody else: {answer}");
                let claims = &saw["claims"];
                assert_eq!(
                    (&claims["organization"], &claims["tenantOrg"], &claims["tenantUser"]),
                    (&json!("acme"), &self.org.map_or(Value::Null, Into::into), &json!(self.user)),
                    "{answer}"
                );
                let sent = saw["authorization"].as_str().unwrap_or_default();
                assert!(
                    (certain..=asked).any(|number| sent == format!("Bearer {}", own(number))),
                    "{sent}, {certain}..={asked} of {:?}: {answer}",
                    own(asked)
                );
            }
            Upstream::OAuth(_) => {
                let subject = saw["subject"].as_str().unwrap_or_default();
                assert!(
                    (certain..=asked).any(|number| subject == own(number)),
                    "{subject}, {certain}..={asked} of {:?}: {answer}",
                    own(asked)
                );
            }
        }
        asked > certain
    }
}
