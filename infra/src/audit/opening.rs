//! The journal as a node starts.

use std::path::Path;
use std::sync::Arc;

use domain::store::StoreFault;

use super::journal::{self, Journal};
use super::recovery::{RecoveryFault, recover};
use crate::db::{Database, SqlAuditRows};

/// Writes what processes that were killed have left in the data directory, and begins a journal there. Where there can be
/// none, the node goes on without, and says so.
///
/// # Errors
/// [`StoreFault`]
pub async fn open_journal(database: &Database, data: &Path) -> Result<Journal, StoreFault> {
    let directory = data.join(journal::DIRECTORY);
    let journal = match Journal::new(&directory) {
        Ok(journal) => journal,
        Err(error) => {
            tracing::warn!(
                directory = %directory.display(),
                %error,
                "no journal can be kept: decisions that are not in the database yet are lost when the process is killed; \
                 let KEYRACK_DATA_DIR name a directory that can be written to"
            );
            return Ok(Journal::none());
        }
    };
    let rows = SqlAuditRows::new(database.clone(), Arc::default());
    match recover(&directory, &rows).await {
        Ok(0) => {}
        Ok(decisions) => tracing::info!(decisions, "wrote what an earlier process decided and had not written"),
        Err(RecoveryFault::Store(fault @ StoreFault::Unavailable(_))) => return Err(fault),
        // A node that serves is worth more than one that waits for what may never be taken.
        Err(fault) => tracing::error!(
            error = &fault as &dyn std::error::Error,
            directory = %directory.display(),
            "decisions of an earlier process could not be written; they stay in its journal for the next start"
        ),
    }
    rows.open_journal(journal.id()).await?;
    Ok(journal)
}
