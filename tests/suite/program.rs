//! How the program is started that faults happen to, and what is done to its process.

use std::path::Path;
use std::process::Command;

use support::Serving;

const KEYRACK: &str = env!("CARGO_BIN_EXE_keyrack_under_test");

/// How it is started.
#[derive(Clone)]
pub struct Setup<'a> {
    pub data: &'a Path,
    pub database: Option<&'a str>,
    pub listen: String,
    /// More of its environment.
    pub more: Vec<(&'static str, String)>,
}

impl Setup<'_> {
    /// Starts one.
    pub fn start(&self) -> Serving {
        Serving::start(|| command(self))
    }
}

/// Sends it a signal, as `kill` names it.
pub fn signal(program: &Serving, signal: &str) {
    run(Command::new("kill").args([signal, &program.id().to_string()]));
}

/// From now on no file of it may become longer than this; none for as long as it likes.
pub fn files_up_to(program: &Serving, bytes: Option<u64>) {
    let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    run(Command::new("prlimit").args(["--pid", &program.id().to_string(), &format!("--fsize={limit}:")]));
}

fn run(command: &mut Command) {
    assert!(command.status().is_ok_and(|status| status.success()), "{command:?}");
}

fn command(setup: &Setup<'_>) -> Command {
    // A write that a limit forbids must fail, as on a full disk, and not end the program.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" serve", KEYRACK])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KEYRACK_DATA_DIR", setup.data)
        .env("KEYRACK_LISTEN", &setup.listen)
        .env("KEYRACK_NODE_NAME", "p")
        .env("KEYRACK_LOG", "warn")
        .env("KEYRACK_SIGNUP", "open")
        .env("KEYRACK_WORKERS", "2")
        .env("KEYRACK_DATABASE_CONNECTIONS", "4")
        .env("KEYRACK_EGRESS_ALLOW", "127.0.0.0/8");
    if let Some(url) = setup.database {
        command.env("KEYRACK_DATABASE_URL", url).env("KEYRACK_ROOT_SECRET", "a root secret of the tests, long enough");
    }
    command.envs(setup.more.iter().map(|(name, value)| (*name, value)));
    command
}

/// Verifies the chain of an export, as somebody elsewhere would.
pub fn audit_verify(export: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("audit.ndjson");
    std::fs::write(&file, export).expect("written");
    let output = Command::new(KEYRACK)
        .env_clear()
        .env("KEYRACK_DATA_DIR", directory.path().join("none"))
        .args(["audit", "verify", "--export"])
        .arg(&file)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "the chain does not hold: {}", String::from_utf8_lossy(&output.stdout));
}
