//! Folding calls into slices. Each call is counted once in the slices of its organization, its server, its tenant, its tenant
//! org as a whole and its topic, by hour and by day.
//!
//! Tenants can be a million. A tenant's own slice is exact, and its line in other slices is a copy of what its own says, so
//! that the tenants with the most calls of an hour or day are the right ones with the right numbers, although the others
//! have no line there.

use std::collections::HashMap;

use smol_str::SmolStr;
use uuid::Uuid;

use super::intake::IntakeCall;
use super::period::Grain;
use super::slice::{Dimension, LINES_MAX, LINES_MAX_OF_MANY, Line, Slice};
use super::subject::{Subject, TenantName, server_bytes, tenant_scope, tool_bytes};
use super::topic::TOPICS_MAX;
use crate::id::{ServerId, TopicId};
use crate::key::KeyId;
use crate::time::Timestamp;

/// Whose calls a slice has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The organization's.
    Organization,
    /// A server's.
    Server(ServerId),
    /// A tenant's, or those of a tenant org as a whole.
    Tenant(TenantName),
    /// A topic's.
    Topic(TopicId),
}

impl Scope {
    /// Its id in the store.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self {
            Self::Organization => Uuid::nil(),
            Self::Server(server) => server.as_uuid(),
            Self::Tenant(tenant) => tenant_scope(tenant),
            Self::Topic(topic) => topic.as_uuid(),
        }
    }

    /// Most lines of a dimension in its slices. Those of a project's servers are summed up together, and there can be many.
    #[must_use]
    pub const fn lines_max(&self, dimension: Dimension) -> usize {
        match (self, dimension) {
            (Self::Server(_), Dimension::Key | Dimension::Tenant) => LINES_MAX_OF_MANY,
            // As many as an organization has.
            (_, Dimension::Topic) => TOPICS_MAX,
            _ => LINES_MAX,
        }
    }
}

/// What a slice is of, besides its scope. Topics stand in slices of their own: most calls have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// An hour or a day.
    pub grain: Grain,
    /// Whether it has the calls by topic, and nothing else.
    pub topics: bool,
}

impl Kind {
    /// Its number in the store.
    #[must_use]
    pub const fn number(self) -> i16 {
        match (self.grain, self.topics) {
            (Grain::Hour, false) => 0,
            (Grain::Day, false) => 1,
            (Grain::Hour, true) => 2,
            (Grain::Day, true) => 3,
        }
    }
}

/// Which slice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SliceKey {
    /// What it is of.
    pub kind: Kind,
    /// When its hour or day begins.
    pub begins: Timestamp,
    /// Whose calls it has.
    pub scope: Scope,
}

/// What some calls add to slices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded(HashMap<SliceKey, Slice>);

/// Calls that differ in nothing that slices tell apart.
#[derive(PartialEq, Eq, Hash)]
struct Cell<'a> {
    hour: Timestamp,
    server: ServerId,
    key: KeyId,
    tool: Option<&'a SmolStr>,
    tenant: Option<&'a TenantName>,
    topic: Option<TopicId>,
}

/// A tenant's own slice that has more calls, and the servers that they were of.
struct Grown {
    key: SliceKey,
    tenant: TenantName,
    servers: Vec<Box<[u8]>>,
}

/// Folds calls, each with its topic. Hours before `oldest_hour` are not kept any more, and so not made.
#[must_use]
pub fn fold(calls: &[IntakeCall], topics: &[Option<TopicId>], oldest_hour: Timestamp) -> Folded {
    let mut cells: HashMap<Cell<'_>, Line> = HashMap::new();
    for (place, call) in calls.iter().enumerate() {
        let cell = Cell {
            hour: Grain::Hour.begin(call.at),
            server: call.server,
            key: call.key,
            tool: call.tool.as_ref(),
            tenant: call.tenant.as_ref(),
            topic: topics.get(place).copied().flatten(),
        };
        let line = cells.entry(cell).or_default();
        line.calls += 1;
        line.errors += u64::from(call.failed);
        line.frustrated += u64::from(call.frustrated);
        line.latencies.count_micros(call.latency);
    }
    let mut folded = Folded::default();
    for (cell, line) in &cells {
        for grain in Grain::ALL {
            if grain == Grain::Day || cell.hour >= oldest_hour {
                folded.add(cell, line, grain);
            }
        }
    }
    folded
}

impl Folded {
    fn slice(&mut self, scope: Scope, grain: Grain, topics: bool, at: Timestamp) -> &mut Slice {
        let key = SliceKey { kind: Kind { grain, topics }, begins: grain.begin(at), scope };
        self.0.entry(key).or_default()
    }

