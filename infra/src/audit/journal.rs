//! Decisions on their way to the database, in files: a decision is in one before it is answered, so that a process that is
//! killed leaves what it did not write to the next one that starts over its data directory (`recovery`).
//!
//! A journal is of one process. It consists of segments, `<journal>-<number of the first decision>.journal`, with the decisions
//! in their order, and the database has the number of the newest one that is written. A segment is deleted when all of
//! it is. What the kernel took outlives the process, and not the machine: nothing is synced, which would cost a request
//! more than the decision that it is about.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::audit::entry::AuditEntry;
use uuid::Uuid;

use super::record;
use crate::db::JournalMark;

/// The directory, in the data directory.
pub const DIRECTORY: &str = "journal";
/// How the names of segments end.
const NAME_END: &str = ".journal";
/// Room for most records.
const RECORD: usize = 320;
/// How the names of files end that could not be read.
pub const UNREADABLE: &str = ".unreadable";
/// How long a segment becomes.
const SEGMENT: usize = 4 << 20;
/// After a write that failed, how long nothing is tried.
const REST: Duration = Duration::from_secs(1);

/// Keeps decisions until they are written.
pub struct Journal {
    id: Uuid,
    // None: nothing is kept.
    directory: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    /// The number of the next decision.
    next: i64,
    active: Option<Segment>,
    whole: VecDeque<Segment>,
    failed: Option<Instant>,
    /// The number of the newest decision that could not be kept, and of the newest that is written.
    unkept: i64,
    written: i64,
}

struct Segment {
    path: PathBuf,
    /// Locked while the process lives.
    file: File,
    bytes: usize,
    /// The number of its last decision.
    last: i64,
}

impl Segment {
    /// A new one, whose first decision has this number.
    fn create(directory: &Path, journal: Uuid, first: i64) -> io::Result<Self> {
        let path = directory.join(name(journal, first));
        // It has its name when it is locked: whoever finds it without a lock may take it for one of a process that is gone.
        let unnamed = path.with_extension("new");
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&unnamed)?;
        if let Err(error) = file.lock().and_then(|()| std::fs::rename(&unnamed, &path)) {
            let _ = std::fs::remove_file(&unnamed);
            return Err(error);
        }
        Ok(Self { path, file, bytes: 0, last: first - 1 })
    }

    fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a journal's file could not be removed");
        }
    }
}

impl Journal {
    /// A journal in this directory, which is made if it is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let journal = Self::of(Some(directory.to_owned()));
        // Said now rather than at the first decision.
        let probe = Segment::create(directory, journal.id, 1)?;
        journal.lock().active = Some(probe);
        Ok(journal)
    }

    /// One that keeps nothing: what is not written is lost with the process.
    #[must_use]
    pub fn none() -> Self {
        Self::of(None)
    }

    fn of(directory: Option<PathBuf>) -> Self {
        let state = State { next: 1, active: None, whole: VecDeque::new(), failed: None, unkept: 0, written: 0 };
        Self { id: Uuid::new_v4(), directory, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Keeps a decision, and hands its number to what sends it on: in the order of the numbers.
    pub fn keep(&self, entry: AuditEntry, send: impl FnOnce(AuditEntry, i64)) {
        let mut bytes = Vec::new();
        if self.directory.is_some() {
            bytes.reserve(RECORD);
            record::append(&entry, &mut bytes);
        }
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        if let Some(directory) = &self.directory
            && !state.append(directory, self.id, number, &bytes)
        {
            state.unkept = number;
        }
        send(entry, number);
    }

    /// Everything up to a number is written.
    pub fn written(&self, number: i64) {
        let mut state = self.lock();
        state.written = number;
        let done = state.whole.iter().take_while(|segment| segment.last <= number).count();
        let done: Vec<Segment> = state.whole.drain(..done).collect();
        // Nobody waits while files go.
        drop(state);
        done.iter().for_each(Segment::remove);
    }

    /// The mark of a number.
    #[must_use]
    pub const fn mark(&self, number: i64) -> JournalMark {
        JournalMark { journal: self.id, number }
    }

    /// Whether every decision that is not written is in its files.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let state = self.lock();
        self.directory.is_some() && state.unkept <= state.written
    }

    /// Removes its files, when everything is written.
    pub fn remove(&self) {
        let mut state = self.lock();
        let active = state.active.take();
        state.whole.drain(..).chain(active).for_each(|segment| segment.remove());
    }
}

impl State {
    /// Whether it is in a file now.
    fn append(&mut self, directory: &Path, journal: Uuid, number: i64, bytes: &[u8]) -> bool {
        if self.active.is_none() && self.failed.is_some_and(|at| at.elapsed() < REST) {
            return false;
        }
        let appended = self.try_append(directory, journal, number, bytes);
        if let Err(error) = &appended {
            match self.active.take() {
                // On a full disk there would soon be very many of these.
                Some(empty) if empty.bytes == 0 => empty.remove(),
                // It may end with half a record: nothing comes after that.
                broken => self.whole.extend(broken),
            }
            self.failed = Some(Instant::now());
            tracing::error!(
                directory = %directory.display(),
                %error,
                "decisions cannot be kept in the journal: those that are not in the database yet would be lost with the \
                 process"
            );
        }
        appended.is_ok()
    }

    fn try_append(&mut self, directory: &Path, journal: Uuid, number: i64, bytes: &[u8]) -> io::Result<()> {
        let segment = match &mut self.active {
            Some(segment) => segment,
            none => none.insert(Segment::create(directory, journal, number)?),
        };
        segment.file.write_all(bytes)?;
        segment.last = number;
        segment.bytes += bytes.len();
        if segment.bytes >= SEGMENT {
            self.whole.extend(self.active.take());
        }
        Ok(())
    }
}

