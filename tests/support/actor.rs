//! Actors: who asks. An actor has credentials and asks through them alone.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Answer, App};

/// Somebody with credentials, or nobody.
#[derive(Debug, Clone)]
pub struct Actor {
    base: String,
    http: Client,
    headers: Vec<(String, String)>,
}

impl Actor {
    pub(crate) fn new(app: &App, headers: Vec<(String, String)>) -> Self {
        Self { base: app.base.clone(), http: app.http.clone(), headers }
    }

    /// The same at another node.
    #[must_use]
    pub fn at(&self, node: &App) -> Self {
        Self { base: node.base.clone(), http: node.http.clone(), headers: self.headers.clone() }
    }

    /// The same with one header more.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A request with this actor's headers.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Sends a request to its end.
    pub async fn send(&self, asked: String, request: RequestBuilder) -> Answer {
        match request.send().await {
            Ok(response) => Answer::read(asked, response).await,
            Err(error) => panic!("{asked}: {error:?}\n{}", crate::logs::tail()),
        }
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path}"), self.request(Method::GET, path)).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.with_body(Method::POST, path, body).await
    }

    /// Any method with a JSON body.
    pub async fn with_body(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send(format!("{method} {path} {body}"), self.request(method.clone(), path).json(body)).await
    }

    /// `DELETE`
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(format!("DELETE {path}"), self.request(Method::DELETE, path)).await
    }

    /// A JSON-RPC request through the gateway.
    pub async fn mcp(&self, server: &str, query: &str, method: &str, params: Value) -> Answer {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.mcp_message(server, query, &message).await
    }

    /// Any message through the gateway.
    pub async fn mcp_message(&self, server: &str, query: &str, message: &Value) -> Answer {
        let path = format!("/mcp-connect/{server}/mcp{query}");
        let request = self
            .request(Method::POST, &path)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(message);
        self.send(format!("POST {path} {message}"), request).await
    }
}

/// A key as its creator gets it.
#[derive(Debug, Clone)]
pub struct Key {
    /// `key_…`
    pub id: String,
    /// The token.
    pub token: String,
    /// The whole answer's `apiKey`.
    pub view: Value,
}

/// A member besides the owner, signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// `usr_…`
    pub id: String,
    /// The e-mail address.
    pub email: String,
    /// The access token.
    pub access_token: String,
    /// The refresh token's cookie, as a client sends it.
    pub cookie: String,
    base: Actor,
}

/// What every person of the tests has as password.
pub const PASSWORD: &str = "correct horse battery";

impl Person {
    /// Reads a person from an answer with a session.
    pub fn of(base: &Actor, answer: &Answer, status: u16) -> Self {
        let session = answer.expect(status);
        let text = |pointer: &str| session.pointer(pointer).and_then(Value::as_str).expect("a session").to_owned();
        Self {
            id: text("/user/id"),
            email: text("/user/email"),
            access_token: text("/accessToken"),
            cookie: cookie_of(answer),
            base: base.clone(),
        }
    }

    /// The person, with their access token.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.base.clone().and("authorization", &format!("Bearer {}", self.access_token))
    }

    /// The person with the whole session: the access token and the refresh token's cookie.
    #[must_use]
    pub fn session(&self) -> Actor {
        self.actor().and("cookie", &self.cookie)
    }

    /// Refreshes the session that the person began with.
    pub async fn refresh(&self) -> Answer {
        self.base.clone().and("cookie", &self.cookie).post("/api/v1/auth/refresh", &json!({})).await
    }

    /// Creates a key of the person's own.
    pub async fn key(&self, body: Value) -> Key {
        create_key(&self.actor(), body).await
    }
}

