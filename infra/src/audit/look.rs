//! The journal as it is looked at from outside, by `keyrack doctor`.

use std::path::Path;

use rustix::fs::{Access, access};

use super::journal;

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