/// The name of a segment.
fn name(journal: Uuid, first: i64) -> String {
    format!("{journal}-{first}{NAME_END}")
}

/// The journal and the first number that a segment's name says.
pub fn named(name: &str) -> Option<(Uuid, i64)> {
    let (journal, first) = name.strip_suffix(NAME_END)?.rsplit_once('-')?;
    Some((journal.parse().ok()?, first.parse().ok().filter(|first| *first > 0)?))
}

#[cfg(test)]
mod tests {
    use domain::audit::{AuditActor, AuditEvent};
    use domain::time::Timestamp;

    use super::*;

    fn entry(reason: &str) -> AuditEntry {
        let event = AuditEvent::unproven(AuditActor::System, "a.b", Timestamp::from_micros(1));
        AuditEntry { reason: Some(reason.to_owned()), ..AuditEntry::from(&event) }
    }

    fn keep(journal: &Journal, reason: &str) -> i64 {
        let mut given = 0;
        journal.keep(entry(reason), |_, number| given = number);
        given
    }

    fn files(directory: &Path) -> Vec<String> {
        let names = std::fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_decision_is_in_a_file_before_it_is_sent_on() {
        let data = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(&data.path().join(DIRECTORY)).expect("a journal");
        let directory = data.path().join(DIRECTORY);
        let first = entry("first");
        journal.keep(first.clone(), |_, number| {
            assert_eq!(number, 1);
            let [file] = &files(&directory)[..] else { panic!("one file") };
            let bytes = std::fs::read(directory.join(file)).expect("bytes");
            assert_eq!(record::take_front(&mut bytes.as_slice()), record::Front::Entry(Box::new(first.clone())));
        });
        assert_eq!(keep(&journal, "second"), 2);
        assert_eq!(named(&files(&directory)[0]), Some((journal.id(), 1)));
    }

    #[test]
    fn a_segment_goes_when_all_of_it_is_written_and_not_before() {
        let data = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(data.path()).expect("a journal");
        let long = "x".repeat(SEGMENT / 2);
        assert_eq!((1..=5).map(|_| keep(&journal, &long)).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let firsts = || {
            let mut firsts: Vec<i64> = files(data.path()).iter().filter_map(|name| Some(named(name)?.1)).collect();
            firsts.sort_unstable();
            firsts
        };
        assert_eq!(firsts(), [1, 3, 5]);
        journal.written(1);
        assert_eq!(firsts(), [1, 3, 5]);
        journal.written(2);
        assert_eq!(firsts(), [3, 5]);
        journal.written(5);
        assert_eq!(firsts(), [5], "the last one is written to");
        journal.remove();
        assert_eq!(files(data.path()), <[String; 0]>::default());
    }

    #[test]
    fn what_cannot_be_kept_is_sent_on_all_the_same_and_kept_again_when_it_can_be() {
        let data = tempfile::tempdir().expect("a directory");
        let directory = data.path().join(DIRECTORY);
        let journal = Journal::new(&directory).expect("a journal");
        keep(&journal, &"x".repeat(SEGMENT));
        std::fs::remove_dir_all(&directory).expect("it is there");
        assert_eq!(keep(&journal, "lost"), 2);
        assert!(!journal.is_whole());
        std::fs::create_dir(&directory).expect("it is not there");
        assert_eq!(keep(&journal, "too early"), 3);
        assert!(files(&directory).is_empty());
        journal.lock().failed = Instant::now().checked_sub(REST);
        assert_eq!(keep(&journal, "kept"), 4);
        assert_eq!(named(&files(&directory)[0]), Some((journal.id(), 4)));
    }

    #[test]
    fn nothing_is_left_of_segments_that_nothing_could_be_written_to() {
        let data = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(data.path()).expect("a journal");
        for _ in 0..3 {
            let mut state = journal.lock();
            // Written to as on a full disk: not at all.
            let path = state.active.as_ref().map(|segment| segment.path.clone()).expect("one");
            let unwritable = File::open(&path).expect("it is there");
            state.active.as_mut().expect("one").file = unwritable;
            drop(state);
            keep(&journal, "lost");
            assert!(files(data.path()).is_empty());
            journal.lock().failed = Instant::now().checked_sub(REST);
            keep(&journal, "kept");
            assert_eq!(files(data.path()).len(), 1);
            journal.remove();
            let next = journal.lock().next;
            journal.lock().active = Some(Segment::create(data.path(), journal.id, next).expect("a segment"));
        }
        assert!(journal.lock().whole.is_empty());
    }

    #[test]
    fn it_is_whole_again_when_what_it_lacks_is_written() {
        let data = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(data.path()).expect("a journal");
        assert!(journal.is_whole());
        journal.lock().unkept = 3;
        journal.written(2);
        assert!(!journal.is_whole());
        journal.written(3);
        assert!(journal.is_whole());
    }

    #[test]
    fn one_that_keeps_nothing_numbers_all_the_same() {
        let journal = Journal::none();
        assert_eq!((keep(&journal, "a"), keep(&journal, "b")), (1, 2));
        assert!(!journal.is_whole());
    }

    #[test]
    fn names_of_segments() {
        let journal = Uuid::new_v4();
        assert_eq!(named(&name(journal, 1)), Some((journal, 1)));
        for other in [
            "",
            "x.journal",
            &format!("{journal}.journal"),
            &format!("{journal}-0.journal"),
            &format!("{journal}-1.new"),
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
