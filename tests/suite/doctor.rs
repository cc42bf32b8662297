//! `keyrack doctor` on deployments that something is wrong with: each check is fine first, and then says what is wrong and
//! what to do.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;
use support::{App, AppOptions, Store, Upstream, postgres};

const KEYRACK: &str = env!("CARGO_BIN_EXE_keyrack_under_test");
pub const ROOT: &str = "a root secret of the tests, long enough";
const OTHER: &str = "another root secret of the tests, long enough";

pub fn keyrack(data: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(KEYRACK);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("KEYRACK_DATA_DIR", data).env("KEYRACK_LISTEN", "127.0.0.1:0");
    command.env("KEYRACK_EGRESS_ALLOW", "127.0.0.0/8").env("KEYRACK_UPSTREAM_CONNECT_TIMEOUT", "1");
    for (name, value) in settings {
        command.env(name, value);
    }
    command
}

/// What it says, and whether all is well.
pub async fn doctor(data: &Path, settings: &[(&str, &str)]) -> (bool, String) {
    let mut command = keyrack(data, settings);
    let output = tokio::task::spawn_blocking(move || command.arg("doctor").output().expect("it runs")).await;
    let output = output.expect("it ends");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[track_caller]
pub fn says(report: &str, finding: &str) {
    assert!(report.contains(finding), "no {finding:?} in:\n{report}");
}

/// There is a fault with this finding, and what to do about it says `fix`.
#[track_caller]
pub fn faulty(report: &str, finding: &str, fix: &str) {
    let lines: Vec<&str> = report.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("FAULT") && line.contains(finding));
    let at = at.unwrap_or_else(|| panic!("no fault {finding:?} in:\n{report}"));
    let told = lines.get(at + 1).is_some_and(|next| next.trim_start().starts_with("fix: ") && next.contains(fix));
    assert!(told, "what to do about {finding:?} does not say {fix:?}:\n{report}");
}

/// A serving program, killed with the test if not before.
struct Serving(Child);

impl Serving {
    fn start(data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = keyrack(data, settings);
        let child = command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut serving = Self(child);
        let mut line = String::new();
        let out = serving.0.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert!(line.contains("listens on"), "{line:?}");
        serving
    }

