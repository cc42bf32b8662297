//! Keyrack as the tests run it: the real server, on a free loopback port, with a store of its own.

use std::path::PathBuf;
use std::sync::Arc;

use api::compose::Services;
use api::server::{Running, start};
use api::settings::Settings;
use domain::access::TenantScope;
use domain::access::decide::{Proof, Question};
use domain::audit::{AuditActor, AuditEvent};
use domain::tenant::{Surface, TenantParams};
use domain::time::{Clock, SystemClock};
use infra::cache::LiveKeyHandle;
use infra::db::DatabaseUrl;
use reqwest::Client;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Actor, Answer, Organization, logs, postgres};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file.
    Sqlite,
    /// The throw-away cluster.
    Postgres,
}

/// What a test wants to be different.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The database.
    pub store: Store,
    /// Settings by flag.
    pub settings: Vec<(&'static str, String)>,
}

impl Default for AppOptions {
    fn default() -> Self {
        Self { store: Store::Sqlite, settings: vec![] }
    }
}

/// A running Keyrack.
pub struct App {
    /// Where it is, without a slash at the end.
    pub base: String,
    /// For requests.
    pub http: Client,
    /// Its data directory.
    pub data: TempDir,
    /// The bootstrap token that it printed.
    pub bootstrap_token: String,
    /// The address of its database, when it is PostgreSQL.
    pub database_url: Option<String>,
    running: Option<Running>,
}

impl App {
    /// Starts one with SQLite and sign-up for everybody.
    pub async fn spawn() -> Self {
        Self::with(AppOptions { settings: vec![("signup", "open".to_owned())], ..AppOptions::default() }).await
    }

    /// Starts one on this store, with sign-up for everybody.
    pub async fn on(store: Store) -> Self {
        Self::with(AppOptions { store, settings: vec![("signup", "open".to_owned())] }).await
    }

    /// Starts another one on the database of this one, which calls itself `name`.
    pub async fn beside(&self, name: &str) -> Self {
        let url = self.database_url.as_deref().expect("a database that several can serve from");
        Self::node(name, url).await
    }

    /// Starts one of several that serve from this database, with sign-up for everybody.
    pub async fn node(name: &str, url: &str) -> Self {
        let settings =
            vec![("signup", "open".to_owned()), ("node-name", name.to_owned()), ("database-url", url.to_owned())];
        Self::with(AppOptions { store: Store::Postgres, settings }).await
    }

    /// Starts one.
    pub async fn with(options: AppOptions) -> Self {
        try_start(options).await.unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// What is behind the sockets.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.running.as_ref().expect("it runs").services
    }

    /// How often a key was looked up in the database.
    #[must_use]
    pub fn key_lookups(&self) -> u64 {
        self.services().key_lookups.lookups()
    }

    /// Returns when every decision so far is in the audit log.
    pub async fn settled(&self) {
        self.services().audit.settle().await.expect("the audit log keeps up");
    }

    /// A connection of somebody else to its database.
    pub async fn sql(&self) -> DatabaseConnection {
        let url = match self.services().settings.database() {
            DatabaseUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            DatabaseUrl::Postgres(url) => url,
        };
        let mut options = ConnectOptions::new(url);
        options.max_connections(1);
        Database::connect(options).await.expect("the database can be reached")
    }