    fn add(&mut self, cell: &Cell<'_>, line: &Line, grain: Grain) {
        let mut scopes = vec![Scope::Organization, Scope::Server(cell.server)];
        if let Some(tenant) = cell.tenant {
            scopes.push(Scope::Tenant(tenant.clone()));
            scopes.extend(tenant.whole_org().map(Scope::Tenant));
        }
        let server = server_bytes(cell.server);
        let tool = cell.tool.map(|tool| tool_bytes(cell.server, tool));
        let key = Subject::Key(cell.key).to_bytes();
        for scope in scopes {
            if let Some(topic) = cell.topic {
                let slice = self.slice(scope.clone(), grain, true, cell.hour);
                slice.all.merge(&line.counts());
                count(slice, Dimension::Topic, Subject::Topic(topic).to_bytes(), &line.counts());
            }
            let of_server = matches!(scope, Scope::Server(_));
            let slice = self.slice(scope, grain, false, cell.hour);
            slice.all.merge(line);
            if !of_server {
                count(slice, Dimension::Server, server.clone(), line);
            }
            if let Some(tool) = &tool {
                count(slice, Dimension::Tool, tool.clone(), line);
            }
            count(slice, Dimension::Key, key.clone(), line);
            if cell.tenant.is_some() {
                // The lines are copied when the tenants' own slices are whole.
                slice.of_mut(Dimension::Tenant).sum.merge(&line.counts());
            }
        }
        if let Some(topic) = cell.topic {
            let slice = self.slice(Scope::Topic(topic), grain, false, cell.hour);
            slice.all.merge(line);
            count(slice, Dimension::Server, server, line);
            if let Some(tool) = tool {
                count(slice, Dimension::Tool, tool, line);
            }
        }
    }

    /// The slices that it adds to.
    pub fn keys(&self) -> impl Iterator<Item = &SliceKey> {
        self.0.keys()
    }

    /// The slices as they are with it, `stored` being those of [`Self::keys`] that there were.
    #[must_use]
    pub fn onto(self, mut stored: HashMap<SliceKey, Slice>) -> HashMap<SliceKey, Slice> {
        let mut tenants: Vec<Grown> = Vec::new();
        for (key, added) in self.0 {
            if let (Scope::Tenant(tenant), false) = (&key.scope, key.kind.topics)
                && added.of(Dimension::Tenant).sum.calls > 0
                && (tenant.user.is_some() || tenant.org.is_none())
            {
                let servers = added.of(Dimension::Server).by_subject.keys().cloned().collect();
                tenants.push(Grown { key: key.clone(), tenant: tenant.clone(), servers });
            }
            stored.entry(key).or_default().merge(&added);
        }
        for Grown { key, tenant, servers } in tenants {
            let subject = Subject::Tenant(tenant.clone()).to_bytes();
            let Some(own) = stored.get(&key) else { continue };
            let all = own.all.clone();
            let by_server: Vec<(ServerId, Line)> = servers
                .iter()
                .filter_map(|server| {
                    let line = own.of(Dimension::Server).by_subject.get(server)?;
                    Some((Subject::server(server)?, line.clone()))
                })
                .collect();
            let mut place = |scope: Scope, line: Line| {
                let lines = stored.entry(SliceKey { scope, ..key.clone() }).or_default().of_mut(Dimension::Tenant);
                lines.by_subject.insert(subject.clone(), line);
            };
            for (server, line) in by_server {
                place(Scope::Server(server), line);
            }
            if let Some(whole) = tenant.whole_org() {
                place(Scope::Tenant(whole), all.clone());
            }
            place(Scope::Organization, all);
        }
        for (key, slice) in &mut stored {
            slice.bound(|dimension| key.scope.lines_max(dimension));
        }
        stored
    }

