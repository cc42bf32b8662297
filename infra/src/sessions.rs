//! When MCP sessions were last used, as far as this node knows. A session itself is kept nowhere: its id is sealed, with
//! the time it was issued, and opens on every node.
//!
//! So what ends a session is told apart by who can know it. Its age is in the id: past its lifetime it is over on every
//! node, also after a restart. That it was unused for too long, or that its client ended it, is known to the node that
//! saw its use, and to no other. What a node does not know of is judged by its age alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use domain::time::{Clock, SystemClock, Timestamp};

/// What tells sessions apart: random bytes that every sealed id begins with.
pub type SessionTag = [u8; 12];

/// The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct SessionOver;

/// A time in whole seconds since the epoch; enough until 2106.
#[must_use]
pub fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_seconds()).unwrap_or(0)
}

/// Sessions that were used on this node.
pub struct SessionUses {
    sessions: DashMap<SessionTag, Arc<Use>, foldhash::fast::RandomState>,
    lifetime: u32,
    idle: u32,
    entries: usize,
}

#[derive(Debug)]
struct Use {
    // Seconds since the epoch.
    last: AtomicU32,
    // Requests and streams under way; `ENDED` once its client has ended it.
    open: AtomicU32,
}

const ENDED: u32 = 1 << 31;

impl Use {
    fn ended(&self) -> bool {
        self.open.load(Ordering::Acquire) & ENDED != 0
    }
}

/// A use of a session that is under way: while there is one, the session is not unused.
#[derive(Debug)]
pub struct SessionUse(Arc<Use>);

impl SessionUse {
    fn begin(session: &Arc<Use>, now: u32) -> Self {
        session.last.fetch_max(now, Ordering::Relaxed);
        session.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(session))
    }

    /// Its client has ended the session: it is over on this node, whatever its server remembers.
    pub fn end(&self) {
        self.0.open.fetch_or(ENDED, Ordering::AcqRel);
    }
}