    fn kill(&mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it is gone");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_without_its_secrets_and_one_that_can_is_counted() {
    let (mut app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("well", &upstream.url("/echo")).await;
    let data = app.data.path().to_owned();
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    acme.server("archived", &format!("http://{gone}/")).await;
    acme.owner().post("/api/v1/mcp-servers/archived/archive", &json!({})).await.expect(200);
    app.stop().await;
    let (well, report) = doctor(&data, &[]).await;
    assert!(well, "{report}");
    says(&report, "ok    egress: 1 of 1 registered servers can be reached from here");
    says(&report, "ok    clock: SQLite has no clock");
    says(&report, "ok    nodes: SQLite belongs to one process");

    // What it was told to allow is not what the servers need.
    let (well, report) = doctor(&data, &[("KEYRACK_EGRESS_ALLOW", "10.0.0.0/8")]).await;
    assert!(!well, "{report}");
    let address = upstream.url("");
    let origin = address.trim_end_matches('/');
    faulty(&report, &format!("egress: the server acme/well ({origin})"), "KEYRACK_EGRESS_ALLOW");

    let settings = vec![("signup", "open".to_owned()), ("data-dir", data.display().to_string())];
    let mut again = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let login = json!({"email": "owner@acme.example.com", "password": "correct horse battery"});
    let session = again.anonymous().post("/api/v1/auth/login", &login).await.expect(200);
    let bearer = format!("Bearer {}", session["accessToken"].as_str().expect("a token"));
    let owner = again.headers(&[("authorization", &bearer)]);
    for (slug, url) in [
        ("gone", format!("http://{gone}/mcp?token=hunter2")),
        ("tls", format!("https://{}/mcp", origin.trim_start_matches("http://"))),
        ("nowhere", "https://no-such-host.invalid/mcp".to_owned()),
    ] {
        owner.post("/api/v1/mcp-servers", &json!({"name": slug, "slug": slug, "url": url})).await.expect(201);
    }
    again.stop().await;
    let (well, report) = doctor(&data, &[]).await;
    assert!(!well && !report.contains("hunter2") && !report.contains("/mcp"), "{report}");
    says(&report, "ok    egress: 1 of 4 registered servers can be reached from here");
    faulty(&report, &format!("egress: the server acme/gone (http://{gone}): cannot connect"), "check that it runs");
    faulty(&report, "egress: the server acme/tls (https://", "certificate");
    faulty(&report, "egress: the server acme/nowhere (https://no-such-host.invalid)", "check that it runs");
}

#[tokio::test]
async fn a_root_secret_that_does_not_open_what_is_sealed_is_told() {
    for store in [Store::Sqlite, Store::Postgres] {
        let settings = vec![("signup", "open".to_owned()), ("root-secret", ROOT.to_owned())];
        let (mut app, upstream) = (App::with(AppOptions { store, settings }).await, Upstream::start());
        let acme = app.organization("acme").await;
        let auth = json!({"kind": "bearer", "secret": "s3cret"});
        acme.server_with(json!({"name": "up", "slug": "up", "url": upstream.url("/echo"), "auth": auth})).await;
        let auth = json!({"kind": "basic", "scope": "tenant"});
        acme.server_with(json!({"name": "own", "slug": "own", "url": upstream.url("/echo"), "auth": auth})).await;
        let connection = json!({"kind": "basic", "username": "u", "secret": "p"});
        acme.owner().with_body(Method::PUT, "/api/v1/connections/own", &connection).await.expect(200);
        let (data, url) = (app.data.path().to_owned(), app.database_url.clone());
        let set = |root| {
            let url = url.as_deref().map(|url| ("KEYRACK_DATABASE_URL", url));
            url.into_iter().chain([("KEYRACK_ROOT_SECRET", root)]).collect::<Vec<_>>()
        };
        let outside = app.sql().await;
        app.stop().await;
        let (well, report) = doctor(&data, &set(ROOT)).await;
        assert!(well, "{report}");
        says(&report, "ok    root secret: opens all 2 credentials that are sealed");
        let (well, report) = doctor(&data, &set(OTHER)).await;
        assert!(!well, "{report}");
        faulty(&report, "root secret: the root secret is not the one", "restore it");

        // As if a row of another installation had been put into the table.
        let elsewhere = "UPDATE connections SET origin = 'https://elsewhere.example.com'";
        outside.execute_unprepared(elsewhere).await.expect("done");
        outside.close().await.expect("closed");
        let (well, report) = doctor(&data, &set(ROOT)).await;
        assert!(!well && !report.contains("s3cret"), "{report}");
        faulty(&report, "root secret: 1 of 2 credentials that are sealed do not open", "KEYRACK_PREVIOUS_ROOT_SECRET");
    }
}

#[tokio::test]
async fn nodes_that_are_gone_and_clocks_that_are_wrong_are_told() {
    let url = postgres::database().await;
    let data = tempfile::tempdir().expect("a directory");
    let set = [("KEYRACK_DATABASE_URL", url.as_str()), ("KEYRACK_ROOT_SECRET", ROOT), ("KEYRACK_NODE_NAME", "keys-1")];
    let (well, report) = doctor(data.path(), &set).await;
    assert!(!well, "{report}");
    faulty(&report, "migrations are to be run", "keyrack migrate");

    let mut serving = Serving::start(data.path(), &set);
    let (well, report) = doctor(data.path(), &set).await;
    assert!(well, "{report}");
    says(&report, &format!("ok    nodes: keys-1, version {}, renewed its lease ", env!("CARGO_PKG_VERSION")));
    says(&report, "ok    clock: this machine's is 0.0 s");

    // Killed, and nobody is left who would take its row away.
    serving.kill();
    let outside = sea_orm::Database::connect(&url).await.expect("a connection");
    let sql = async |sql: &str| {
        outside.execute_unprepared(sql).await.expect("done");
    };
    sql("UPDATE nodes SET renewed_at = renewed_at - 42000000, clock_ahead = -7300000").await;
    let (well, report) = doctor(data.path(), &set).await;
    assert!(!well, "{report}");
    faulty(&report, "nodes: keys-1, version", "look at its log and start it again");
    says(&report, "; it is gone");
    faulty(&report, "clock: that of the node keys-1 is 7.3 s behind the database's", "NTP");
    let coming = [set[0], set[1], ("KEYRACK_NEXT_ROOT_SECRET", OTHER)];
    let (_, report) = doctor(data.path(), &coming).await;
    says(&report, "root secret: these nodes do not know the next one yet: keys-1");
    sql("UPDATE nodes SET root = 'else', reads = 'else'").await;
    let (well, report) = doctor(data.path(), &set).await;
    assert!(!well, "{report}");
    faulty(&report, "root secret: the node keys-1 knows other root secrets", "docs/root-secret.md");
    sql("UPDATE nodes SET root = NULL, reads = NULL, version = NULL, renewed_at = NULL, clock_ahead = NULL").await;
    let (well, report) = doctor(data.path(), &set).await;
    assert!(well, "{report}");
    says(&report, "ok    nodes: keys-1, of an earlier version");
    sql("DELETE FROM nodes").await;
    let (well, report) = doctor(data.path(), &set).await;
    assert!(well, "{report}");
    says(&report, "ok    nodes: none serves from this database now");

    // A database whose clock is another: whoever asks finds this one before PostgreSQL's own.
    sql("CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
         $$ SELECT pg_catalog.clock_timestamp() - interval '91.5 seconds' $$")
    .await;
    let name = url.rsplit('/').next().and_then(|name| name.split('?').next()).expect("a name");
    sql(&format!("ALTER DATABASE \"{name}\" SET search_path = public, pg_catalog")).await;
    let (well, report) = doctor(data.path(), &set).await;
    assert!(!well, "{report}");
    faulty(&report, "clock: this machine's is 91.", "NTP");
    says(&report, "s ahead of the database's");
    outside.close().await.expect("closed");
}

#[tokio::test]
async fn how_far_a_replacement_of_the_root_secret_is_and_what_comes_next() {
    let url = postgres::database().await;
    let start = async |roots: &[(&'static str, &str)]| {
        let mut settings = vec![("database-url", url.clone()), ("node-name", "keys-1".to_owned())];
        settings.extend(roots.iter().map(|(flag, secret)| (*flag, (*secret).to_owned())));
        App::with(AppOptions { store: Store::Postgres, settings }).await
    };
    let data = tempfile::tempdir().expect("a directory");
    let ask = async |roots: &[(&str, &str)]| {
        let mut set = vec![("KEYRACK_DATABASE_URL", url.as_str())];
        set.extend(roots);
        let (well, report) = doctor(data.path(), &set).await;
        assert!(well, "{report}");
        report
    };
    let coming = [("KEYRACK_ROOT_SECRET", ROOT), ("KEYRACK_NEXT_ROOT_SECRET", OTHER)];
    let moving = [("KEYRACK_ROOT_SECRET", OTHER), ("KEYRACK_PREVIOUS_ROOT_SECRET", ROOT)];
    let mut app = start(&[("root-secret", ROOT), ("next-root-secret", OTHER)]).await;
    says(&ask(&coming).await, "root secret: all nodes know the next one: make it KEYRACK_ROOT_SECRET");
    let report = ask(&moving).await;
    says(&report, "root secret: the next start moves the database");
    says(&report, "root secret: these nodes make things under the previous one: keys-1");
    let moved = start(&[("root-secret", OTHER), ("previous-root-secret", ROOT)]).await;
    app.stop().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while moved.services().database.unsettled().await.expect("the store answers").is_some() {
        assert!(Instant::now() < deadline, "never settled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    says(&ask(&moving).await, "root secret: everything is sealed under it; the previous one can go");
    let (well, report) = doctor(data.path(), &[("KEYRACK_DATABASE_URL", &url), coming[0]]).await;
    assert!(!well, "{report}");
    faulty(&report, "root secret: the root secret is not the one", "restore it");
}

#[tokio::test]
async fn the_journal_of_decisions() {
    let data = tempfile::tempdir().expect("a directory");
    let journal = data.path().join("journal");
    let (well, report) = doctor(data.path(), &[]).await;
    assert!(well, "{report}");
    says(&report, "ok    journal: ");
    assert!(!journal.exists(), "it changes nothing");
    std::fs::write(&journal, "").expect("written");
    let (well, report) = doctor(data.path(), &[]).await;
    assert!(!well);
    faulty(&report, "journal: ", "KEYRACK_DATA_DIR");
    std::fs::remove_file(&journal).and_then(|()| std::fs::create_dir(&journal)).expect("a directory");
    std::fs::write(journal.join("one.unreadable"), "").expect("written");
    let (well, report) = doctor(data.path(), &[]).await;
    assert!(!well);
    faulty(&report, "one.unreadable", "keep the file");
}
