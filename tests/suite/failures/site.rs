//! An installation under a fault: who asks it, what it was asked, and what it has promised.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::time::{Clock, SystemClock, Timestamp};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::table::Op;

const EMAIL: &str = "owner@acme.example.com";
const PASSWORD: &str = "correct horse battery";
/// Keys that can be revoked while something is wrong.
const SPARE: usize = 14;
/// What nobody waits for longer.
const PATIENCE: Duration = Duration::from_secs(100);

/// A key, by its id and its token.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: String,
    pub token: String,
}

/// An answer, or that there was none.
#[derive(Debug, Clone)]
pub struct Seen {
    pub status: Option<u16>,
    pub code: String,
    pub body: String,
    /// Whether the body came to its end.
    pub whole: bool,
    pub retry_after: bool,
    pub took: Duration,
    request: Option<String>,
    /// What was answered to what was asked with it.
    beside: Option<Box<Self>>,
}

impl Seen {
    /// It, and what was asked with it.
    pub fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |seen| seen.beside.as_deref())
    }

    /// Whether all of it was answered so.
    pub fn is(&self, status: u16) -> bool {
        self.each().all(|seen| seen.status == Some(status))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What was promised by answers.
#[derive(Debug, Default)]
pub struct Promised {
    /// Requests whose decision was answered.
    pub decided: Vec<String>,
    pub created: Vec<Token>,
    pub revoked: Vec<Token>,
    pub runs: Vec<String>,
}

/// The installation, as it is seen at one node.
pub struct Site {
    pub base: String,
    http: Client,
    owner: Mutex<String>,
    /// A key that works, and one that was revoked before.
    pub good: Token,
    pub bad: Token,
    workflow: String,
    rest: Arc<Rest>,
}

/// What is the same whichever node is asked.
#[derive(Default)]
struct Rest {
    spare: Mutex<Vec<Token>>,
    counter: AtomicUsize,
    promised: Mutex<Promised>,
}

/// The tool of the workbench that is called.
pub const TOOL: &str = "echo";

impl Site {
    /// An organization at this node with the server `bench`, keys, and a workflow; each was used, so that nodes remember what
    /// they remember.
    pub async fn at(base: &str, bench: &str) -> Self {
        // A connection for each request: one that is kept would tell of the connection and not of the node.
        let http = Client::builder().pool_max_idle_per_host(0).timeout(PATIENCE).build().expect("a client");
        let organization = json!({"name": "Acme", "slug": "acme"});
        let sign_up = json!({"email": EMAIL, "password": PASSWORD, "organization": organization});
        let none = || Token { id: String::new(), token: String::new() };
        let mut site = Self {
            base: base.to_owned(),
            http,
            owner: Mutex::default(),
            good: none(),
            bad: none(),
            workflow: String::new(),
            rest: Arc::default(),
        };
        let session = site.answered(site.request(Method::POST, "/api/v1/auth/signup").json(&sign_up)).await;
        assert_eq!(session.status, Some(201), "{session:?}");
        site.set_owner(&session.json());
        let server = json!({"name": "bench", "slug": "bench", "url": bench, "timeouts": {"idleMs": 2000}});
        site.made(site.by_owner(Method::POST, "/api/v1/mcp-servers").json(&server)).await;
        let step = json!({"name": "a", "server": "bench", "tool": TOOL, "safe": true, "timeoutSeconds": 2});
        let workflow = json!({"name": "a workflow", "steps": [step]});
        let workflow = site.made(site.by_owner(Method::POST, "/api/v1/workflows").json(&workflow)).await;
        site.workflow = text(&workflow["id"]);
        site.good = site.key().await;
        site.bad = site.key().await;
        for _ in 0..SPARE {
            let spare = site.key().await;
            site.spare().push(spare);
        }
        let path = format!("/api/v1/api-keys/{}", site.bad.id);
        let revoked = site.seen(site.by_owner(Method::DELETE, &path)).await;
        assert_eq!(revoked.status, Some(200), "{revoked:?}");
        for op in Op::ALL {
            let seen = site.ask(op).await;
            assert!(seen.is(op.fine()), "{op:?} before anything is wrong: {seen:?}");
        }
        site
    }

    /// The same seen at another node.
    pub fn seen_from(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            http: self.http.clone(),
            owner: Mutex::new(self.owner()),
            good: self.good.clone(),
            bad: self.bad.clone(),
            workflow: self.workflow.clone(),
            rest: Arc::clone(&self.rest),
        }
    }

    /// A key that is over after so long.
    pub async fn ends_in(&self, time: Duration) -> Token {
        let micros = i64::try_from(time.as_micros()).expect("a short time");
        let end = Timestamp::from_micros(SystemClock.now().as_micros() + micros);
        let body = json!({"name": "over soon", "expiresAt": end.to_string()});
        let created = self.made(self.by_owner(Method::POST, "/api/v1/api-keys").json(&body)).await;
        Token { id: text(&created["apiKey"]["id"]), token: text(&created["token"]) }
    }

    async fn key(&self) -> Token {
        let created = self.made(self.new_key()).await;
        Token { id: text(&created["apiKey"]["id"]), token: text(&created["token"]) }
    }

    /// A key with a limit that nobody reaches: it is counted all the same.
    fn new_key(&self) -> RequestBuilder {
        let limit = json!({"requests": 1_000_000, "perSeconds": 3600});
        self.by_owner(Method::POST, "/api/v1/api-keys").json(&json!({"name": "a key", "rateLimit": limit}))
    }

    async fn made(&self, request: RequestBuilder) -> Value {
        let seen = self.seen(request).await;
        assert_eq!(seen.status, Some(201), "{seen:?}");
        seen.json()
    }

    fn owner(&self) -> String {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Token>> {
        self.rest.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was promised so far.
    pub fn promised(&self) -> MutexGuard<'_, Promised> {
        self.rest.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_owner(&self, session: &Value) {
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = text(&session["accessToken"]);
    }

    /// The owner signs in again.
    pub async fn sign_in(&self) -> Seen {
        let body = json!({"email": EMAIL, "password": PASSWORD});
        let seen = self.answered(self.request(Method::POST, "/api/v1/auth/login").json(&body)).await;
        if seen.status == Some(200) {
            self.set_owner(&seen.json());
        }
        seen
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub fn by_owner(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(self.owner())
    }

    pub fn by(&self, key: &Token, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-api-key", &key.token)
    }

    /// Sends a request, whatever becomes of it. That a decision was answered is kept: that it was let through, also where the
    /// server then failed, and that it was not. (401 is no decision of anybody's, and with 503 nobody knows.)
    pub async fn seen(&self, request: RequestBuilder) -> Seen {
        let seen = self.answered(request).await;
        if matches!(seen.status, Some(200..=299 | 403 | 429 | 502 | 504)) {
            self.decided(&seen);
        }
        seen
    }

    async fn answered(&self, request: RequestBuilder) -> Seen {
        let began = Instant::now();
        let none = Seen {
            status: None,
            code: String::new(),
            body: String::new(),
            whole: false,
            retry_after: false,
            took: Duration::ZERO,
            request: None,
            beside: None,
        };
        let Ok(mut response) = request.send().await else { return Seen { took: began.elapsed(), ..none } };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, request) = (response.status().as_u16(), header("x-request-id"));
        let retry_after = header("retry-after").is_some();
        let mut body = Vec::new();
        let whole = loop {
            match response.chunk().await {
                // Nobody reads an answer that does not end.
                Ok(Some(_)) if body.len() > 1 << 20 => break false,
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        let read: Value = serde_json::from_str(&body).unwrap_or_default();
        let error = &read["error"];
        let code = error["data"]["code"].as_str().or_else(|| error["code"].as_str()).unwrap_or_default().to_owned();
        let took = began.elapsed();
        Seen { status: Some(status), code, body, whole, retry_after, took, request, beside: None }
    }

    /// Keeps that a decision was answered.
    pub fn decided(&self, seen: &Seen) {
        if let Some(request) = &seen.request {
            self.promised().decided.push(request.clone());
        }
    }

    pub async fn ask(&self, op: Op) -> Seen {
        match op {
            Op::Verify => self.verify().await,
            Op::List => self.mcp("/mcp", "tools/list", json!({})).await,
            Op::Call => {
                let params = json!({"name": TOOL, "arguments": {"number": self.next()}});
                self.mcp("/mcp-connect/bench/mcp", "tools/call", params).await
            }
            Op::Manage => self.manage().await,
            Op::Audit => self.seen(self.by_owner(Method::GET, "/api/v1/audit-events?limit=5")).await,
            Op::Run => self.run().await,
        }
    }

    fn next(&self) -> usize {
        self.rest.counter.fetch_add(1, Ordering::Relaxed)
    }

    async fn verify(&self) -> Seen {
        let seen = self.verified(&self.good).await;
        if seen.status == Some(200) {
            assert_eq!(seen.json()["valid"], true, "a good key is no good: {seen:?}");
        }
        seen
    }

    /// What somebody is told of a key that was shown to them.
    pub async fn verified(&self, key: &Token) -> Seen {
        let request = self.by(&self.good, Method::POST, "/api/v1/keys/verify");
        self.seen(request.json(&json!({"token": key.token}))).await
    }

    async fn mcp(&self, path: &str, method: &str, params: Value) -> Seen {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self
            .by(&self.good, Method::POST, path)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25");
        self.seen(request.json(&message)).await
    }

    /// Creates a key and revokes another, side by side; both answers.
    async fn manage(&self) -> Seen {
        let (created, revoked) = tokio::join!(self.create(), self.revoke());
        Seen { took: created.took.max(revoked.took), beside: Some(Box::new(revoked)), ..created }
    }

    async fn create(&self) -> Seen {
        let mut created = self.seen(self.new_key()).await;
        if created.status == Some(201) {
            let body = created.json();
            let key = Token { id: text(&body["apiKey"]["id"]), token: text(&body["token"]) };
            self.promised().created.push(key);
            created.status = Some(200);
        }
        created
    }

    async fn revoke(&self) -> Seen {
        let Some(spare) = self.spare().pop() else { panic!("no key is left to revoke") };
        let path = format!("/api/v1/api-keys/{}", spare.id);
        let revoked = self.seen(self.by_owner(Method::DELETE, &path)).await;
        if revoked.status == Some(200) {
            let used = self.seen(self.by(&spare, Method::GET, "/api/v1/me")).await;
            assert!(used.status != Some(200), "a key that was revoked is accepted: {used:?}");
            self.promised().revoked.push(spare);
        } else {
            self.spare().push(spare);
        }
        revoked
    }

    async fn run(&self) -> Seen {
        let body = json!({"idempotencyKey": format!("run-{}", self.next())});
        let path = format!("/api/v1/workflows/{}/runs", self.workflow);
        let seen = self.seen(self.by(&self.good, Method::POST, &path).json(&body)).await;
        if seen.status == Some(202) {
            self.promised().runs.push(text(&seen.json()["id"]));
        }
        seen
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