impl Drop for SessionUse {
    fn drop(&mut self) {
        self.0.last.fetch_max(seconds(SystemClock.now()), Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl SessionUses {
    /// Sessions are over `lifetime` after they were issued, and `idle` after their last use. At most about `entries` are
    /// remembered; more, and those unused for longest are forgotten.
    #[must_use]
    pub fn new(lifetime: Duration, idle: Duration, entries: usize) -> Self {
        let whole = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Self { sessions: DashMap::default(), lifetime: whole(lifetime), idle: whole(idle), entries }
    }

    /// Notes that a session was issued.
    pub fn issued(&self, tag: SessionTag, now: u32) {
        self.remember(tag, now);
    }

    /// Begins a use of a session that was issued at `issued`.
    ///
    /// # Errors
    /// [`SessionOver`]
    pub fn begin(&self, tag: SessionTag, issued: u32, now: u32) -> Result<SessionUse, SessionOver> {
        if now.saturating_sub(issued) > self.lifetime {
            return Err(SessionOver);
        }
        match self.sessions.get(&tag) {
            Some(session) => {
                let open = session.open.load(Ordering::Acquire);
                let unused = now.saturating_sub(session.last.load(Ordering::Relaxed));
                if open & ENDED != 0 || (open == 0 && unused > self.idle) {
                    return Err(SessionOver);
                }
                Ok(SessionUse::begin(&session, now))
            }
            None => Ok(SessionUse::begin(&self.remember(tag, now), now)),
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn remember(&self, tag: SessionTag, now: u32) -> Arc<Use> {
        if self.sessions.len() >= self.entries {
            self.forget(now);
        }
        let new = || Arc::new(Use { last: AtomicU32::new(now), open: AtomicU32::new(0) });
        Arc::clone(self.sessions.entry(tag).or_insert_with(new).value())
    }

    /// Forgets what is past its lifetime whenever it was issued, or else the eighth that was unused for longest. Sessions in
    /// use stay. So a flood of new sessions costs memory that is bounded, and makes no other session end.
    fn forget(&self, now: u32) {
        self.sessions.retain(|_, session| {
            session.open.load(Ordering::Acquire) & !ENDED != 0
                || now.saturating_sub(session.last.load(Ordering::Relaxed)) <= self.lifetime
        });
        if self.sessions.len() < self.entries {
            return;
        }
        let mut times: Vec<u32> = self.sessions.iter().map(|session| session.last.load(Ordering::Relaxed)).collect();
        let eighth = times.len() / 8;
        let (_, limit, _) = times.select_nth_unstable(eighth);
        let (limit, mut left) = (*limit, eighth.max(1));
        self.sessions.retain(|_, session| {
            let old = left > 0
                && session.last.load(Ordering::Relaxed) <= limit
                && (session.ended() || session.open.load(Ordering::Acquire) == 0);
            left -= usize::from(old);
            !old
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 3600;
    // Later than the clock of whoever runs this, which ends of uses are noted by.
    const T: u32 = 4_000_000_000;

    fn uses(entries: usize) -> SessionUses {
        SessionUses::new(Duration::from_hours(24), Duration::from_hours(1), entries)
    }

    fn tag(number: u32) -> SessionTag {
        let mut tag = [0; 12];
        tag[..4].copy_from_slice(&number.to_be_bytes());
        tag
    }

    /// As when a use ends at this time; the clock of the test's own day would be another.
    fn used(sessions: &SessionUses, number: u32, issued: u32, now: u32) -> bool {
        let begun = sessions.begin(tag(number), issued, now).is_ok();
        if let Some(session) = sessions.sessions.get(&tag(number))
            && begun
        {
            session.last.store(now, Ordering::Relaxed);
        }
        begun
    }

    #[test]
    fn a_session_is_over_when_unused_for_too_long_and_each_use_counts() {
        let sessions = uses(100);
        sessions.issued(tag(1), T);
        for hour in 1..20 {
            assert!(used(&sessions, 1, T, T + hour * HOUR), "after {hour} hours");
        }
        assert!(!used(&sessions, 1, T, T + 20 * HOUR + 1));
        assert!(!used(&sessions, 1, T, T + 20 * HOUR + 2), "it does not come back");
        sessions.issued(tag(2), T);
        assert!(!used(&sessions, 2, T, T + HOUR + 1), "never used");
    }

    #[test]
    fn a_session_with_a_stream_open_is_not_unused_and_the_streams_end_is_a_use() {
        let (sessions, now) = (uses(100), seconds(SystemClock.now()));
        let stream = sessions.begin(tag(1), now - 5 * HOUR, now - 5 * HOUR).expect("new");
        drop(sessions.begin(tag(1), now - 5 * HOUR, now - 3 * HOUR).expect("a stream is open"));
        let session = Arc::clone(&sessions.sessions.get(&tag(1)).expect("remembered"));
        session.last.store(now - 3 * HOUR, Ordering::Relaxed);
        drop(stream);
        sessions.begin(tag(1), now - 5 * HOUR, now).expect("the stream ended just now");
    }

    #[test]
    fn a_session_past_its_lifetime_is_over_also_where_nobody_knows_it() {
        let sessions = uses(100);
        assert!(used(&sessions, 1, T, T + 24 * HOUR), "issued elsewhere, or before a restart");
        assert!(!used(&sessions, 1, T, T + 24 * HOUR + 1));
        assert!(!used(&sessions, 2, T, T + 24 * HOUR + 1));
        assert!(used(&sessions, 3, T + 5, T), "clocks of nodes differ a little");
    }

    #[test]
    fn a_session_that_was_ended_is_over_also_while_a_stream_of_it_is_open() {
        let sessions = uses(100);
        let stream = sessions.begin(tag(1), T, T).expect("new");
        sessions.begin(tag(1), T, T).expect("in use").end();
        assert!(!used(&sessions, 1, T, T));
        drop(stream);
        assert!(!used(&sessions, 1, T, T));
    }

    #[test]
    fn memory_is_bounded_and_a_flood_ends_no_session_of_others() {
        let sessions = uses(80);
        let open = sessions.begin(tag(0), T, T).expect("new");
        assert!(used(&sessions, 1, T, T));
        for number in 2..1000 {
            sessions.issued(tag(number), T + 1 + number);
            assert!(sessions.len() <= 80, "{}", sessions.len());
        }
        assert!(sessions.sessions.contains_key(&tag(0)), "what is in use is remembered");
        drop(open);
        assert!(!sessions.sessions.contains_key(&tag(1)));
        assert!(used(&sessions, 1, T, T + 2 * HOUR), "what was forgotten is judged by its age alone");
        assert!(!used(&sessions, 1, T, T + 25 * HOUR));
    }
}
