//! The tools of servers, remembered for a while: a list of fifty servers is not fetched from fifty servers every time.
//!
//! A list belongs to a server and the credential that it was fetched with: what one tenant's account shows, another's
//! never sees. One that is old is given out once more while it is fetched anew; one of a server that failed is not.
//! What is shown of it is written once, not at every answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use domain::id::{ConnectionId, ServerId};
use infra::cache::GuardedCache;
use infra::mcp_client::{Era, Tool};
use tokio::time::timeout;

use super::caller::Asker;
use super::upstream::{Answer, Reached, joined};
use super::{changes, ready, telemetry, tools};
use crate::authenticate::record;
use crate::code::Code;
use crate::problem::Problem;

/// For how many times as long as it is taken for the newest a list is given out while it is fetched anew.
const USABLE: u32 = 10;
/// How long a server that failed is not asked again.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a list of many servers' tools waits for one server. What is not there then is told of, and is there the next
/// time.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long somebody waits for a server's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A while, once: nobody waits again for a server that others waited for in vain and that still has not answered.
    AWhile,
    /// Until the server has answered or is given up.
    ToTheEnd,
}

/// What a server listed.
#[derive(Debug)]
pub struct Listed {
    /// Its tools, in its order.
    pub tools: Vec<Offer>,
    /// All of them as they are shown here, in JSON, with commas between them.
    pub text: Bytes,
    /// What it speaks.
    pub era: Era,
    at: Instant,
}

/// A tool of a server.
#[derive(Debug, Clone)]
pub struct Offer {
    /// As the server has it.
    pub own: Tool,
    // As it is shown here, in JSON: under its joined name, with what every tool advertises. A part of the list's text.
    shown: Bytes,
}

impl Offer {
    /// As it is shown here, in JSON.
    #[must_use]
    pub fn shown(&self) -> &[u8] {
        &self.shown
    }
}

impl Listed {
    /// What the server of this slug listed just now. What could never be called is left out: a second tool of the same
    /// name, and one in the place of one of Keyrack's own.
    pub(super) fn new(slug: &str, listed: Vec<Tool>, era: Era) -> Self {
        let (mut names, mut text, mut ends) = (HashSet::new(), BytesMut::new(), Vec::new());
        for own in listed {
            let name = joined(slug, &own.name);
            if tools::named(&name).is_some() || !names.insert(name.clone()) {
                continue;
            }
            let mut shown = telemetry::advertise(own.clone());
            shown.name = name.into();
            let Some(written) = ready::written(&shown) else { continue };
            if !text.is_empty() {
                text.put_u8(b',');
            }
            text.put_slice(&written);
            ends.push((own, text.len() - written.len()..text.len()));
        }
        let text = text.freeze();
        let tools = ends.into_iter().map(|(own, at)| Offer { own, shown: text.slice(at) }).collect();
        Self { tools, text, era, at: Instant::now() }
    }

    /// The same list with some of its tools.
    #[must_use]
    pub fn only(&self, offers: impl Fn(&Tool) -> bool) -> Self {
        let tools: Vec<Offer> = self.tools.iter().filter(|tool| offers(&tool.own)).cloned().collect();
        let text = tools.iter().map(|tool| &tool.shown[..]).collect::<Vec<_>>().join(&b","[..]).into();
        Self { tools, text, era: self.era, at: self.at }
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

    fn late() -> Self {
        let reason = "the server has not answered yet; its tools are listed as soon as it has".to_owned();
        Self { code: Code::UpstreamTimeout, reason }
    }

    /// The same as a problem.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem::because(self.code, &self.reason)
    }
}

type Key = (ServerId, Option<ConnectionId>);

struct Entry {
    // How long a list is taken for the newest.
    fresh: Duration,
    // A server that moved is another.
    url: String,
    known: Mutex<Option<Known>>,
    // The newest that there was, for the difference; failures in between change nothing about it.
    last: Mutex<Option<Arc<Listed>>>,
    // Since when somebody fetches.
    since: Mutex<Option<Instant>>,
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
enum Known {
    Listed(Arc<Listed>),
    Failed(Trouble, Instant),
}

/// Lists of tools.
pub struct ToolLists {
    fresh: Duration,
    entries: GuardedCache<Key, Arc<Entry>>,
}

impl ToolLists {
    /// Remembers about this many lists at most, and takes each for the newest for so long.
    #[must_use]
    pub fn new(capacity: usize, fresh: Duration) -> Self {
        Self { fresh, entries: GuardedCache::new(capacity) }
    }