    /// Every file in its data directory, and what it has.
    ///
    /// # Panics
    /// When one cannot be read.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut directories, mut files) = (vec![self.data.path().to_owned()], Vec::new());
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let content = std::fs::read(&path).expect("a file");
                    files.push((path, content));
                }
            }
        }
        files
    }

    /// Stops it, as an operator would. The data directory stays.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Makes a person an instance admin, as an operator would.
    pub async fn make_instance_admin(&self, email: &str) {
        let email = email.parse().expect("an address");
        let found = self.services().accounts.set_instance_admin(&email, true).await.expect("the store answers");
        assert!(found.is_some(), "nobody has that address");
    }

    /// What a request with this access token has proven when its handler begins.
    pub async fn scope(&self, access_token: &str) -> TenantScope {
        let session = self.services().sessions.read(access_token).await.expect("signed in");
        self.admitted(Proof::Person(session)).await
    }

    /// What a request with this key has proven when its handler begins.
    pub async fn scope_of_key(&self, token: &str) -> TenantScope {
        let verified = self.services().verifier.verify(token).await.expect("a key that works");
        self.admitted(Proof::Key(verified)).await
    }

    async fn admitted(&self, proof: Proof<LiveKeyHandle>) -> TenantScope {
        let tenant = TenantParams::parse("");
        let question = Question { surface: Surface::Elsewhere, tenant, permission: None, server: None };
        let first_use = |actor| AuditEvent::unproven(AuditActor::Proven(actor), "tenant.create", SystemClock.now());
        self.services().gate.admit(&proof, question, first_use).await.expect("admitted").scope
    }

    /// Runs a statement on its database, from outside: what no operation does, or does yet.
    pub async fn run_sql(&self, statement: &str) {
        let connection = self.sql().await;
        connection.execute_unprepared(statement).await.expect("the statement runs");
        connection.close().await.expect("closed");
    }

    /// Nobody.
    #[must_use]
    pub fn anonymous(&self) -> Actor {
        Actor::new(self, vec![])
    }

    /// Whoever has this key, sent as `X-API-Key`.
    #[must_use]
    pub fn key(&self, token: &str) -> Actor {
        Actor::new(self, vec![("x-api-key".to_owned(), token.to_owned())])
    }

    /// Whoever sends these headers.
    #[must_use]
    pub fn headers(&self, headers: &[(&str, &str)]) -> Actor {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Actor::new(self, headers)
    }

    /// Signs up a new organization with this slug; needs open sign-up.
    pub async fn organization(&self, slug: &str) -> Organization {
        let answer = self.sign_up(slug, &json!({})).await;
        Organization::new(self, &answer)
    }

    /// Signs up, with changes to the request.
    pub async fn sign_up(&self, slug: &str, changes: &Value) -> Answer {
        let mut body = json!({
            "email": format!("owner@{slug}.example.com"),
            "password": "correct horse battery",
            "organization": {"name": format!("The {slug}"), "slug": slug},
        });
        if let (Some(body), Some(changes)) = (body.as_object_mut(), changes.as_object()) {
            body.extend(changes.clone());
        }
        self.anonymous().post("/api/v1/auth/signup", &body).await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Workers end with the process; the data directory goes now.
        drop(self.running.take());
    }
}

/// Starts one, or says why it did not.
///
/// # Errors
/// The fault and its causes.
pub async fn try_start(options: AppOptions) -> Result<App, String> {
    logs::begin();
    let data = tempfile::tempdir().expect("a temporary directory");
    let database_url = match options.store {
        Store::Sqlite => None,
        Store::Postgres => Some(match options.settings.iter().rfind(|(flag, _)| *flag == "database-url") {
            Some((_, given)) => given.clone(),
            None => postgres::database().await,
        }),
    };
    let settings = Settings::read(|row| {
        let set = options.settings.iter().rfind(|(flag, _)| *flag == row.flag).map(|(_, value)| value.clone());
        set.or_else(|| match row.flag {
            "listen" => Some("127.0.0.1:0".to_owned()),
            "data-dir" => Some(data.path().display().to_string()),
            "database-url" => database_url.clone(),
            "database-connections" => Some("4".to_owned()),
            "root-secret" if options.store == Store::Postgres => {
                Some("a root secret of the tests, long enough".to_owned())
            }
            "egress-allow" => Some("127.0.0.0/8".to_owned()),
            "workers" => Some("2".to_owned()),
            "shutdown-timeout" => Some("1".to_owned()),
            _ => None,
        })
    })
    .map_err(|faults| format!("{faults:?}"))?;
    let running = start(settings).await.map_err(|fault| api::command::chain(&fault))?;
    let bootstrap_token = running.bootstrap_token.as_ref().map(|token| token.expose_secret().to_owned());
    Ok(App {
        base: format!("http://{}", running.address),
        // Shorter than the server keeps a connection: one that it closes just now takes the next request with it.
        http: Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(std::time::Duration::from_secs(2))
            .build()
            .expect("a client"),
        data,
        bootstrap_token: bootstrap_token.unwrap_or_default(),
        database_url,
        running: Some(running),
    })
}
