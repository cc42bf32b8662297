//! The client against servers that are played by hand: what they answer, and what they were asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use domain::egress::EgressPolicy;
use rmcp::model::ErrorCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::*;
use crate::upstream::UpstreamFault;

const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(200);
const PLENTY: Deadlines =
    Deadlines { connect: SECOND, handshake: Duration::from_secs(5), answer: Duration::from_secs(5) };

/// A request as it came.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

/// What a server does with a request.
enum Reply {
    /// These bytes.
    Raw(String),
    /// These bytes, and then nothing, with the connection open.
    Open(String),
    /// These bytes, and the end of the connection.
    Cut(String),
}

fn http(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Raw(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

fn answer(asked: &Asked, result: Value) -> Reply {
    let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": result }).to_string();
    http("200 OK", "content-type: application/json\r\n", &body)
}

fn refuse(asked: &Asked, code: i32, message: &str) -> Reply {
    let error = json!({ "code": code, "message": message, "data": { "kept": ["whole"] } });
    let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "error": error }).to_string();
    http("200 OK", "content-type: application/json\r\n", &body)
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// The answers of a server that speaks 2026-07-28, but for what `special` answers.
fn modern(special: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        if let Some(reply) = special(asked) {
            return reply;
        }
        match asked.method() {
            "server/discover" => answer(
                asked,
                json!({
                    "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                    "capabilities": { "tools": {}, "prompts": {}, "resources": {} },
                }),
            ),
            "tools/list" => answer(asked, json!({ "resultType": "complete", "tools": [tool("look")] })),
            _ => refuse(asked, -32601, "unknown"),
        }
    }
}

/// The answers of one that speaks 2025-11-25 and keeps sessions.
fn legacy(special: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        if let Some(reply) = special(asked) {
            return reply;
        }
        match asked.method() {
            "initialize" => {
                let result = json!({
                    "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                    "serverInfo": { "name": "old", "version": "1" },
                });
                let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": result }).to_string();
                http("200 OK", "content-type: application/json\r\nmcp-session-id: theirs\r\n", &body)
            }
            "notifications/initialized" => http("202 Accepted", "", ""),
            "tools/list" => answer(asked, json!({ "tools": [tool("look")] })),
            _ => http("400 Bad Request", "content-type: text/plain\r\n", "Bad Request: no valid session"),
        }
    }
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "inputSchema": { "type": "object", "x-kept": { "deeply": [1, 2] } } })
}

struct Server {
    url: String,
    asked: Arc<std::sync::Mutex<Vec<Asked>>>,
    // Answers that somebody still waits for.
    waiting: Arc<AtomicUsize>,
}

impl Server {
    async fn start(play: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://127.0.0.1:{}/mcp", listener.local_addr().expect("an address").port());
        let server = Self { url, asked: Arc::default(), waiting: Arc::default() };
        let (asked, waiting, play) = (Arc::clone(&server.asked), Arc::clone(&server.waiting), Arc::new(play));
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let (asked, waiting, play) = (Arc::clone(&asked), Arc::clone(&waiting), Arc::clone(&play));
                tokio::spawn(async move { talk(io, &asked, &waiting, &*play).await });
            }
        });
        server
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }

    fn methods(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.method().to_owned()).filter(|method| !method.is_empty()).collect()
    }

    async fn connect(&self, deadlines: Deadlines) -> Result<Session, ClientFault> {
        connect(&upstream(), target(&self.url), no_headers(), deadlines, None).await
    }
}

