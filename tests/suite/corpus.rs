//! The guard and the redactor against calls as agents make them (tests/corpus): what has no secret passes, what has one
//! does not, and what is kept of a call is whole but for its secrets.

use std::fmt::Write;
use std::path::PathBuf;

use domain::guard::{AllowedFields, Refused, inspect_message};
use domain::key::token::exposed;
use domain::key::{IssuedToken, KeyPrefix, TokenKeys};
use domain::mcp::Envelope;
use domain::redact;
use domain::root::RootSecret;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use support::{App, Upstream};

/// Fewest calls of each kind.
const LEAST: usize = 200;
/// Most harmless calls in a thousand that may be refused or altered.
const WRONG_PER_THOUSAND: usize = 5;

#[derive(Deserialize)]
struct Line<'a> {
    /// Where the secret is; none in a harmless call.
    path: Option<String>,
    tool: String,
    // As it is written: escapes are part of what is tested.
    #[serde(borrow)]
    arguments: &'a RawValue,
}

struct Call {
    /// File and line.
    place: String,
    path: Option<String>,
    tool: String,
    arguments: String,
}

impl Call {
    fn message(&self) -> String {
        let tool = json!(self.tool);
        let params = format!(r#"{{"name":{tool},"arguments":{}}}"#, self.arguments);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
    }
}

/// The calls of a folder, with this key where one belongs.
fn calls(folder: &str, key: &str) -> Vec<Call> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(folder);
    let mut files: Vec<_> = folder.read_dir().expect("the corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a text");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let call = |(number, line): (usize, &str)| {
            let place = format!("{name}:{}", number + 1);
            let line: Line<'_> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{place}: {error}"));
            Call { path: line.path, tool: line.tool, arguments: with_key(line.arguments.get(), key), place }
        };
        text.lines().enumerate().map(call).collect::<Vec<_>>()
    };
    files.iter().flat_map(read).collect()
}

fn with_key(text: &str, key: &str) -> String {
    let each = |escape: fn(char) -> String| key.chars().map(escape).collect::<String>();
    let underscores = |escape: &str| key.replace('_', escape);
    let percent = each(|c| format!("%{:02X}", u32::from(c)));
    [
        ("{{key}}", key.to_owned()),
        ("{{key|percent-underscores}}", underscores("%5f")),
        ("{{key|double-percent}}", percent.replace('%', "%25")),
        ("{{key|percent}}", percent),
        ("{{key|unicode}}", each(|c| format!("\\u{:04x}", u32::from(c)))),
        ("{{key|unicode-underscores}}", underscores("\\u005F")),
        ("{{key|text-unicode}}", each(|c| format!("\\\\u{:04x}", u32::from(c)))),
        ("{{key|text-unicode-underscores}}", underscores("\\\\u005f")),
        ("{{key|text-hex-underscores}}", underscores("\\\\x5f")),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (name, written)| text.replace(name, &written))
}

fn keys() -> TokenKeys {
    TokenKeys::derive(&RootSecret::new([9; 32]).expect("long enough"))
}

fn key_under(prefix: &str) -> String {
    let prefix: KeyPrefix = prefix.parse().expect("a prefix");
    exposed(&IssuedToken::issue(&prefix, &keys()).expect("randomness").reveal()).to_owned()
}

/// Where the guard refuses a call, if it does.
fn refused_at(call: &Call, keys: &TokenKeys) -> Option<String> {
    let message = call.message();
    let envelope = Envelope::read(message.as_bytes()).expect("a message");
    match inspect_message(&envelope, &AllowedFields::default(), keys) {
        Ok(()) => None,
        Err(Refused::Secret(argument)) => Some(argument.path),
        Err(Refused::Unreadable) => panic!("{} cannot be read: {}", call.place, call.message()),
    }
}

fn at_most(wrong: &[String], all: usize) {
    let list = wrong.iter().fold(String::new(), |mut list, line| {
        let _ = writeln!(list, "{line}");
        list
    });
    assert!(wrong.len() * 1000 <= all * WRONG_PER_THOUSAND, "{} of {all}:\n{list}", wrong.len());
}

#[test]
fn calls_without_a_secret_pass() {
    let calls = calls("harmless", "");
    assert!(calls.len() >= LEAST, "{} calls", calls.len());
    let keys = keys();
    let wrong = |call: &Call| refused_at(call, &keys).map(|path| format!("{} {path}: {}", call.place, call.arguments));
    at_most(&calls.iter().filter_map(wrong).collect::<Vec<_>>(), calls.len());
}

