//! Sessions: calls of one caller that belong together.
//!
//! Where the protocol version has sessions, a call's tag says which. Else calls of one key and tenant are a session until
//! there is none for [`IDLE`]. Ids are told from the first call, so that every node would make the same.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::derived;
use super::intake::IntakeCall;
use super::slice::{Dimension, Slice};
use super::subject::{Subject, TenantName, server_bytes, tool_bytes};
use crate::call::SessionTag;
use crate::id::CallSessionId;
use crate::key::KeyId;
use crate::time::Timestamp;

/// How long a session without a tag may be without a call.
pub const IDLE: Duration = Duration::from_mins(30);
/// Longest session; what comes later is another one. A day longer than a session of the protocol may be by default.
pub const LENGTH_MAX: Duration = Duration::from_hours(8 * 24);
/// Most servers, and most tools, that a session tells of.
const LINES: usize = 32;

/// A session, as far as its calls are folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSession {
    /// Its id; it sorts by the session's beginning.
    pub id: CallSessionId,
    /// What its calls have in common, for the store.
    pub caller: Uuid,
    /// The key that called.
    pub key: KeyId,
    /// The tenant that it spoke for.
    pub tenant: Option<TenantName>,
    /// The tag of its calls, where the protocol version has sessions.
    pub tag: Option<SessionTag>,
    /// When its first call began.
    pub started_at: Timestamp,
    /// When its last call began.
    pub last_at: Timestamp,
    /// Its calls, by server and tool.
    pub calls: Slice,
}

impl CallSession {
    /// The lowest id of a session that begins at this time.
    #[must_use]
    pub fn lowest_id(at: Timestamp) -> CallSessionId {
        CallSessionId::from_uuid(ordered(at, &[0; 10]))
    }

    fn begun_by(call: &IntakeCall, caller: Uuid) -> Self {
        let hash =
            derived("keyrack insights session v1", &[caller.as_bytes().as_slice(), &call.at.as_micros().to_le_bytes()]);
        let mut random = [0; 10];
        random.copy_from_slice(&hash.as_bytes()[..10]);
        Self {
            id: CallSessionId::from_uuid(ordered(call.at, &random)),
            caller,
            key: call.key,
            tenant: call.tenant.clone(),
            tag: call.session,
            started_at: call.at,
            last_at: call.at,
            calls: Slice::default(),
        }
    }

    fn takes(&self, at: Timestamp) -> bool {
        let idle = if self.tag.is_some() { LENGTH_MAX } else { IDLE };
        at >= self.started_at.before(idle)
            && at <= self.last_at.after(idle)
            && at <= self.started_at.after(LENGTH_MAX)
            && at >= self.last_at.before(LENGTH_MAX)
    }

    fn add(&mut self, call: &IntakeCall) {
        self.started_at = self.started_at.min(call.at);
        self.last_at = self.last_at.max(call.at);
        let mut line = super::Line { calls: 1, errors: u64::from(call.failed), ..super::Line::default() };
        line.frustrated = u64::from(call.frustrated);
        let counts = line.counts();
        line.latencies.count_micros(call.latency);
        self.calls.all.merge(&line);
        let tool = call.tool.as_ref().map(|tool| (Dimension::Tool, tool_bytes(call.server, tool)));
        for (dimension, subject) in [(Dimension::Server, server_bytes(call.server))].into_iter().chain(tool) {
            let lines = self.calls.of_mut(dimension);
            lines.sum.merge(&counts);
            lines.by_subject.entry(subject).or_default().merge(&counts);
        }
    }

    /// Whether one of its calls was of such a server, as far as it tells.
    #[must_use]
    pub fn has_server(&self, permits: impl Fn(crate::id::ServerId) -> bool) -> bool {
        let mut servers = self.calls.of(Dimension::Server).by_subject.keys();
        servers.any(|bytes| Subject::server(bytes).is_some_and(&permits))
    }
}

fn ordered(at: Timestamp, random: &[u8; 10]) -> Uuid {
    let millis = u64::try_from(at.as_micros().div_euclid(1000)).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid()
}

/// Sessions while calls are put into them.
#[derive(Debug, Default)]
pub struct SessionBook {
    by_caller: HashMap<Uuid, Vec<CallSession>>,
    touched: Vec<CallSessionId>,
}

impl SessionBook {
    /// What a call has in common with the others of its session.
    #[must_use]
    pub fn caller(call: &IntakeCall) -> Uuid {
        let tag = call.session.map(|tag| tag.number().to_le_bytes());
        let tenant = call.tenant.clone().map(|tenant| Subject::Tenant(tenant).to_bytes()).unwrap_or_default();
        let tag = tag.as_ref().map_or(&[][..], <[u8; 8]>::as_slice);
        derived("keyrack insights caller v1", &[call.key.as_token_part().as_bytes(), &tenant, tag])
    }

    /// The sessions that there are of the callers of the calls that come.
    #[must_use]
    pub fn of(known: Vec<CallSession>) -> Self {
        let mut book = Self::default();
        for session in known {
            book.by_caller.entry(session.caller).or_default().push(session);
        }
        book
    }

