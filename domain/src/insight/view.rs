//! What views are made of: the sum of the slices of a period.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::fold::{Kind, Scope};
use super::period::{Period, Span};
use super::slice::{Dimension, Line, MalformedSlice, RawLine, RawSlice};
use super::subject::{Subject, TenantName, tenant_scope};
use super::topic::Topic;
use super::week::StoredWeek;
use crate::id::{ServerId, TopicId};
use crate::project::Narrowing;
use crate::time::Timestamp;

/// Which calls of its organization a caller asks about.
#[derive(Debug, Clone, Default)]
pub struct Narrowed {
    /// A tenant's, or those of a tenant org as a whole.
    pub tenant: Option<TenantName>,
    /// Those of a project's servers.
    pub within: Option<Narrowing>,
}

impl Narrowed {
    /// The id under which the tenant's slices and sessions stand.
    #[must_use]
    pub fn tenant_scope(&self) -> Option<Uuid> {
        self.tenant.as_ref().map(tenant_scope)
    }

    /// The slices that are summed up: the tenant's, else those of the project's servers, else the organization's.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        match (&self.tenant, &self.within) {
            (Some(tenant), _) => vec![Scope::Tenant(tenant.clone())],
            (None, Some(within)) => within.servers().iter().copied().map(Scope::Server).collect(),
            (None, None) => vec![Scope::Organization],
        }
    }
}

/// Which slices are summed up, and what is wanted of them.
#[derive(Debug, Clone)]
pub struct SumQuery {
    /// What they are of.
    pub kind: Kind,
    /// When.
    pub span: Span,
    /// Whose.
    pub scopes: Vec<Scope>,
    /// Only these servers' calls, of slices that have others.
    pub servers: Option<HashSet<ServerId>>,
    /// The dimensions that are wanted.
    pub dimensions: Vec<Dimension>,
    /// Most lines of each.
    pub most: usize,
}

/// A slice as the store has it.
#[derive(Debug, Clone)]
pub struct StoredSlice {
    /// When it begins.
    pub begins: Timestamp,
    /// The id of its scope.
    pub scope: Uuid,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The sum of some slices.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// All calls, by hour or day.
    pub series: BTreeMap<Timestamp, Line>,
    rankings: HashMap<usize, Ranking<Box<[u8]>>>,
}

impl Sum {
    /// Sums up what the store has: slices, and weeks that stand for seven days of their scope each, whose slices are not among
    /// the others. It reads and adds for some milliseconds: not beside requests on one thread.
    ///
    /// # Errors
    /// [`MalformedSlice`]
    pub fn of(query: &SumQuery, stored: &[StoredSlice], weeks: &[StoredWeek]) -> Result<Self, MalformedSlice> {
        let servers: HashSet<Uuid> =
            query.scopes.iter().filter(|scope| matches!(scope, Scope::Server(_))).map(Scope::id).collect();
        let mut rows = Vec::with_capacity(stored.len());
        for row in stored {
            rows.push(Row::read(&row.bytes, &row.scope, &servers, Some(row.begins))?);
        }
        for week in weeks {
            if let Some(slice) = &week.slice {
                rows.push(Row::read(slice, &week.scope, &servers, None)?);
            }
        }
        let only = query.servers.as_ref();
        let mut sum = Self { series: query.span.begins().map(|at| (at, Line::default())).collect(), ..Self::default() };
        for week in weeks {
            for (day, total) in week.totals()? {
                sum.series.entry(day).or_default().merge(&total);
            }
        }
        for row in &rows {
            let Some(begins) = row.begins else { continue };
            let step = sum.series.entry(begins).or_default();
            if let (None, Some(_)) = (row.server, only) {
                row.lines(Dimension::Server, only, |_, line| {
                    step.merge(&line.line().ok_or(MalformedSlice)?);
                    Ok(())
                })?;
            } else {
                step.merge(&row.raw.all.line().ok_or(MalformedSlice)?);
            }
        }
        for dimension in &query.dimensions {
            sum.rankings.insert(*dimension as usize, ranking(&rows, *dimension, only, query.most)?);
        }
        Ok(sum)
    }

    /// All calls.
    #[must_use]
    pub fn all(&self) -> Line {
        let mut all = Line::default();
        self.series.values().for_each(|line| all.merge(line));
        all
    }

    /// The lines of a dimension with the most calls, and what all others have together.
    #[must_use]
    pub fn ranking<S>(&self, dimension: Dimension, read: impl Fn(&[u8]) -> Option<S>) -> Ranking<S> {
        let Some(ranking) = self.rankings.get(&(dimension as usize)) else { return Ranking::default() };
        let items = ranking.items.iter();
        let items = items.filter_map(|item| Some(Ranked { subject: read(&item.subject)?, line: item.line.clone() }));
        Ranking { items: items.collect(), rest: ranking.rest.clone() }
    }

    /// The calls of each topic.
    #[must_use]
    pub fn topics(&self) -> HashMap<TopicId, Line> {
        let ranking = self.ranking(Dimension::Topic, Subject::topic);
        ranking.items.into_iter().map(|item| (item.subject, item.line)).collect()
    }
}

/// A slice that is summed up.
struct Row<'a> {
    raw: RawSlice<'a>,
    /// The server whose slice it is.
    server: Option<&'a [u8]>,
    /// The hour or day that it is of; none of a week, whose days are told apart by its totals.
    begins: Option<Timestamp>,
}

