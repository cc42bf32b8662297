//! Servers that answer what a test wrote down, and remember what they were asked.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::*;

pub(super) const SERVER: &str = "https://mcp.example.com/mcp";

/// A request, as far as tests look at it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) target: String,
    pub(super) authorization: Option<String>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn form(&self) -> HashMap<String, String> {
        form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

#[derive(Default)]
pub(super) struct Script {
    answers: Mutex<HashMap<String, (u16, String, String)>>,
    asked: Mutex<Vec<Asked>>,
}

impl Script {
    /// Everything that is not written down is 404.
    pub(super) fn answer(&self, target: &str, status: u16, body: &Value) {
        self.answers.lock().expect("a lock").insert(target.to_owned(), (status, String::new(), body.to_string()));
    }

    pub(super) fn challenge(&self, value: &str) {
        let answer = (401, value.to_owned(), "{}".to_owned());
        self.answers.lock().expect("a lock").insert(format!("POST {SERVER}"), answer);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a lock").clone()
    }

    pub(super) fn last(&self) -> Asked {
        self.asked().pop().expect("something was asked")
    }

    /// A server and its authorization server, both as they should be.
    pub(super) fn good() -> Arc<Self> {
        let script = Self::default();
        script.challenge(r#"Bearer resource_metadata="https://mcp.example.com/prm""#);
        script.answer("GET https://mcp.example.com/prm", 200, &resource());
        script.answer("GET https://auth.example.com/.well-known/oauth-authorization-server", 200, &server());
        Arc::new(script)
    }
}

pub(super) fn resource() -> Value {
    json!({"resource": SERVER, "authorization_servers": ["https://auth.example.com"], "scopes_supported": ["a", "b"]})
}

pub(super) fn server() -> Value {
    json!({
        "issuer": "https://auth.example.com",
        "authorization_endpoint": "https://auth.example.com/authorize?audience=x",
        "token_endpoint": "https://auth.example.com/token",
        "registration_endpoint": "https://auth.example.com/register",
        "code_challenge_methods_supported": ["plain", "S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
        "authorization_response_iss_parameter_supported": true,
    })
}

/// `base` with some fields changed; null takes one away.
pub(super) fn with(mut base: Value, changes: Value) -> Value {
    let fields = base.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        fields.insert(name.clone(), value.clone());
    }
    fields.retain(|_, value| !value.is_null());
    base
}

pub(super) fn client(script: &Arc<Script>) -> OAuthClient {
    let http: Arc<dyn OAuthHttp> = Arc::clone(script) as _;
    let redirect = "https://keyrack.example.com/connect/callback".to_owned();
    OAuthClient::new(http, Arc::new(EgressPolicy::default()), redirect)
}

pub(super) fn url(text: &str) -> VettedUrl {
    VettedUrl::stored(text).expect("a URL")
}

#[async_trait]
impl OAuthHttp for Script {
    async fn send(&self, ask: Ask) -> Result<Reply, HttpFault> {
        let target = format!("{} {}", ask.method, ask.url.as_url());
        let (status, challenge, body) =
            self.answers.lock().expect("a lock").get(&target).cloned().unwrap_or((404, String::new(), "no".to_owned()));
        let authorization = ask.headers.get(AUTHORIZATION).map(|value| value.to_str().expect("text").to_owned());
        let said = String::from_utf8(ask.body.to_vec()).expect("text");
        self.asked.lock().expect("a lock").push(Asked { target, authorization, body: said });
        let mut headers = http::HeaderMap::new();
        if !challenge.is_empty() {
            headers.insert(WWW_AUTHENTICATE, challenge.parse().expect("a value"));
        }
        let body = if ask.reads == Reads::Whole { body.into() } else { bytes::Bytes::new() };
        Ok(Reply { status: status.try_into().expect("a status"), headers, body })
    }
}