    /// How many slices it adds to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it adds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn count(slice: &mut Slice, dimension: Dimension, subject: Box<[u8]>, line: &Line) {
    let lines = slice.of_mut(dimension);
    lines.sum.merge(&line.counts());
    lines.by_subject.entry(subject).or_default().merge(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::TenantText;

    fn text(text: &str) -> TenantText {
        TenantText::new(text).expect("an id")
    }

    fn call(server: ServerId, tool: &str, tenant: Option<TenantName>) -> IntakeCall {
        IntakeCall {
            at: Timestamp::parse("2026-11-21T12:34:56Z").expect("a time"),
            request_id: Uuid::nil(),
            key: KeyId::from_token_part("0123456789abcdef").expect("an id"),
            server,
            tool: Some(tool.into()),
            tenant,
            session: None,
            failed: false,
            frustrated: false,
            latency: 1000,
            intent: None,
        }
    }

    fn key(scope: Scope, grain: Grain, topics: bool) -> SliceKey {
        let begins = grain.begin(Timestamp::parse("2026-11-21T12:34:56Z").expect("a time"));
        SliceKey { kind: Kind { grain, topics }, begins, scope }
    }

    #[test]
    fn a_call_is_counted_once_in_each_scope_that_it_belongs_to() {
        let (server, topic) = (ServerId::new(), TopicId::new());
        let marina = TenantName { org: Some(text("globex")), user: Some(text("marina")) };
        let calls = [call(server, "add", Some(marina.clone())), call(server, "list", None)];
        let folded = fold(&calls, &[Some(topic), None], Timestamp::from_micros(0));
        let slices = folded.onto(HashMap::new());
        let globex = marina.whole_org().expect("below an org");
        for grain in Grain::ALL {
            for (scope, calls) in [
                (Scope::Organization, 2),
                (Scope::Server(server), 2),
                (Scope::Tenant(marina.clone()), 1),
                (Scope::Tenant(globex.clone()), 1),
                (Scope::Topic(topic), 1),
            ] {
                let slice = &slices[&key(scope.clone(), grain, false)];
                assert_eq!(slice.all.calls, calls, "{scope:?}");
                assert_eq!(slice.of(Dimension::Tool).sum.calls, calls, "{scope:?}");
            }
            let topics = &slices[&key(Scope::Organization, grain, true)];
            assert_eq!(topics.of(Dimension::Topic).sum.calls, 1);
            let tenants = slices[&key(Scope::Organization, grain, false)].of(Dimension::Tenant);
            assert_eq!((tenants.sum.calls, tenants.by_subject.len()), (1, 1), "a call of no tenant is in no line");
        }
        assert_eq!(slices.len(), 2 * (5 + 4));
    }

    #[test]
    fn hours_that_are_not_kept_are_not_made() {
        let now = Timestamp::parse("2026-11-24T00:00:00Z").expect("a time");
        let folded = fold(&[call(ServerId::new(), "add", None)], &[None], now);
        assert!(folded.keys().all(|key| key.kind.grain == Grain::Day));
        assert_eq!(folded.len(), 2);
    }

    /// A thousand tenants, one call each and again and again: whoever has no line now has lost nothing when it comes to the
    /// top later.
    #[test]
    fn the_tenants_with_the_most_calls_have_exact_lines_however_many_others_there_are() {
        let server = ServerId::new();
        let tenant = |number: usize| TenantName { org: None, user: Some(text(&format!("user-{number:04}"))) };
        let mut slices = HashMap::new();
        for round in 0..4 {
            let mut calls: Vec<IntakeCall> = (0..1000).map(|n| call(server, "add", Some(tenant(n)))).collect();
            if round > 1 {
                // Of higher bytes than all that have a line by then.
                calls.extend((0..5).map(|_| call(server, "add", Some(tenant(999)))));
            }
            let folded = fold(&calls, &[], Timestamp::from_micros(0));
            let wanted: HashMap<SliceKey, Slice> = folded.keys().filter_map(|key| slices.remove_entry(key)).collect();
            slices.extend(folded.onto(wanted));
        }
        for (scope, most) in [(Scope::Organization, LINES_MAX), (Scope::Server(server), LINES_MAX_OF_MANY)] {
            let lines = slices[&key(scope, Grain::Day, false)].of(Dimension::Tenant);
            let top = Subject::Tenant(tenant(999)).to_bytes();
            assert_eq!(lines.largest()[0], (top, 14), "none of its calls is missing");
            assert_eq!((lines.by_subject.len(), lines.sum.calls), (most, 4010));
        }
    }

    #[test]
    fn the_order_of_calls_and_how_they_are_batched_makes_no_difference() {
        let servers = [ServerId::new(), ServerId::new()];
        let calls: Vec<IntakeCall> = (0..90)
            .map(|n| {
                let tenant = TenantName {
                    org: Some(text(&format!("org-{}", n % 4))),
                    user: Some(text(&format!("user-{}", n % 7))),
                };
                call(servers[n % 2], ["a", "b", "c"][n % 3], (n % 5 > 0).then_some(tenant))
            })
            .collect();
        let at_once = fold(&calls, &[], Timestamp::from_micros(0)).onto(HashMap::new());
        let mut in_parts = HashMap::new();
        let mut reversed = calls;
        reversed.reverse();
        for part in reversed.chunks(7) {
            let folded = fold(part, &[], Timestamp::from_micros(0));
            let stored = folded.keys().filter_map(|key| in_parts.remove_entry(key)).collect();
            in_parts.extend(folded.onto(stored));
        }
        assert_eq!(at_once, in_parts);
    }
}
