//! A throw-away PostgreSQL cluster, one for all tests of a run; or the one that `TEST_DATABASE_URL` names. Every test
//! gets a database of its own.
//!
//! PostgreSQL refuses to run as root, so the cluster then runs as the user `nobody`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tempfile::TempDir;
use uuid::Uuid;

struct Cluster {
    url: String,
    _directory: Option<TempDir>,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static SERVER: Mutex<Option<Child>> = Mutex::new(None);

/// The address of a new, empty database.
pub async fn database() -> String {
    let base = &CLUSTER.get_or_init(start).url;
    let name = format!("keyrack_{}", Uuid::new_v4().simple());
    let admin = connect(&format!("{base}/postgres")).await;
    admin
        .execute_raw(Statement::from_sql_and_values(
            admin.get_database_backend(),
            format!("CREATE DATABASE {name}"),
            [],
        ))
        .await
        .expect("a database can be created");
    format!("{base}/{name}")
}

/// Takes a database away from under whoever uses it.
pub async fn drop_database(url: &str) {
    let (base, name) = url.rsplit_once('/').expect("the url of a database");
    let admin = connect(&format!("{base}/postgres")).await;
    let sql = format!("DROP DATABASE {name} WITH (FORCE)");
    let dropped = admin.execute_raw(Statement::from_sql_and_values(admin.get_database_backend(), sql, [])).await;
    dropped.expect("a database can be dropped");
}

async fn connect(url: &str) -> DatabaseConnection {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Database::connect(url).await {
            Ok(connection) => return connection,
            Err(error) => assert!(Instant::now() < deadline, "PostgreSQL does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn start() -> Cluster {
    if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        return Cluster { url: url.trim_end_matches('/').to_owned(), _directory: None };
    }
    let bin = binaries();
    let directory = tempfile::Builder::new().prefix("keyrack-pg").tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let as_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"));
    if as_root {
        let owned = Command::new("chown").arg("nobody").arg(directory.path()).status();
        assert!(owned.is_ok_and(|status| status.success()), "the directory can be given to nobody");
    }
    let run = |program: &str| {
        let path = bin.join(program);
        if as_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        }
    };
    let made = run("initdb")
        .args(["--username=keyrack", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
        .arg(&data)
        .current_dir(directory.path())
        .output()
        .expect("initdb can be run");
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let server = run("postgres")
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "synchronous_commit=off"])
        .args(["-c", "max_connections=200", "-c", "shared_buffers=64MB"])
        .args(["-p", &port.to_string(), "-D"])
        .arg(&data)
        .args(["-k"])
        .arg(directory.path())
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres can be run");
    watch(server.id());
    *SERVER.lock().expect("no panic while it is held") = Some(server);
    Cluster { url: format!("postgres://keyrack@127.0.0.1:{port}"), _directory: Some(directory) }
}

/// Ends the cluster when this process ends, however it ends: statics are never dropped.
#[expect(clippy::zombie_processes, reason = "it outlives this process, which is its purpose")]
fn watch(server: u32) {
    let script = format!("while kill -0 {} 2>/dev/null; do sleep 1; done; kill -QUIT {server}", std::process::id());
    let watcher = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    watcher.expect("sh can be run");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn binaries() -> PathBuf {
    let has = |directory: &Path| directory.join("initdb").exists() && directory.join("postgres").exists();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin")).filter(|bin| has(bin)).collect();
    installed.sort();
    let found = installed.pop().or_else(|| std::env::split_paths(&path).find(|directory| has(directory)));
    found.expect("PostgreSQL is installed: `tests/run` installs it")
}
