//! The product's own program as a process: what a test cannot do to a server in its own process is done to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KEYRACK: &str = env!("CARGO_BIN_EXE_keyrack_under_test");
/// How long it may take to start, beside all the others.
const PATIENCE: Duration = Duration::from_mins(1);

/// How it is started.
#[derive(Clone)]
pub struct Setup<'a> {
    pub data: &'a Path,
    pub database: Option<&'a str>,
    pub listen: String,
    /// More of its environment.
    pub more: Vec<(&'static str, String)>,
}

/// A serving program, killed with the test if not before.
pub struct Program {
    child: Child,
    pub base: String,
}

impl Program {
    /// Starts one; again, while the address or the database is still somebody else's.
    pub fn start(setup: &Setup<'_>) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut child = command(setup).spawn().expect("it starts");
            let mut line = String::new();
            BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
            let mut errors = child.stderr.take().expect("its errors");
            if let Some(base) = line.trim().strip_prefix("keyrack listens on ") {
                // It goes on logging; nobody reading would block it.
                std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
                return Self { child, base: base.to_owned() };
            }
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            let _ = child.wait();
            assert!(Instant::now() < deadline, "it does not start: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn signal(&self, signal: &str) {
        run(Command::new("kill").args([signal, &self.id()]));
    }

    /// From now on no file of it may become longer than this; none for as long as it likes.
    pub fn files_up_to(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        run(Command::new("prlimit").args(["--pid", &self.id(), &format!("--fsize={limit}:")]));
    }

    fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Kills it, as the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
        .env("KEYRACK_EGRESS_ALLOW", "127.0.0.0/8")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
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
