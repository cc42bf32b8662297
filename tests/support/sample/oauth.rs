//! An MCP server behind OAuth 2.1, with its authorization server on the same port, below `/as`.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, Form, Json};
use actix_web::{App, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::form_urlencoded;

use super::grants::{Client, Consent, Counts, Grants, Mood};
use super::pages;
use super::whoami::{Caller, service};

/// How the server is.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice that servers make by themselves")]
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    /// How long access tokens last.
    pub access_lasts: Duration,
    /// Who consents without being asked; nobody, and the page asks.
    pub consents: Option<String>,
    /// Whether clients can register themselves.
    pub registers: bool,
    /// Whether clients get a secret.
    pub confidential: bool,
    /// Whether there are refresh tokens.
    pub refreshes: bool,
    /// Whether refresh tokens are replaced at each use.
    pub rotates: bool,
    /// Whether it names itself when people come back (RFC 9207).
    pub names_itself: bool,
    /// Whether the 401 says where the metadata is.
    pub challenges: bool,
    /// The authorization server that it names, if not its own.
    pub authorization_server: Option<String>,
    /// A client that somebody registered by hand: id, secret, redirect URI.
    pub client: Option<(String, String, String)>,
}

impl Default for OAuthSettings {
    fn default() -> Self {
        Self {
            access_lasts: Duration::from_hours(1),
            consents: Some("ann".to_owned()),
            registers: true,
            confidential: true,
            refreshes: true,
            rotates: true,
            names_itself: true,
            challenges: true,
            authorization_server: None,
            client: None,
        }
    }
}

struct State {
    base: String,
    settings: Mutex<OAuthSettings>,
    grants: Mutex<Grants>,
    mood: watch::Sender<Mood>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn resource(&self) -> String {
        format!("{}/mcp", self.base)
    }

    fn issuer(&self) -> String {
        format!("{}/as", self.base)
    }

    fn settings(&self) -> OAuthSettings {
        held(&self.settings).clone()
    }
}

type Shared = Data<Arc<State>>;
type Fields = HashMap<String, String>;

/// The running server.
pub struct OAuthServer {
    /// Its MCP endpoint. `whoami` answers `{"subject": …, "scope": …}`.
    pub url: String,
    /// `http://127.0.0.1:port`
    pub base: String,
    state: Arc<State>,
}

impl OAuthServer {
    /// Starts one on a free loopback port.
    #[must_use]
    pub fn start(settings: OAuthSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let mut grants = Grants::default();
        if let Some((id, secret, redirect_uri)) = settings.client.clone() {
            grants.clients.insert(id, Client { secret: Some(secret), redirect_uris: vec![redirect_uri] });
        }
        let state = Arc::new(State {
            base: base.clone(),
            settings: Mutex::new(settings),
            grants: Mutex::new(grants),
            mood: watch::Sender::new(Mood::Well),
        });
        let (shared, mcp) = (Data::new(Arc::clone(&state)), service());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/.well-known/oauth-protected-resource/mcp", web::get().to(resource_metadata))
                .route("/.well-known/oauth-authorization-server/as", web::get().to(server_metadata))
                .route("/as/register", web::post().to(register))
                .route("/as/authorize", web::get().to(authorize))
                .route("/as/consent", web::post().to(consent))
                .route("/as/token", web::post().to(token))
                .service(web::scope("").wrap(from_fn(with_a_token)).service(mcp.clone().scope_with_path("/mcp")))
        })
        .workers(1)
        .h1_allow_half_closed(false)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .expect("listening")
        .run();
        tokio::spawn(server);
        Self { url: format!("{base}/mcp"), base, state }
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        held(&self.state.grants).counts
    }

    /// Everything of value that it handed out or was shown: clients' secrets, codes and their verifiers, tokens.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        held(&self.state.grants).secrets.clone()
    }

    /// Changes how it is from now on.
    pub fn set(&self, change: impl FnOnce(&mut OAuthSettings)) {
        change(&mut held(&self.state.settings));
    }

    /// How the token endpoint feels from now on.
    pub fn feel(&self, mood: Mood) {
        self.state.mood.send_replace(mood);
    }

    /// This person takes back everything that they consented to.
    pub fn take_back(&self, subject: &str) {
        held(&self.state.grants).take_back(subject);
    }

    /// The oldest access token ends, and what it is refreshed with does not.
    pub fn expire_oldest(&self) {
        held(&self.state.grants).expire_oldest();
    }

    /// Forgets its clients.
    pub fn forget_clients(&self) {
        held(&self.state.grants).clients.clear();
    }
}