    /// The tools that a server offers to a caller. A caller that does not wait any more leaves the fetching to go on.
    ///
    /// # Errors
    /// [`Trouble`]
    pub async fn of(&self, asker: &Arc<Asker>, reached: &Reached, wait: Wait) -> Result<Arc<Listed>, Trouble> {
        let entry = self.entry(reached);
        match entry.known() {
            Some(Known::Listed(listed)) if entry.is_fresh(&listed) => return Ok(listed),
            Some(Known::Listed(listed)) if listed.at.elapsed() < self.fresh * USABLE => {
                if !entry.is_being_fetched() {
                    tokio::spawn(fetched(entry, Arc::clone(asker), reached.clone()));
                }
                return Ok(listed);
            }
            Some(Known::Failed(trouble, at)) if at.elapsed() < PAUSE => return Err(trouble),
            Some(Known::Listed(_) | Known::Failed(..)) | None => {}
        }
        if wait == Wait::AWhile && entry.is_late() {
            return Err(Trouble::late());
        }
        let fetching = tokio::spawn(fetched(entry, Arc::clone(asker), reached.clone()));
        let fetched = match wait {
            Wait::ToTheEnd => fetching.await,
            Wait::AWhile => timeout(PATIENCE, fetching).await.map_err(|_| Trouble::late())?,
        };
        fetched.map_err(|_| Trouble { code: Code::Internal, reason: "the list was not fetched".to_owned() })?
    }

    /// The lists of a server are fetched anew when they are asked for next: somebody saw what they are now. One that is
    /// being fetched at this moment goes to those who wait for it, and to nobody else.
    pub fn forget(&self, server: ServerId) {
        self.entries.invalidate_where(|key, _| key.0 == server);
    }

    fn entry(&self, reached: &Reached) -> Arc<Entry> {
        let record = reached.server.record();
        let key = (record.id, reached.connection.as_ref().map(|connection| connection.id));
        let url = record.url.as_url().as_str();
        if let Some(entry) = self.entries.get(&key)
            && entry.url == url
        {
            return entry;
        }
        let (known, last, since) = (Mutex::default(), Mutex::default(), Mutex::default());
        let entry =
            Arc::new(Entry { fresh: self.fresh, url: url.to_owned(), known, last, since, fetching: Arc::default() });
        let ticket = self.entries.ticket(&key);
        // Nothing is ever stale here that its age does not tell.
        let _ = self.entries.fill(ticket, key, Arc::clone(&entry));
        entry
    }
}

impl Entry {
    fn is_fresh(&self, listed: &Listed) -> bool {
        listed.at.elapsed() < self.fresh
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }

    /// Keeps the newest list, and gives the one before.
    fn replace(&self, listed: &Arc<Listed>) -> Option<Arc<Listed>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(listed))
    }

    fn is_being_fetched(&self) -> bool {
        self.fetching.try_lock().is_err()
    }

    fn fetched_since(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Whether somebody has been fetching for longer than anybody is made to wait.
    fn is_late(&self) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= PATIENCE) && self.is_being_fetched()
    }
}

/// Fetches a list, one at a time for each entry; who waited for another's takes that.
async fn fetched(entry: Arc<Entry>, asker: Arc<Asker>, reached: Reached) -> Result<Arc<Listed>, Trouble> {
    let _fetching = Arc::clone(&entry.fetching).lock_owned().await;
    match entry.known() {
        Some(Known::Listed(listed)) if entry.is_fresh(&listed) => return Ok(listed),
        Some(Known::Failed(trouble, at)) if at.elapsed() < PAUSE => return Err(trouble),
        Some(Known::Listed(_) | Known::Failed(..)) | None => {}
    }
    entry.fetched_since(Some(Instant::now()));
    let (services, server) = (Arc::clone(&asker.services), reached.server.clone());
    let fetched = fetch(asker, reached).await;
    entry.fetched_since(None);
    match fetched {
        Ok(listed) => {
            let listed = Arc::new(listed);
            let last = entry.replace(&listed);
            if let Some(event) = last.and_then(|last| changes::event(server.record(), &last, &listed)) {
                // A log without room is no reason to keep the list back.
                let _ = record(&services, event).await;
            }
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

async fn fetch(asker: Arc<Asker>, reached: Reached) -> Result<Listed, Problem> {
    let slug = reached.server.record().slug.clone();
    let session = reached.greet(asker, Answer::List, None).await?;
    let (tools, era) = (session.list_tools().await, session.era());
    // Nobody waits for a farewell.
    tokio::spawn(async move { session.close().await });
    Ok(Listed::new(slug.as_str(), tools?, era))
}
