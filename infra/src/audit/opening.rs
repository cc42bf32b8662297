//! The journal as a node starts, and as it is looked at from outside.

use std::path::Path;
use std::sync::Arc;

use domain::store::StoreFault;
use rustix::fs::{Access, access};

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
        Err(RecoveryFault::Store(fault)) => return Err(fault),
        Err(fault) => tracing::error!(error = &fault as &dyn std::error::Error, "decisions of an earlier process wait"),
    }
    rows.open_journal(journal.id()).await?;
    Ok(journal)
}

/// Whether a journal could be kept in this data directory, without making one; the names of those that could not be read.
///
/// # Errors
/// What the file system says.
pub fn look_at_journals(data: &Path) -> std::io::Result<Vec<String>> {
    let directory = data.join(journal::DIRECTORY);
    let absolute = std::path::absolute(&directory)?;
    if let Some(there) = absolute.ancestors().find(|path| path.exists()) {
        access(there, Access::WRITE_OK | Access::EXEC_OK)?;
    }
    if !directory.exists() {
        return Ok(vec![]);
    }
    let names = std::fs::read_dir(&directory)?.map(|file| Ok(file?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter(|name| name.ends_with(journal::UNREADABLE)).collect())
}
