//! The product's own program as a process: what a test cannot do to a server in its own process is done to it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start, beside all the others.
const PATIENCE: Duration = Duration::from_mins(2);

/// A serving program, killed with the test if not before.
pub struct Serving {
    child: Child,
    /// Where it is, without a slash at the end.
    pub base: String,
}

impl Serving {
    /// Starts one by such a command; again, while the address or the database is still somebody else's.
    pub fn start(command: impl Fn() -> Command) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut child = command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
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

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        self.child.wait().expect("it ends");
    }

    /// Kills it, as the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