async fn talk(
    io: TcpStream,
    asked: &std::sync::Mutex<Vec<Asked>>,
    waiting: &AtomicUsize,
    play: &(impl Fn(&Asked) -> Reply + ?Sized),
) {
    let mut io = BufReader::new(io);
    while let Some(request) = read(&mut io).await {
        asked.lock().expect("not poisoned").push(request.clone());
        let (text, then) = match play(&request) {
            Reply::Raw(text) => (text, None),
            Reply::Open(text) => (text, Some(true)),
            Reply::Cut(text) => (text, Some(false)),
        };
        let _ = io.write_all(text.as_bytes()).await;
        let _ = io.flush().await;
        match then {
            None => {}
            Some(false) => return,
            Some(true) => {
                waiting.fetch_add(1, Ordering::SeqCst);
                let _ = io.read_u8().await;
                waiting.fetch_sub(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

async fn read(io: &mut BufReader<TcpStream>) -> Option<Asked> {
    let (mut line, mut headers) = (String::new(), Vec::new());
    io.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    loop {
        let mut header = String::new();
        io.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap_or(0));
    let mut body = vec![0; length];
    io.read_exact(&mut body).await.ok()?;
    Some(Asked { line: line.trim().to_owned(), headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

fn upstream() -> SharedUpstream {
    SharedUpstream::start(&Arc::new(EgressPolicy::new(vec!["127.0.0.0/8".parse().expect("a network")])))
}

fn target(url: &str) -> Target {
    Target::of(&Url::parse(url).expect("a url")).expect("a target")
}

fn no_headers() -> Arc<dyn HeaderSource> {
    Arc::new(|| Ok(HeaderMap::new()))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn call(name: &'static str) -> CallToolRequestParams {
    CallToolRequestParams::new(name).with_arguments(json!({ "a": 1 }).as_object().expect("an object").clone())
}

#[tokio::test]
async fn a_modern_server_is_asked_without_a_handshake_and_its_schemas_stay_whole() {
    let server = Server::start(modern(|_| None)).await;
    let session = server.connect(PLENTY).await.expect("greeted");
    assert_eq!(session.era(), Era::Modern);
    let tools = session.list_tools().await.expect("a list");
    assert_eq!(serde_json::to_value(&tools).expect("json"), json!([tool("look")]));
    assert_eq!(server.methods(), ["server/discover", "tools/list"]);
    let listed = server.asked().remove(1);
    assert_eq!(listed.header("mcp-method"), Some("tools/list"));
    assert_eq!(listed.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(listed.header("mcp-session-id"), None);
    session.close().await;
}

#[tokio::test]
async fn a_legacy_server_gets_its_handshake_its_session_and_the_end_of_it() {
    let server = Server::start(legacy(|_| None)).await;
    let session = server.connect(PLENTY).await.expect("greeted");
    assert_eq!(session.era(), Era::Legacy);
    assert_eq!(session.list_tools().await.expect("a list").len(), 1);
    session.close().await;
    let asked = server.asked();
    assert_eq!(server.methods(), ["server/discover", "initialize", "notifications/initialized", "tools/list"]);
    assert_eq!(asked[1].body["params"]["protocolVersion"], "2025-11-25");
    let session_of = |asked: &Asked| asked.header("mcp-session-id").map(str::to_owned);
    assert_eq!(
        asked.iter().map(session_of).collect::<Vec<_>>()[1..4],
        [None, Some("theirs".into()), Some("theirs".into())]
    );
    let last = asked.last().expect("a request");
    assert_eq!((last.line.as_str(), last.header("mcp-session-id")), ("DELETE /mcp HTTP/1.1", Some("theirs")));
    assert!(asked.iter().all(|asked| !asked.line.starts_with("GET")), "no stream is opened that nobody listens to");
}

#[tokio::test]
async fn the_headers_are_made_anew_for_each_request_and_cannot_displace_the_protocols() {
    let server = Server::start(modern(|_| None)).await;
    let count = AtomicUsize::new(0);
    let headers = move || -> Result<HeaderMap, HeaderFault> {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let mut headers = HeaderMap::new();
        headers.insert("x-keyrack-assertion", number.into());
        headers.insert("mcp-method", "nonsense".parse()?);
        headers.insert("accept", "text/html".parse()?);
        Ok(headers)
    };
    let session = connect(&upstream(), target(&server.url), Arc::new(headers), PLENTY, None).await.expect("greeted");
    session.list_tools().await.expect("a list");
    session.list_tools().await.expect("a list");
    let asked = server.asked();
    let assertions: Vec<_> = asked.iter().filter_map(|asked| asked.header("x-keyrack-assertion")).collect();
    assert_eq!(assertions, ["0", "1", "2"]);
    assert_eq!(asked[1].header("mcp-method"), Some("tools/list"));
    assert_eq!(asked[1].header("accept"), Some("application/json, text/event-stream"));
}

/// What a server saw of `Mcp-Param-A` when a tool was called that an earlier session listed.
async fn mirrored(server: &Server) -> Option<String> {
    let mut known = tool("look");
    known["inputSchema"]["properties"] = json!({ "a": { "type": "integer", "x-mcp-header": "A" } });
    let session = server.connect(PLENTY).await.expect("greeted");
    session.knows(&serde_json::from_value(known).expect("a tool"));
    // What it answers is of no interest.
    let _ = session.call_tool(call("look"), &CancellationToken::new()).await;
    let asked = server.asked();
    let called = asked.iter().find(|asked| asked.method() == "tools/call").expect("called");
    called.header("mcp-param-a").map(str::to_owned)
}

#[tokio::test]
async fn a_modern_server_sees_in_headers_what_a_tool_of_an_earlier_session_wants_there() {
    assert_eq!(mirrored(&Server::start(modern(|_| None)).await).await.as_deref(), Some("1"));
    assert_eq!(mirrored(&Server::start(legacy(|_| None)).await).await, None);
}

#[tokio::test]
async fn without_headers_nothing_is_sent() {
    let server = Server::start(modern(|_| None)).await;
    let headers = || -> Result<HeaderMap, HeaderFault> { Err("no key".into()) };
    let fault = connect(&upstream(), target(&server.url), Arc::new(headers), PLENTY, None).await.err();
    assert!(matches!(fault, Some(ClientFault::Headers(_))), "{fault:?}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_and_one_that_must_not_be_reached_are_unreachable() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    for url in [format!("http://{gone}/mcp"), "http://10.0.0.1/mcp".to_owned()] {
        let fault = connect(&upstream(), target(&url), no_headers(), PLENTY, None).await.err();
        let Some(ClientFault::Unreachable(HttpFault::Upstream(why))) = &fault else { panic!("{fault:?}") };
        assert_eq!(matches!(why, UpstreamFault::Egress(_)), url.contains("10.0.0.1"), "{why:?}");
    }
}

#[tokio::test]
async fn a_refused_credential_is_told_from_everything_else_and_not_taken_for_another_era() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let refusal = move |_: &Asked| http(status, "www-authenticate: Bearer realm=\"theirs\"\r\n", "");
        let server = Server::start(refusal).await;
        let fault = server.connect(PLENTY).await.err();
        assert!(matches!(fault, Some(ClientFault::Refused(code)) if status.starts_with(code.as_str())), "{fault:?}");
        assert_eq!(server.methods(), ["server/discover"]);
        let later = Server::start(modern(move |asked| (asked.method() == "tools/list").then(|| refusal(asked)))).await;
        let fault = later.connect(PLENTY).await.expect("greeted").list_tools().await.err();
        assert!(matches!(fault, Some(ClientFault::Refused(_))), "{fault:?}");
    }
}

#[tokio::test]
async fn other_statuses_stay_what_they_are() {
    let busy = |_: &Asked| http("503 Service Unavailable", "retry-after: 7\r\n", "");
    let fault = Server::start(busy).await.connect(PLENTY).await.err();
    let Some(ClientFault::Status { status, retry_after }) = fault else { panic!("{fault:?}") };
    assert_eq!((status.as_u16(), retry_after.as_deref()), (503, Some("7")));
}

#[tokio::test]
async fn an_error_of_the_protocol_is_kept_whole_whatever_status_and_id_it_comes_with() {
    for id in [json!(null), json!("server-error"), json!(1)] {
        let server = Server::start(modern(move |asked| {
            let error = json!({ "code": -32042, "message": "No.", "data": { "kept": ["whole"] } });
            let body = json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string();
            (asked.method() == "tools/call")
                .then(|| http("400 Bad Request", "content-type: application/json\r\n", &body))
        }))
        .await;
        let session = server.connect(PLENTY).await.expect("greeted");
        let fault = session.call_tool(call("look"), &CancellationToken::new()).await.err();
        let Some(ClientFault::Server(error)) = fault else { panic!("{fault:?}") };
        assert_eq!((error.code, &*error.message), (ErrorCode(-32042), "No."));
        assert_eq!(error.data, Some(json!({ "kept": ["whole"] })));
    }
}

#[tokio::test]
async fn a_redirect_is_followed_once_and_within_the_origin() {
    let inside = Server::start(|asked: &Asked| match asked.line.as_str() {
        "POST /mcp HTTP/1.1" => http("308 Permanent Redirect", "location: /moved\r\n", ""),
        _ => modern(|_| None)(asked),
    })
    .await;
    let session = inside.connect(PLENTY).await.expect("greeted");
    assert_eq!(session.list_tools().await.expect("a list").len(), 1);

    let elsewhere = Server::start(modern(|_| None)).await;
    let to = format!("location: {}\r\n", elsewhere.url);
    for (status, location) in [
        ("307 Temporary Redirect", to.clone()),
        ("302 Found", "location: /moved\r\n".to_owned()),
        ("308 Permanent Redirect", "location: /mcp\r\n".to_owned()),
    ] {
        let server = Server::start(move |_: &Asked| http(status, &location, "")).await;
        let fault = server.connect(PLENTY).await.err();
        assert!(matches!(fault, Some(ClientFault::Redirected)), "{status}: {fault:?}");
        assert!(server.asked().len() <= 2, "followed once at most");
    }
    assert!(elsewhere.asked().is_empty(), "nothing, and no credential, went to another origin");
}

#[tokio::test]
async fn time_is_up_in_the_handshake_and_in_a_request() {
    let silent = Server::start(|_: &Asked| Reply::Open(String::new())).await;
    let fault = silent.connect(Deadlines { handshake: SOON, ..PLENTY }).await.err();
    assert!(matches!(fault, Some(ClientFault::TimedOut)), "{fault:?}");
    until("the server hears that nobody waits", || silent.waiting.load(Ordering::SeqCst) == 0).await;

    let slow = modern(|asked| {
        let trickle = Reply::Open(format!("{EVENTS}: still there\n\n"));
        (asked.method() == "tools/call").then_some(trickle)
    });
    let server = Server::start(slow).await;
    let session = server.connect(Deadlines { answer: SOON, ..PLENTY }).await.expect("greeted");
    let fault = session.call_tool(call("look"), &CancellationToken::new()).await.err();
    assert!(matches!(fault, Some(ClientFault::TimedOut)), "{fault:?}");
    until("the stream is given up", || server.waiting.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_cancelled_call_reaches_the_server() {
    let server =
        Server::start(modern(|asked| (asked.method() == "tools/call").then(|| Reply::Open(EVENTS.to_owned())))).await;
    let session = server.connect(PLENTY).await.expect("greeted");
    let cancel = CancellationToken::new();
    let (cancelled, calling) = (cancel.clone(), session.clone());
    let calling = tokio::spawn(async move { calling.call_tool(call("look"), &cancelled).await });
    until("the call is under way", || server.waiting.load(Ordering::SeqCst) == 1).await;
    cancel.cancel();
    let fault = calling.await.expect("no panic").err();
    assert!(matches!(fault, Some(ClientFault::Cancelled)), "{fault:?}");
    until("the modern server sees the end of the stream", || server.waiting.load(Ordering::SeqCst) == 0).await;

    let old = Server::start(legacy(|asked| match asked.method() {
        "tools/call" => Some(Reply::Open(EVENTS.to_owned())),
        "notifications/cancelled" => Some(http("202 Accepted", "", "")),
        _ => None,
    }))
    .await;
    let session = old.connect(PLENTY).await.expect("greeted");
    let caller = session.clone();
    let calling = tokio::spawn(async move { caller.call_tool(call("look"), &CancellationToken::new()).await });
    until("the call is under way", || old.waiting.load(Ordering::SeqCst) == 1).await;
    calling.abort();
    until("the legacy server is told", || old.methods().iter().any(|method| method == "notifications/cancelled")).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_so_and_is_no_error_of_the_servers() {
    let cut = |asked: &Asked| {
        let part = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": { "content": [] } }).to_string();
        Reply::Cut(format!("{EVENTS}data: {}", &part[..part.len() - 5]))
    };
    let server = Server::start(modern(move |asked| (asked.method() == "tools/call").then(|| cut(asked)))).await;
    let session = server.connect(PLENTY).await.expect("greeted");
    let fault = session.call_tool(call("look"), &CancellationToken::new()).await.err();
    assert!(matches!(fault, Some(ClientFault::Unreachable(_))), "{fault:?}");
    assert_eq!(server.methods().iter().filter(|method| *method == "tools/call").count(), 1, "it is not called again");
}

#[tokio::test]
async fn input_that_a_server_wants_is_the_callers_to_give() {
    let wants = |asked: &Asked| {
        let form = json!({ "type": "object", "properties": {} });
        let params = json!({ "mode": "form", "message": "Sure?", "requestedSchema": form });
        let request = json!({ "method": "elicitation/create", "params": params });
        answer(
            asked,
            json!({ "resultType": "input_required", "inputRequests": { "sure": request }, "requestState": "opaque" }),
        )
    };
    let server = Server::start(modern(move |asked| (asked.method() == "tools/call").then(|| wants(asked)))).await;
    let session = server.connect(PLENTY).await.expect("greeted");
    let response = session.call_tool(call("look"), &CancellationToken::new()).await.expect("an answer");
    let CallToolResponse::InputRequired(input) = response else { panic!("{response:?}") };
    assert_eq!(input.request_state.as_deref(), Some("opaque"));
    assert_eq!(server.methods().len(), 2, "nothing is asked again");
}

#[tokio::test]
async fn a_result_keeps_its_structure_and_meta() {
    let result = json!({
        "resultType": "complete", "content": [{ "type": "text", "text": "hi", "_meta": { "a/b": 1 } }],
        "structuredContent": { "deep": [{ "x": null }] }, "isError": true, "_meta": { "c/d": "e" },
    });
    let sent = result.clone();
    let server = Server::start(modern(move |asked| {
        (asked.method() == "tools/call").then(|| {
            let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": sent }).to_string();
            Reply::Cut(format!("{EVENTS}id: 1\nevent: message\ndata: {body}\n\n"))
        })
    }))
    .await;
    let session = server.connect(PLENTY).await.expect("greeted");
    let response = session.call_tool(call("look"), &CancellationToken::new()).await.expect("an answer");
    let CallToolResponse::Complete(read) = response else { panic!("{response:?}") };
    assert_eq!(serde_json::to_value(read).expect("json"), result);
    let asked = server.asked().pop().expect("a request");
    assert_eq!((asked.header("mcp-name"), &asked.body["params"]["arguments"]), (Some("look"), &json!({ "a": 1 })));
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_never_without_end() {
    let pages = std::sync::Mutex::new(VecDeque::from([json!("two"), json!(null)]));
    let server = Server::start(modern(move |asked| {
        (asked.method() == "tools/list").then(|| {
            let next = pages.lock().expect("not poisoned").pop_front().unwrap_or_default();
            let name = asked.body["params"]["cursor"].as_str().unwrap_or("one").to_owned();
            let mut result = json!({ "resultType": "complete", "tools": [tool(&name)] });
            if !next.is_null() {
                result["nextCursor"] = next;
            }
            answer(asked, result)
        })
    }))
    .await;
    let tools = server.connect(PLENTY).await.expect("greeted").list_tools().await.expect("a list");
    assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["one", "two"]);

    let endless = Server::start(modern(|asked| {
        let page = json!({ "resultType": "complete", "tools": [tool("again")], "nextCursor": "more" });
        (asked.method() == "tools/list").then(|| answer(asked, page))
    }))
    .await;
    let fault = endless.connect(PLENTY).await.expect("greeted").list_tools().await.err();
    assert!(matches!(fault, Some(ClientFault::Protocol(_))), "{fault:?}");
    assert_eq!(endless.methods().len(), 1 + PAGES_MAX);
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_not_cut_short() {
    let many: Vec<Value> = (0..=ITEMS_MAX).map(|number| tool(&format!("t{number}"))).collect();
    let server = Server::start(modern(move |asked| {
        let page = json!({ "resultType": "complete", "tools": many });
        (asked.method() == "tools/list").then(|| answer(asked, page))
    }))
    .await;
    let fault = server.connect(PLENTY).await.expect("greeted").list_tools().await.err();
    assert!(matches!(fault, Some(ClientFault::Protocol(_))), "{fault:?}");

    let text = "x".repeat(body::MESSAGE_MAX + 1);
    let long = Server::start(modern(move |asked| {
        let result = json!({ "content": [{ "type": "text", "text": text }] });
        let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": result }).to_string();
        match asked.method() {
            "tools/call" if asked.body["params"]["name"] == "events" => {
                Some(Reply::Cut(format!("{EVENTS}data: {body}\n\n")))
            }
            "tools/call" => Some(http("200 OK", "content-type: application/json\r\n", &body)),
            _ => None,
        }
    }))
    .await;
    let session = long.connect(PLENTY).await.expect("greeted");
    for name in ["events", "json"] {
        let fault = session.call_tool(call(name), &CancellationToken::new()).await.err();
        assert!(matches!(fault, Some(ClientFault::Protocol(_))), "{name}: {fault:?}");
    }
}

#[tokio::test]
async fn what_a_server_does_not_have_is_not_there_and_is_no_fault() {
    let server = Server::start(legacy(|_| None)).await;
    let session = server.connect(PLENTY).await.expect("greeted");
    assert!(session.list_prompts().await.expect("none").is_empty());
    assert!(!server.methods().iter().any(|method| method == "prompts/list"), "what is not declared is not asked for");
    let modern = Server::start(modern(|_| None)).await;
    let session = modern.connect(PLENTY).await.expect("greeted");
    assert!(session.list_resource_templates().await.expect("none").is_empty(), "declared, and the method not known");
}

#[tokio::test]
async fn what_is_no_message_breaks_the_protocol() {
    for (kind, body) in [
        ("text/html", "<html>"),
        ("application/json", "{"),
        ("application/json", r#"{"jsonrpc":"2.0","id":"other","result":{}}"#),
        ("application/json", r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#),
    ] {
        let server = Server::start(modern(move |asked| {
            (asked.method() == "tools/list").then(|| http("200 OK", &format!("content-type: {kind}\r\n"), body))
        }))
        .await;
        let fault = server.connect(PLENTY).await.expect("greeted").list_tools().await.err();
        assert!(matches!(fault, Some(ClientFault::Protocol(_))), "{body}: {fault:?}");
    }
}