impl<'a> Row<'a> {
    fn read(
        bytes: &'a [u8],
        scope: &'a Uuid,
        servers: &HashSet<Uuid>,
        begins: Option<Timestamp>,
    ) -> Result<Self, MalformedSlice> {
        // A server's slice is the server's line.
        let server = servers.contains(scope).then(|| scope.as_bytes().as_slice());
        Ok(Self { raw: RawSlice::read(bytes).ok_or(MalformedSlice)?, server, begins })
    }

    /// Shows each line of a dimension, of some servers alone where that is asked; the exact sum of those and of all that have
    /// no line.
    fn lines(
        &self,
        dimension: Dimension,
        only: Option<&HashSet<ServerId>>,
        mut show: impl FnMut(&'a [u8], RawLine<'a>) -> Result<(), MalformedSlice>,
    ) -> Result<Line, MalformedSlice> {
        if let (Some(server), Dimension::Server) = (self.server, dimension) {
            show(server, self.raw.all)?;
            return Ok(self.raw.all.counts());
        }
        let (sum, mut lines) = self.raw.of(dimension).ok_or(MalformedSlice)?;
        let only = only.filter(|_| matches!(dimension, Dimension::Server | Dimension::Tool));
        let mut shown = Line::default();
        while let Some((subject, line)) = lines.next()? {
            // Both begin with the server.
            let server = || subject.get(..16).and_then(Subject::server);
            if only.is_some_and(|only| server().is_none_or(|server| !only.contains(&server))) {
                continue;
            }
            if only.is_some() {
                shown.merge(&line.counts());
            }
            show(subject, line)?;
        }
        Ok(if only.is_some() { shown } else { sum })
    }
}

/// Counts first, and then the latencies of those alone that are among the most: slices have many lines.
fn ranking(
    rows: &[Row<'_>],
    dimension: Dimension,
    only: Option<&HashSet<ServerId>>,
    most: usize,
) -> Result<Ranking<Box<[u8]>>, MalformedSlice> {
    let (mut counted, mut rest) = (HashMap::<&[u8], Line>::new(), Line::default());
    for row in rows {
        let sum = row.lines(dimension, only, |subject, line| {
            counted.entry(subject).or_default().merge(&line.counts());
            Ok(())
        })?;
        rest.merge(&sum);
    }
    let mut ranked: Vec<(&[u8], Line)> = counted.into_iter().collect();
    ranked.sort_unstable_by(|(a, one), (b, other)| other.calls.cmp(&one.calls).then_with(|| a.cmp(b)));
    ranked.truncate(most);
    for (_, line) in &ranked {
        rest.without(line);
    }
    let places: HashMap<&[u8], usize> =
        ranked.iter().enumerate().map(|(place, (subject, _))| (*subject, place)).collect();
    for row in rows {
        row.lines(dimension, only, |subject, line| {
            if let Some(place) = places.get(subject) {
                ranked[*place].1.latencies.merge(&line.latencies().ok_or(MalformedSlice)?);
            }
            Ok(())
        })?;
    }
    let items = ranked.into_iter().map(|(subject, line)| Ranked { subject: subject.into(), line });
    Ok(Ranking { items: items.collect(), rest })
}

/// One of those with the most calls.
#[derive(Debug, Clone)]
pub struct Ranked<S> {
    /// Who or what.
    pub subject: S,
    /// Its calls.
    pub line: Line,
}

/// Those with the most calls, and all others together.
#[derive(Debug, Clone)]
pub struct Ranking<S> {
    /// Most calls first.
    pub items: Vec<Ranked<S>>,
    /// The counts of those that are not among the items.
    pub rest: Line,
}

impl<S> Default for Ranking<S> {
    fn default() -> Self {
        Self { items: Vec::new(), rest: Line::default() }
    }
}

/// What an organization's calls come to in a period.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Which period.
    pub period: Period,
    /// From when until when.
    pub span: Span,
    /// All calls.
    pub all: Line,
    /// The counts of the period before.
    pub before: Line,
    /// By hour or day.
    pub series: Vec<(Timestamp, Line)>,
    /// By server.
    pub servers: Ranking<ServerId>,
    /// By tool.
    pub tools: Ranking<(ServerId, String)>,
    /// By tenant; none where a tenant is asked about.
    pub tenants: Option<Ranking<TenantName>>,
    /// By key; none where a tenant and a project are asked about at once.
    pub keys: Option<Ranking<crate::key::KeyId>>,
}

/// A topic and its calls in a period.
#[derive(Debug, Clone)]
pub struct TopicSummary {
    /// The topic.
    pub topic: Topic,
    /// Its calls in the period, without latencies.
    pub line: Line,
    /// Those of the period before.
    pub before: Line,
}

/// A topic with what there is to tell of it.
#[derive(Debug, Clone)]
pub struct TopicDetail {
    /// The topic and its calls.
    pub summary: TopicSummary,
    /// From when until when.
    pub span: Span,
    /// By hour or day; none where a tenant is asked about, as are the two that follow.
    pub series: Option<Vec<(Timestamp, Line)>>,
    /// The servers that its calls were of.
    pub servers: Option<Ranking<ServerId>>,
    /// And their tools.
    pub tools: Option<Ranking<(ServerId, String)>>,
}