    /// Puts a call into its session, which may begin with it. Calls come in the order of their beginnings.
    pub fn add(&mut self, call: &IntakeCall, caller: Uuid) {
        let sessions = self.by_caller.entry(caller).or_default();
        let found = sessions.iter_mut().filter(|session| session.takes(call.at)).max_by_key(|session| session.id);
        let session = if let Some(session) = found {
            session
        } else {
            sessions.push(CallSession::begun_by(call, caller));
            let last = sessions.len() - 1;
            &mut sessions[last]
        };
        session.add(call);
        if self.touched.last() != Some(&session.id) {
            self.touched.push(session.id);
        }
    }

    /// The sessions that are new or have more calls.
    #[must_use]
    pub fn changed(mut self) -> Vec<CallSession> {
        self.touched.sort_unstable();
        self.touched.dedup();
        let touched = self.touched;
        let sessions = self.by_caller.into_values().flatten();
        let mut changed: Vec<CallSession> =
            sessions.filter(|session| touched.binary_search(&session.id).is_ok()).collect();
        for session in &mut changed {
            session.calls.bound(|_| LINES);
        }
        changed.sort_by_key(|session| session.id);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ServerId;
    use crate::tenant::TenantText;

    const MINUTE: i64 = 60_000_000;

    fn call(minute: i64, tenant: &str, tag: Option<i64>) -> IntakeCall {
        IntakeCall {
            at: Timestamp::from_micros(1_000_000_000_000_000 + minute * MINUTE),
            request_id: Uuid::nil(),
            key: KeyId::from_token_part("0123456789abcdef").expect("an id"),
            server: ServerId::from_uuid(Uuid::from_u128(1)),
            tool: Some("add".into()),
            tenant: Some(TenantName { org: None, user: Some(TenantText::new(tenant).expect("an id")) }),
            session: tag.map(SessionTag::of_stored),
            failed: minute == 7,
            frustrated: false,
            latency: 1000,
            intent: None,
        }
    }

    fn book(known: Vec<CallSession>, calls: &[IntakeCall]) -> Vec<CallSession> {
        let mut book = SessionBook::of(known);
        for call in calls {
            book.add(call, SessionBook::caller(call));
        }
        book.changed()
    }

    fn counts(sessions: &[CallSession]) -> Vec<u64> {
        sessions.iter().map(|session| session.calls.all.calls).collect()
    }

    #[test]
    fn a_session_without_a_tag_ends_when_its_caller_is_idle() {
        let minutes = [0, 7, 37, 68, 69];
        let calls: Vec<IntakeCall> = minutes.iter().map(|minute| call(*minute, "marina", None)).collect();
        let sessions = book(vec![], &calls);
        assert_eq!(counts(&sessions), [3, 2], "31 minutes without a call");
        assert_eq!(sessions[0].calls.all.errors, 1);
        assert!(sessions[0].id < sessions[1].id);
        // The same calls one by one, each with what the ones before left.
        let mut known: Vec<CallSession> = Vec::new();
        for one in &calls {
            for changed in book(known.clone(), std::slice::from_ref(one)) {
                known.retain(|session| session.id != changed.id);
                known.push(changed);
            }
        }
        assert_eq!(known, sessions);
    }

    #[test]
    fn another_tenant_is_another_session_and_a_tag_joins_across_any_pause() {
        let calls = [call(0, "marina", None), call(1, "otto", None), call(2, "marina", Some(5))];
        assert_eq!(counts(&book(vec![], &calls)), [1, 1, 1]);
        let tagged = [call(0, "marina", Some(5)), call(600, "marina", Some(5)), call(601, "marina", Some(6))];
        assert_eq!(counts(&book(vec![], &tagged)), [2, 1]);
    }

    #[test]
    fn no_session_is_longer_than_it_may_be() {
        let days = i64::try_from(LENGTH_MAX.as_secs() / 60).expect("small");
        let calls = [call(0, "marina", Some(5)), call(days + 1, "marina", Some(5))];
        assert_eq!(counts(&book(vec![], &calls)), [1, 1]);
        let every_20_minutes: Vec<IntakeCall> =
            (0..=days / 20 + 1).map(|step| call(step * 20, "marina", None)).collect();
        let sessions = book(vec![], &every_20_minutes);
        assert_eq!(sessions.len(), 2);
        for session in sessions {
            assert!(session.last_at <= session.started_at.after(LENGTH_MAX));
        }
    }

    #[test]
    fn a_call_that_ended_late_joins_the_session_of_its_time() {
        let known = book(vec![], &[call(0, "marina", None), call(100, "marina", None)]);
        let late = book(known.clone(), &[call(10, "marina", None)]);
        assert_eq!((late.len(), late[0].id), (1, known[0].id));
        let before = book(known.clone(), &[call(-10, "marina", None)]);
        assert_eq!((before[0].id, before[0].started_at), (known[0].id, call(-10, "marina", None).at));
    }
}
