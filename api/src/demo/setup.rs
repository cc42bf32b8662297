//! Setting the demo up through the public REST interface.

use reqwest::Client;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::notes::NotesServer;
use crate::server::Running;

/// A demo that is ready to be used.
pub struct Demo {
    /// How to reach it, without a slash at the end.
    pub base: String,
    /// The owner's access token.
    pub access_token: String,
    /// The owner's user id.
    pub user_id: String,
    /// A key of each type.
    pub solo: DemoKey,
    /// For one company.
    pub client: DemoKey,
    /// For a SaaS with two customers.
    pub platform: DemoKey,
    /// For plain requests.
    pub http: Client,
}

/// A key of the demo.
pub struct DemoKey {
    /// Its id.
    pub id: String,
    /// Its token.
    pub token: String,
}

impl Demo {
    /// The sample server behind the gateway.
    pub fn endpoint(&self, query: &str) -> String {
        format!("{}/mcp-connect/notes/mcp{query}", self.base)
    }
}

/// Signs up, registers the sample server, and creates the keys.
pub async fn through_the_api(running: &Running, notes: &NotesServer) -> Result<Demo, String> {
    let http = Client::new();
    let base = running.public_url.as_str().trim_end_matches('/').to_owned();
    let bootstrap = running.bootstrap_token.as_ref().ok_or("the installation is not fresh")?;
    let password = domain::root::random_text().map_err(|error| error.to_string())?;
    let session = post(
        &http,
        &format!("{base}/api/v1/auth/signup"),
        None,
        &json!({
            "email": "ann@example.com",
            "password": password,
            "displayName": "Ann",
            "organization": {"name": "Acme", "slug": "acme"},
            "bootstrapToken": bootstrap.expose_secret(),
        }),
    )
    .await?;
    let access_token = text(&session, "/accessToken")?;
    let user_id = text(&session, "/user/id")?;
    post(
        &http,
        &format!("{base}/api/v1/mcp-servers"),
        Some(&access_token),
        &json!({
            "name": "Notes",
            "slug": "notes",
            "url": notes.url,
        }),
    )
    .await?;
    let key = async |body: Value| -> Result<DemoKey, String> {
        let created = post(&http, &format!("{base}/api/v1/api-keys"), Some(&access_token), &body).await?;
        Ok(DemoKey { id: text(&created, "/apiKey/id")?, token: text(&created, "/token")? })
    };
    let solo = key(json!({"name": "Ann's laptop", "type": "solo"})).await?;
    let client =
        key(json!({"name": "Acme's team", "type": "client", "tenants": {"users": ["marina", "otto"]}})).await?;
    let platform = key(json!({
        "name": "Acme's customers",
        "type": "platform",
        "tenants": {"orgs": [{"id": "globex", "users": "*"}, {"id": "initech", "users": "*"}]},
    }))
    .await?;
    Ok(Demo { base, access_token, user_id, solo, client, platform, http })
}

async fn post(http: &Client, url: &str, token: Option<&str>, body: &Value) -> Result<Value, String> {
    let mut request = http.post(url).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.map_err(|error| format!("{url}: {error}"))?;
    let status = response.status();
    let answer: Value = response.json().await.map_err(|error| format!("{url}: {error}"))?;
    if status.is_success() { Ok(answer) } else { Err(format!("{url}: {status}: {answer}")) }
}

fn text(value: &Value, pointer: &str) -> Result<String, String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| format!("the answer has no {pointer}"))
}
