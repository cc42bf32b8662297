//! Everything that is logged while the tests run, at trace level, kept in memory: for the test that looks for secrets,
//! and to be shown when a test fails.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

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

/// Begins to keep what is logged; once per process.
pub fn begin() {
    BEGIN.call_once(|| {
        let lines = tracing_subscriber::fmt().with_env_filter("trace").with_ansi(false).with_writer(|| Sink);
        lines.init();
    });
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