async fn resource_metadata(state: Shared) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "resource": state.resource(),
        "authorization_servers": [state.settings().authorization_server.unwrap_or_else(|| state.issuer())],
        "scopes_supported": ["whoami"],
        "bearer_methods_supported": ["header"],
    }))
}

async fn server_metadata(state: Shared) -> HttpResponse {
    let (settings, issuer) = (state.settings(), state.issuer());
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "scopes_supported": ["whoami", "offline_access"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported":
            if settings.confidential { ["client_secret_basic", "client_secret_post"] } else { ["none", "none"] },
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": settings.names_itself,
    });
    if settings.registers {
        metadata["registration_endpoint"] = json!(format!("{issuer}/register"));
    }
    HttpResponse::Ok().json(metadata)
}

async fn register(state: Shared, asked: Json<Value>) -> HttpResponse {
    let settings = state.settings();
    let uris: Vec<String> = serde_json::from_value(asked["redirect_uris"].clone()).unwrap_or_default();
    if !settings.registers || uris.is_empty() {
        return HttpResponse::BadRequest().json(json!({"error": "invalid_client_metadata"}));
    }
    let (id, client) = held(&state.grants).register(uris, settings.confidential);
    let mut answer = asked.into_inner();
    answer["client_id"] = json!(id);
    if let Some(secret) = client.secret {
        answer["client_secret"] = json!(secret);
        answer["client_secret_expires_at"] = json!(0);
    }
    HttpResponse::Created().json(answer)
}

fn fields(text: &str) -> Fields {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn go(url: &str) -> HttpResponse {
    HttpResponse::Found().insert_header((header::LOCATION, url)).finish()
}

/// The consent that a request asks for, of nobody yet; and its state. What is wrong with client or redirect URI is told
/// to the person and to nobody else.
fn asked_for(state: &State, asked: &Fields) -> Result<(Consent, String), Box<HttpResponse>> {
    let said = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let known = held(&state.grants).clients.get(&said("client_id")).cloned();
    if !known.is_some_and(|client| client.redirect_uris.contains(&said("redirect_uri"))) {
        return Err(Box::new(HttpResponse::BadRequest().body("unknown client or redirect URI")));
    }
    let good = said("response_type") == "code"
        && said("code_challenge_method") == "S256"
        && said("code_challenge").len() == 43
        && said("resource") == state.resource();
    if !good {
        return Err(Box::new(go(&format!("{}?error=invalid_request&state={}", said("redirect_uri"), said("state")))));
    }
    let consent = Consent {
        client: said("client_id"),
        redirect_uri: said("redirect_uri"),
        challenge: said("code_challenge"),
        resource: said("resource"),
        scope: said("scope"),
        subject: String::new(),
    };
    Ok((consent, said("state")))
}

fn back(state: &State, redirect_uri: &str, name: &str, value: &str, asked_state: &str) -> HttpResponse {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair(name, value).append_pair("state", asked_state);
    if state.settings().names_itself {
        query.append_pair("iss", &state.issuer());
    }
    go(&format!("{redirect_uri}?{}", query.finish()))
}

async fn authorize(state: Shared, request: HttpRequest) -> HttpResponse {
    let (consent, asked_state) = match asked_for(&state, &fields(request.query_string())) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    match state.settings().consents {
        Some(subject) => {
            let redirect_uri = consent.redirect_uri.clone();
            let code = held(&state.grants).code(Consent { subject, ..consent });
            back(&state, &redirect_uri, "code", &code, &asked_state)
        }
        None => HttpResponse::Ok().content_type("text/html; charset=utf-8").body(pages::consent(
            &consent.client,
            &consent.scope,
            request.query_string(),
        )),
    }
}

async fn consent(state: Shared, form: Form<Fields>) -> HttpResponse {
    let said = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (consent, asked_state) = match asked_for(&state, &fields(&said("asked"))) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    let redirect_uri = consent.redirect_uri.clone();
    if said("decision") != "allow" {
        return back(&state, &redirect_uri, "error", "access_denied", &asked_state);
    }
    let code = held(&state.grants).code(Consent { subject: said("subject"), ..consent });
    back(&state, &redirect_uri, "code", &code, &asked_state)
}

/// The client that a token request proves to be.
fn client_of(state: &State, request: &HttpRequest, form: &Fields) -> Option<String> {
    let basic = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| value.strip_prefix("Basic "));
    let (id, secret) = match basic {
        Some(pair) => {
            let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
            let (id, secret) = pair.split_once(':')?;
            let decoded = |text: &str| fields(&format!("x={text}")).remove("x");
            (decoded(id)?, decoded(secret))
        }
        None => (form.get("client_id")?.clone(), form.get("client_secret").cloned()),
    };
    let known = held(&state.grants).clients.get(&id).cloned()?;
    (known.secret == secret).then_some(id)
}

