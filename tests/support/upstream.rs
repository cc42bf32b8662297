//! An upstream MCP server of the tests: it records what it saw, and behaves as it is told by the request's path.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::offer;

/// A request as the upstream saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(seen, _)| seen == name).map(|(_, value)| value.as_str())
    }

    /// The claims of the assertion, unverified.
    #[must_use]
    pub fn claims(&self) -> Value {
        let assertion = self.header("x-keyrack-assertion").expect("an assertion");
        jsonwebtoken::dangerous::insecure_decode_claims(assertion).expect("a JWT")
    }
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    open: AtomicUsize,
    closed: AtomicUsize,
    gate: tokio::sync::watch::Sender<bool>,
    offer: Mutex<Value>,
}

/// The upstream.
pub struct Upstream {
    /// `http://127.0.0.1:port`
    pub base: String,
    state: Arc<State>,
}

/// Counts a request as open until it is dropped: answered, or its client gone.
struct Open(Arc<State>);

impl Open {
    fn begin(state: &Data<Arc<State>>) -> Self {
        state.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
    }
}

impl Upstream {
    /// Starts one on a free loopback port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let shared = Data::new(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(64 << 20))
                .default_service(web::to(behave))
        })
        .workers(1)
        .h1_allow_half_closed(false)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .expect("listening")
        .run();
        tokio::spawn(server);
        Self { base, state }
    }

    /// The url of a behaviour: `/echo`, `/sse`, `/hang`, `/slow`, `/status/401`, `/redirect/…` (`?303` for that status),
    /// `/session`, `/legacy`, `/offer` (lists what [`Upstream::offer`] says), `/gate` (answers once [`Upstream::open_gate`] was called).
    #[must_use]
    pub fn url(&self, behaviour: &str) -> String {
        format!("{}{behaviour}", self.base)
    }

    /// What `/offer` has from now on: lists named `tools`, `prompts`, `resources` and `resourceTemplates`.
    pub fn offer(&self, offer: Value) {
        *self.state.offer.lock().unwrap_or_else(PoisonError::into_inner) = offer;
    }

    /// Lets requests to `/gate` be answered.
    pub fn open_gate(&self) {
        self.state.gate.send_replace(true);
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest request.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the upstream saw a request")
    }

    /// Waits until this many requests have begun; fails after five seconds.
    pub async fn began(&self, count: usize) {
        self.reach(&self.state.open, count, "began").await;
    }

    /// Waits until this many requests are over; fails after five seconds.
    pub async fn ended(&self, count: usize) {
        self.reach(&self.state.closed, count, "ended").await;
    }

    async fn reach(&self, counter: &AtomicUsize, count: usize, what: &str) {
        for _ in 0..500 {
            if counter.load(Ordering::SeqCst) >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} requests {what}, not {count}", counter.load(Ordering::SeqCst));
    }
}

async fn behave(request: HttpRequest, payload: Payload, state: Data<Arc<State>>) -> HttpResponse {
    let open = Open::begin(&state);
    let body = payload.to_bytes_limited(64 << 20).await.map_or_else(|_| Bytes::new(), Result::unwrap_or_default);
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let target = request.uri().to_string();
    let seen = Seen { method: request.method().to_string(), target, headers, body: body.to_vec() };
    state.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let result = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"echo": message["params"]}});
    match request.path() {
        "/sse" => {
            // One event at once, then one every 50 ms, for ever.
            let events = futures_util::stream::unfold((0_u32, open), |(count, open)| async move {
                if count > 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let event = format!(
                    "id: {count}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{count}}}\n\n"
                );
                Some((Ok::<_, actix_web::Error>(Bytes::from(event)), (count + 1, open)))
            });
            HttpResponse::Ok().content_type("text/event-stream").streaming(events.boxed_local())
        }
        "/hang" => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            drop(open);
            HttpResponse::Ok().json(result)
        }
        "/gate" => {
            let opened = state.gate.subscribe().wait_for(|open| *open).await.is_ok_and(|open| *open);
            drop(open);
            HttpResponse::Ok().json(if opened { result } else { Value::Null })
        }
        "/half" => {
            // The pause lets the first half leave before the connection breaks.
            let chunks = futures_util::stream::unfold(0, |half| async move {
                if half == 0 {
                    return Some((Ok(Bytes::from_static(b"{\"jsonrpc\":")), 1));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some((Err(actix_web::error::ErrorInternalServerError("gone")), 2))
            });
            HttpResponse::Ok().content_type("application/json").streaming(chunks.boxed_local())
        }
        "/offer" => offer::answer(&message, &state.offer.lock().unwrap_or_else(PoisonError::into_inner)),
        "/session" => HttpResponse::Ok().insert_header(("mcp-session-id", "upstream-session-1")).json(result),
        // A legacy server that gives everybody the same session and never forgets it.
        "/legacy" => {
            let mut answer = match (request.method().as_str(), message["method"].is_string(), message["id"].is_null()) {
                ("DELETE", ..) if request.query_string() == "keep" => return HttpResponse::MethodNotAllowed().finish(),
                ("DELETE", ..) => return HttpResponse::NoContent().finish(),
                ("GET", ..) => {
                    let since = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or("0");
                    let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                    let first = Bytes::from(format!(
                        ": hello\n\nid: {since}+1\nretry: 10\ndata: {note}\n\nid: {since}+2\ndata:\n\n"
                    ));
                    let events = futures_util::stream::unfold((Some(first), open), |(first, open)| async move {
                        match first {
                            Some(first) => Some((Ok::<_, actix_web::Error>(first), (None, open))),
                            None => std::future::pending().await,
                        }
                    });
                    return HttpResponse::Ok().content_type("text/event-stream").streaming(events.boxed_local());
                }
                (_, true, false) => HttpResponse::Ok().json(result),
                _ => HttpResponse::Accepted().finish(),
            };
            let session = actix_web::http::header::HeaderValue::from_static("upstream-session-1");
            answer.headers_mut().insert(actix_web::http::header::HeaderName::from_static("mcp-session-id"), session);
            answer
        }
        "/rude" => HttpResponse::Ok()
            .insert_header(("set-cookie", "a=b"))
            .insert_header(("www-authenticate", "Bearer resource_metadata=\"x\""))
            .insert_header(("location", "/elsewhere"))
            .insert_header(("x-custom", "kept"))
            .insert_header(("ratelimit-limit", "77"))
            .insert_header(("ratelimit-policy", "77;w=1"))
            .json(result),
        path => match path.split_once('/').map(|(_, rest)| rest.split_once('/').unwrap_or((rest, ""))) {
            Some(("status", status)) => {
                let status = status.parse().ok().and_then(|status| actix_web::http::StatusCode::from_u16(status).ok());
                HttpResponse::build(status.unwrap_or_default())
                    .insert_header(("www-authenticate", "Bearer resource_metadata=\"x\""))
                    .json(json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "upstream's own"}}))
            }
            Some(("redirect", to)) => {
                let to = percent_encoding::percent_decode_str(to).decode_utf8_lossy().into_owned();
                let status = request.query_string().parse().ok();
                let status = status.and_then(|status| actix_web::http::StatusCode::from_u16(status).ok());
                HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::TEMPORARY_REDIRECT))
                    .insert_header(("location", to))
                    .finish()
            }
            _ => HttpResponse::Ok().json(result),
        },
    }
}
