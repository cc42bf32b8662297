//! The journal of decisions that are not in the database yet: whether it can be kept, and whether one could not be read.

use super::super::chain;
use super::report::Report;
use crate::settings::Settings;

/// Looks at the data directory.
pub fn check(settings: &Settings, report: &mut Report) {
    match infra::audit::look_at_journals(&settings.data_dir) {
        Ok(unreadable) if unreadable.is_empty() => {
            report.good("journal", "decisions can be kept in the data directory until they are in the database");
        }
        Ok(unreadable) => report.bad(
            "journal",
            &format!("could not be read to its end: {}", unreadable.join(", ")),
            "what stood before is in the audit log; keep the file, or remove it once you have seen what it has",
        ),
        Err(error) => report.bad(
            "journal",
            &format!("{}: {}", settings.data_dir.display(), chain(&error)),
            "let KEYRACK_DATA_DIR name a directory that can be written to; without it decisions are lost when a node is killed",
        ),
    }
}
