//! Decisions that processes left in their journals when they were killed are written by the next one that starts.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use domain::audit::entry::AuditEntry;
use domain::store::StoreFault;
use uuid::Uuid;

use super::record::{self, Front};
use super::{BATCH, journal};
use crate::db::{JournalMark, SqlAuditRows};

/// Why the decisions of an earlier process could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryFault {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The files cannot be read.
    #[error("the journal in {} cannot be read", .directory.display())]
    Files {
        /// Where they are.
        directory: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
}

/// A segment of a process that is gone, locked so that nobody else reads it.
struct Left {
    first: i64,
    path: PathBuf,
    file: File,
}

impl Left {
    fn has_something(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.len() > 0)
    }
}

/// Writes what processes that are gone have left in this directory; how many decisions that were.
///
/// Journals of processes that live, and of other databases, stay as they are.
///
/// # Errors
/// [`RecoveryFault`]; what was not written stays, and it is safe to try again.
pub async fn recover(directory: &Path, rows: &SqlAuditRows) -> Result<u64, RecoveryFault> {
    let fault = |source| RecoveryFault::Files { directory: directory.to_owned(), source };
    let mut recovered = 0;
    for journal in journals(directory).map_err(fault)?.into_keys() {
        let Some(left) = take(directory, journal).map_err(fault)? else { continue };
        // After the locks: until then somebody may have written more.
        if let Some(written) = rows.written_up_to(journal).await? {
            for segment in &left {
                recovered += write(journal, written, segment, rows).await.map_err(|unwritten| match unwritten {
                    Unwritten::Store(fault) => fault.into(),
                    Unwritten::File(error) => fault(error),
                })?;
            }
        } else if left.iter().any(Left::has_something) {
            tracing::warn!(
                directory = %directory.display(),
                %journal,
                "a journal in the data directory belongs to another database and is left alone"
            );
            continue;
        }
        for segment in &left {
            std::fs::remove_file(&segment.path).map_err(fault)?;
        }
        rows.close_journal(journal).await?;
    }
    Ok(recovered)
}

/// The segments of each journal, in the order of their numbers.
fn journals(directory: &Path) -> io::Result<BTreeMap<Uuid, BTreeMap<i64, PathBuf>>> {
    let mut journals: BTreeMap<Uuid, BTreeMap<i64, PathBuf>> = BTreeMap::new();
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        if let Some((journal, first)) = path.file_name().and_then(|name| journal::named(name.to_str()?)) {
            journals.entry(journal).or_default().insert(first, path);
        }
    }
    Ok(journals)
}

/// Takes all segments of a journal, unless they are somebody's who lives, or just were somebody's who took them as we do.
fn take(directory: &Path, journal: Uuid) -> io::Result<Option<Vec<Left>>> {
    let mut left: Vec<Left> = Vec::new();
    loop {
        let before = left.len();
        let mut segments = journals(directory)?.remove(&journal).unwrap_or_default();
        segments.retain(|first, _| left.iter().all(|taken| taken.first != *first));
        if !take_more(segments, &mut left)? {
            return Ok(None);
        }
        // Once its newest is ours, nobody can add another one.
        if left.len() == before {
            return Ok(Some(left));
        }
    }
}

/// Takes these too; false when one of them is somebody's.
fn take_more(segments: BTreeMap<i64, PathBuf>, left: &mut Vec<Left>) -> io::Result<bool> {
    for (first, path) in segments {
        // For writing too, without which NFS gives no lock that excludes others.
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if file.metadata()?.nlink() == 0 {
            return Ok(false);
        }
        left.push(Left { first, path, file });
    }
    Ok(true)
}

enum Unwritten {
    Store(StoreFault),
    File(io::Error),
}

/// Writes what of a segment is not written.
async fn write(journal: Uuid, written: i64, segment: &Left, rows: &SqlAuditRows) -> Result<u64, Unwritten> {
    let entries = entries(segment).map_err(Unwritten::File)?;
    let first = segment.first;
    let missing: Vec<(i64, AuditEntry)> = (first..).zip(entries).filter(|(number, _)| *number > written).collect();
    let mut count = 0;
    for batch in missing.chunks(BATCH) {
        let Some((number, _)) = batch.last() else { break };
        let mark = JournalMark { journal, number: *number };
        let batch: Vec<AuditEntry> = batch.iter().map(|(_, entry)| entry.clone()).collect();
        rows.append_once(Some(mark), &batch, &[]).await.map_err(Unwritten::Store)?;
        count += batch.len() as u64;
    }
    Ok(count)
}

/// The decisions of a segment. Its last one may be the half of one: nobody was told of what it says.
fn entries(segment: &Left) -> io::Result<Vec<AuditEntry>> {
    let mut bytes = Vec::new();
    (&segment.file).read_to_end(&mut bytes)?;
    let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
    loop {
        match record::take_front(&mut rest) {
            Front::Entry(entry) => entries.push(*entry),
            Front::End => return Ok(entries),
            Front::Damaged => {
                // As the machine's end may leave a file. What comes after has no number that could be trusted.
                let aside = segment.path.with_extension(&journal::UNREADABLE[1..]);
                std::fs::copy(&segment.path, &aside)?;
                tracing::error!(
                    path = %aside.display(),
                    read = entries.len(),
                    "a journal cannot be read to its end; the decisions before that are written, and the file is kept"
                );
                return Ok(entries);
            }
        }
    }
}
