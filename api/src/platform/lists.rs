//! The tools of servers, remembered for a while: a list of fifty servers is not fetched from fifty servers every time.
//!
//! A list belongs to a server and the credential that it was fetched with: what one tenant's account shows, another's
//! never sees. One that is old is given out once more while it is fetched anew; one of a server that failed is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::id::{ConnectionId, ServerId};
use infra::cache::GuardedCache;
use infra::mcp_client::{Era, Tool};

use super::caller::Caller;
use super::upstream::{Answer, Reached};
use crate::code::Code;
use crate::problem::Problem;

/// How long a list is taken for the newest.
const FRESH: Duration = Duration::from_mins(1);
/// How long it is given out while it is fetched anew.
const USABLE: Duration = Duration::from_mins(10);
/// How long a server that failed is not asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// What a server listed.
#[derive(Debug)]
pub struct Listed {
    /// Its tools, in its order.
    pub tools: Vec<Tool>,
    /// What it speaks.
    pub era: Era,
    at: Instant,
}

impl Listed {
    /// The same list with some of its tools.
    #[must_use]
    pub fn only(&self, offers: impl Fn(&Tool) -> bool) -> Self {
        let tools = self.tools.iter().filter(|tool| offers(tool)).cloned().collect();
        Self { tools, era: self.era, at: self.at }
    }
}

/// A server whose list there is not.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What the caller is told.
    pub code: Code,
    /// Why, in words.
    pub reason: String,
}

impl Trouble {
    /// What stands in the way.
    #[must_use]
    pub fn of(problem: &Problem) -> Self {
        Self { code: problem.code(), reason: problem.message().to_owned() }
    }

    /// The same as a problem.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem::because(self.code, &self.reason)
    }
}

type Key = (ServerId, Option<ConnectionId>);

struct Entry {
    // A server that moved is another.
    url: String,
    known: Mutex<Option<Known>>,
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
enum Known {
    Listed(Arc<Listed>),
    Failed(Trouble, Instant),
}

/// Lists of tools.
pub struct ToolLists(GuardedCache<Key, Arc<Entry>>);

impl ToolLists {
    /// Remembers about this many lists at most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(GuardedCache::new(capacity))
    }

    /// The tools that a server offers to a caller. A caller that does not wait any more leaves the fetching to go on.
    ///
    /// # Errors
    /// [`Trouble`]
    pub async fn of(&self, caller: &Arc<Caller>, reached: &Reached) -> Result<Arc<Listed>, Trouble> {
        let entry = self.entry(reached);
        match entry.known() {
            Some(Known::Listed(listed)) if listed.at.elapsed() < FRESH => return Ok(listed),
            Some(Known::Listed(listed)) if listed.at.elapsed() < USABLE => {
                tokio::spawn(fetched(entry, Arc::clone(caller), reached.clone()));
                return Ok(listed);
            }
            Some(Known::Failed(trouble, at)) if at.elapsed() < PAUSE => return Err(trouble),
            Some(Known::Listed(_) | Known::Failed(..)) | None => {}
        }
        let fetching = tokio::spawn(fetched(entry, Arc::clone(caller), reached.clone()));
        let lost = |_| Trouble { code: Code::Internal, reason: "the list was not fetched".to_owned() };
        fetching.await.map_err(lost)?
    }

    fn entry(&self, reached: &Reached) -> Arc<Entry> {
        let record = reached.server.record();
        let key = (record.id, reached.connection.as_ref().map(|connection| connection.id));
        let url = record.url.as_url().as_str();
        if let Some(entry) = self.0.get(&key)
            && entry.url == url
        {
            return entry;
        }
        let entry = Arc::new(Entry { url: url.to_owned(), known: Mutex::default(), fetching: Arc::default() });
        let ticket = self.0.ticket(&key);
        // Nothing is ever stale here that its age does not tell.
        let _ = self.0.fill(ticket, key, Arc::clone(&entry));
        entry
    }
}

impl Entry {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

/// Fetches a list, one at a time for each entry; who waited for another's takes that.
async fn fetched(entry: Arc<Entry>, caller: Arc<Caller>, reached: Reached) -> Result<Arc<Listed>, Trouble> {
    let _fetching = Arc::clone(&entry.fetching).lock_owned().await;
    match entry.known() {
        Some(Known::Listed(listed)) if listed.at.elapsed() < FRESH => return Ok(listed),
        Some(Known::Failed(trouble, at)) if at.elapsed() < PAUSE => return Err(trouble),
        Some(Known::Listed(_) | Known::Failed(..)) | None => {}
    }
    match fetch(caller, reached).await {
        Ok(listed) => {
            let listed = Arc::new(listed);
            entry.note(Known::Listed(Arc::clone(&listed)));
            Ok(listed)
        }
        Err(problem) => {
            let trouble = Trouble::of(&problem);
            entry.note(Known::Failed(trouble.clone(), Instant::now()));
            Err(trouble)
        }
    }
}

async fn fetch(caller: Arc<Caller>, reached: Reached) -> Result<Listed, Problem> {
    let session = reached.greet(caller, Answer::List, None).await?;
    let (tools, era) = (session.list_tools().await, session.era());
    // Nobody waits for a farewell.
    tokio::spawn(async move { session.close().await });
    Ok(Listed { tools: tools?, era, at: Instant::now() })
}