#[test]
fn every_call_with_a_secret_is_refused_at_its_place_and_nothing_of_it_is_told() {
    let keys = keys();
    for prefix in ["kr", "acme2", "a234567890123456"] {
        let key = key_under(prefix);
        let calls = calls("secret", &key);
        assert!(calls.len() >= LEAST, "{} calls", calls.len());
        for call in calls {
            assert_eq!(refused_at(&call, &keys), call.path, "{}: {}", call.place, call.message());
        }
    }
}

#[test]
fn without_their_secret_the_same_calls_pass_or_are_refused_for_their_names_alone() {
    // A key of another installation: the corpus tells keys from look-alikes, and not by the words around them.
    let (keys, foreign) = (TokenKeys::derive(&RootSecret::new([8; 32]).expect("long enough")), key_under("kr"));
    let own_keys = calls("secret", &foreign).into_iter().filter(|call| call.place.starts_with("own_keys"));
    for call in own_keys {
        assert_eq!(refused_at(&call, &keys), None, "{}: {}", call.place, call.message());
    }
}

#[test]
fn the_redactor_leaves_calls_without_a_secret_as_they_are() {
    let calls = calls("harmless", "");
    let altered = |call: &Call| {
        let arguments: Value = serde_json::from_str(&call.arguments).expect("JSON");
        let redacted = redact::value(arguments.clone());
        (redacted != arguments).then(|| format!("{}: {redacted}", call.place))
    };
    at_most(&calls.iter().filter_map(altered).collect::<Vec<_>>(), calls.len());
}

#[test]
fn the_redactor_leaves_nothing_of_what_the_guard_refuses() {
    let key = key_under("kr");
    for call in calls("secret", &key) {
        let arguments: Value = serde_json::from_str(&call.arguments).expect("JSON");
        let redacted = redact::value(arguments).to_string();
        assert!(!redacted.contains(&key[20..]), "{}: {redacted}", call.place);
        // The guard has nothing left to refuse but names, whose values are gone; and the same once escapes are off.
        let said = format!("{}: {redacted}", call.place);
        for text in [redacted.clone(), percent_encoding::percent_decode_str(&redacted).decode_utf8_lossy().into_owned()]
        {
            assert!(!domain::guard::holds_token(&text, &keys()), "{said}");
        }
    }
}

#[tokio::test]
async fn over_http_the_guard_judges_as_it_does_alone() {
    const EVERY: usize = 9;
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let token = acme.solo().await.token;
    let send = async |call: &Call| {
        let caller = app.key(&token).and("content-type", "application/json");
        let request = caller.request(reqwest::Method::POST, "/mcp-connect/up/mcp").body(call.message());
        caller.send(call.place.clone(), request).await
    };
    let harmless: Vec<_> = calls("harmless", "").into_iter().step_by(EVERY).collect();
    for call in &harmless {
        let answer = send(call).await;
        assert_eq!((answer.status, answer.code().as_str()), (200, ""), "{}: {}", call.place, answer.body);
    }
    assert_eq!(upstream.seen().len(), harmless.len());
    for call in calls("secret", &token).into_iter().step_by(EVERY) {
        let answer = send(&call).await;
        let body = answer.refused(200, "secret_argument").json();
        let message = body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(call.path.as_deref().expect("a path")), "{}: {message}", call.place);
        assert!(!answer.body.contains(&token[20..]), "{}: {}", call.place, answer.body);
    }
    assert_eq!(upstream.seen().len(), harmless.len(), "nothing more was sent");
}

#[tokio::test]
async fn however_long_a_name_is_a_refusal_stays_short() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let token = acme.solo().await.token;
    let name = format!("{}_password", "n".repeat(1 << 20));
    let nested = (0..100).fold(json!({(name.as_str()): "hunter2"}), |inner, _| json!({(&name[..1000]): inner}));
    let answer = app.key(&token).mcp("up", "", "tools/call", json!({"name": "x", "arguments": nested})).await;
    answer.refused(200, "secret_argument");
    assert!(answer.body.len() < 1024 && !answer.body.contains("hunter2"), "{} bytes", answer.body.len());
}