async fn token(state: Shared, request: HttpRequest, form: Form<Fields>) -> HttpResponse {
    held(&state.grants).counts.asked += 1;
    let mut mood = state.mood.subscribe();
    let mood = *mood.wait_for(|mood| *mood != Mood::Silent).await.expect("the server runs");
    if mood == Mood::Down {
        return HttpResponse::ServiceUnavailable().body("busy");
    }
    let Some(client) = client_of(&state, &request, &form) else {
        return HttpResponse::Unauthorized().json(json!({"error": "invalid_client"}));
    };
    let (settings, mut grants) = (state.settings(), held(&state.grants));
    let said = |name: &str| form.get(name).map_or("", String::as_str);
    let handed = match said("grant_type") {
        "authorization_code" => grants.exchange(
            &client,
            said("code"),
            said("code_verifier"),
            said("redirect_uri"),
            said("resource"),
            settings.access_lasts,
        ),
        "refresh_token" => {
            let (token, resource) = (said("refresh_token"), said("resource"));
            grants.refresh(&client, token, resource, settings.rotates, settings.access_lasts)
        }
        _ => Err("unsupported_grant_type"),
    };
    match handed {
        Ok(handed) => {
            let mut answer = json!({
                "access_token": handed.access,
                "token_type": "Bearer",
                "expires_in": settings.access_lasts.as_secs(),
                "scope": handed.scope,
            });
            if settings.refreshes && !handed.refresh.is_empty() {
                answer["refresh_token"] = json!(handed.refresh);
            }
            HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer)
        }
        Err(error) => HttpResponse::BadRequest().json(json!({"error": error})),
    }
}

async fn with_a_token(
    state: Shared,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let known = bearer.and_then(|bearer| held(&state.grants).subject(bearer, &state.resource()));
    let Some((subject, scope)) = known else {
        let challenge = if state.settings().challenges {
            let place = format!("{}/.well-known/oauth-protected-resource/mcp", state.base);
            format!("Bearer resource_metadata=\"{place}\", scope=\"whoami\"")
        } else {
            "Bearer".to_owned()
        };
        let answer = HttpResponse::Unauthorized().insert_header((header::WWW_AUTHENTICATE, challenge)).finish();
        return Ok(request.into_response(answer));
    };
    request.extensions_mut().insert(Caller(json!({"subject": subject, "scope": scope})));
    Ok(next.call(request).await?.map_into_boxed_body())
}