/// The cookie that an answer sets, as a client sends it.
fn cookie_of(answer: &Answer) -> String {
    answer.headers["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned()
}

async fn create_key(creator: &Actor, body: Value) -> Key {
    let mut request = json!({"name": "a key"});
    if let (Some(request), Some(body)) = (request.as_object_mut(), body.as_object()) {
        request.extend(body.clone());
    }
    let created = creator.post("/api/v1/api-keys", &request).await.expect(201);
    let text = |pointer: &str| created.pointer(pointer).and_then(Value::as_str).expect("a key").to_owned();
    Key { id: text("/apiKey/id"), token: text("/token"), view: created["apiKey"].clone() }
}

/// An organization and its owner.
#[derive(Debug, Clone)]
pub struct Organization {
    /// `org_…`
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// The owner's `usr_…`.
    pub owner_id: String,
    /// The owner's access token.
    pub access_token: String,
    /// The owner's refresh token's cookie, as a client sends it.
    pub cookie: String,
    base: Actor,
    // Not held: it ends when Keyrack does.
    pub(crate) services: std::sync::Weak<api::compose::Services>,
}

impl Organization {
    pub(crate) fn new(app: &App, answer: &Answer) -> Self {
        let session = answer.expect(201);
        let text = |pointer: &str| session.pointer(pointer).and_then(Value::as_str).expect("a session").to_owned();
        Self {
            id: text("/organization/id"),
            slug: text("/organization/slug"),
            owner_id: text("/user/id"),
            access_token: text("/accessToken"),
            cookie: cookie_of(answer),
            base: app.anonymous(),
            services: std::sync::Arc::downgrade(app.services()),
        }
    }

    /// The owner, signed in.
    #[must_use]
    pub fn owner(&self) -> Actor {
        self.base.clone().and("authorization", &format!("Bearer {}", self.access_token))
    }

    /// The owner with the whole session: the access token and the refresh token's cookie.
    #[must_use]
    pub fn session(&self) -> Actor {
        self.owner().and("cookie", &self.cookie)
    }

    /// Renews the owner's session, which is over after a quarter of an hour.
    pub async fn renew_session(&mut self) {
        let answer = self.session().post("/api/v1/auth/refresh", &json!({})).await;
        answer.expect(200)["accessToken"].as_str().expect("a token").clone_into(&mut self.access_token);
        self.cookie = cookie_of(&answer);
    }

    /// Registers a server without authentication; its answer.
    pub async fn server(&self, slug: &str, url: &str) -> Value {
        self.server_with(json!({"name": slug, "slug": slug, "url": url})).await
    }

    /// Registers a server.
    pub async fn server_with(&self, body: Value) -> Value {
        self.owner().post("/api/v1/mcp-servers", &body).await.expect(201)
    }

    /// Creates a key.
    pub async fn key(&self, body: Value) -> Key {
        create_key(&self.owner(), body).await
    }

    /// Invites somebody; the whole answer's body.
    pub async fn invite(&self, email: &str, role: &str) -> Value {
        self.owner().post("/api/v1/org/invitations", &json!({"email": email, "role": role})).await.expect(201)
    }

    /// Accepts an invitation with the password that everybody has.
    pub async fn accept(&self, token: &str) -> Answer {
        let body = json!({"token": token, "password": PASSWORD});
        self.base.post("/api/v1/auth/invitations/accept", &body).await
    }

    /// Invites `name@example.com`, who accepts.
    pub async fn member(&self, name: &str, role: &str) -> Person {
        let invited = self.invite(&format!("{name}@example.com"), role).await;
        let answer = self.accept(invited["token"].as_str().expect("a token")).await;
        Person::of(&self.base, &answer, 200)
    }

    /// A solo key.
    pub async fn solo(&self) -> Key {
        self.key(json!({"type": "solo"})).await
    }

    /// A client key for every user.
    pub async fn client(&self) -> Key {
        self.key(json!({"type": "client"})).await
    }

    /// A platform key for every tenant org.
    pub async fn platform(&self) -> Key {
        self.key(json!({"type": "platform", "tenants": {"orgs": "*"}})).await
    }

    /// Revokes a key.
    pub async fn revoke(&self, id: &str) -> Value {
        self.owner().delete(&format!("/api/v1/api-keys/{id}")).await.expect(200)
    }
}
