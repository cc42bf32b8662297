//! Everything that is logged while the tests run, at trace level, kept in memory: for the test that looks for secrets,
//! and to be shown when a test fails. And how many statements each thread sent to PostgreSQL, whose driver logs them where
//! they are sent.

use std::cell::Cell;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static BEGIN: Once = Once::new();

fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lines().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static STATEMENTS: Cell<usize> = const { Cell::new(0) };
}

struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            STATEMENTS.set(STATEMENTS.get() + 1);
        }
    }
}

/// How many statements this thread has sent to PostgreSQL so far.
#[must_use]
pub fn statements() -> usize {
    STATEMENTS.get()
}

/// Begins to keep what is logged; once per process.
pub fn begin() {
    BEGIN.call_once(|| {
        let lines = fmt::layer().with_ansi(false).with_writer(|| Sink);
        registry().with(EnvFilter::new("trace")).with(lines).with(Statements).init();
    });
}

/// Keeps nothing of what is logged: for benches, whose memory and time the lines would be. Call it before anything
/// starts.
pub fn keep_nothing() {
    BEGIN.call_once(|| {});
}

/// Everything that was logged so far.
#[must_use]
pub fn so_far() -> Vec<u8> {
    lines().clone()
}

/// The last lines, for a failed test.
#[must_use]
pub fn tail() -> String {
    let all = lines();
    let start = all.len().saturating_sub(8_000);
    String::from_utf8_lossy(&all[start..]).into_owned()
}
