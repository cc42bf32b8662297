//! The use cases of insights. Whoever may read them sees those of the whole organization, as far as the request does not
//! narrow them: a tenant, a project.

use std::sync::Arc;

use super::fold::{Kind, Scope};
use super::period::{Period, Span};
use super::port::InsightStore;
use super::session::CallSession;
use super::slice::{Dimension, Line};
use super::subject::Subject;
use super::topic::Topic;
use super::topic::change::TopicChange;
use super::view::{Narrowed, Overview, SumQuery, TopicDetail, TopicSummary};
use crate::access::Grant;
use crate::access::permission::{InsightsRead, InsightsWrite};
use crate::audit::{AuditEvent, AuditTarget};
use crate::call::CallRecord;
use crate::call::port::CallPosition;
use crate::field::FieldErrors;
use crate::id::{CallSessionId, TopicId};
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Clock;

/// Most lines of each ranking of a topic.
const OF_A_TOPIC: usize = 10;

/// Why insights could not be told or changed.
#[derive(Debug, thiserror::Error)]
pub enum InsightFault {
    /// What was asked does not go together.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// No such topic or session, or none of the tenant or project that was asked about.
    #[error("no such topic or session")]
    NotFound,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Where a page of topics begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicPosition {
    /// The calls of the last topic on the page before.
    pub calls: u64,
    /// Its id.
    pub id: TopicId,
}

/// Which topics.
#[derive(Debug, Clone, Copy, Default)]
pub struct TopicFilter {
    /// Those that were put away instead of the others.
    pub archived: bool,
    /// Only those that are marked as unmet demand, or only the others.
    pub unmet_demand: Option<bool>,
}

/// The use cases of insights.
pub struct InsightService<C> {
    store: Arc<dyn InsightStore>,
    clock: C,
}

impl<C: Clock> InsightService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn InsightStore>, clock: C) -> Self {
        Self { store, clock }
    }

    /// What the calls of a period come to, with so many lines of each ranking.
    ///
    /// # Errors
    /// [`InsightFault`]
    pub async fn overview(
        &self,
        grant: &Grant<InsightsRead>,
        period: Period,
        narrowed: &Narrowed,
        most: usize,
    ) -> Result<Overview, InsightFault> {
        let span = period.until(self.clock.now());
        let of_tenant = narrowed.tenant.is_some();
        let tenants = narrowed.tenant.as_ref().is_none_or(|tenant| tenant.user.is_none())
            && !(of_tenant && narrowed.within.is_some());
        let keys = !(of_tenant && narrowed.within.is_some());
        let mut dimensions = vec![Dimension::Server, Dimension::Tool];
        dimensions.extend(tenants.then_some(Dimension::Tenant));
        dimensions.extend(keys.then_some(Dimension::Key));
        let sum = self.store.sum(grant, query(narrowed, span, false, dimensions, most)).await?;
        let before = self.store.sum(grant, query(narrowed, span.before(), false, vec![], 0)).await?.all().counts();
        let tool = |bytes: &[u8]| Subject::tool(bytes).map(|(server, tool)| (server, tool.to_owned()));
        Ok(Overview {
            period,
            span,
            all: sum.all(),
            before,
            servers: sum.ranking(Dimension::Server, Subject::server),
            tools: sum.ranking(Dimension::Tool, tool),
            tenants: tenants.then(|| sum.ranking(Dimension::Tenant, Subject::tenant)),
            keys: keys.then(|| sum.ranking(Dimension::Key, Subject::key)),
            series: sum.series.into_iter().collect(),
        })
    }

    /// A page of the topics with calls in the period or the one before, most calls first.
    ///
    /// # Errors
    /// [`InsightFault`]
    pub async fn topics(
        &self,
        grant: &Grant<InsightsRead>,
        period: Period,
        narrowed: &Narrowed,
        filter: TopicFilter,
        page: PageRequest<TopicPosition>,
    ) -> Result<(Span, Page<TopicSummary, TopicPosition>), InsightFault> {
        let span = period.until(self.clock.now());
        not_both(narrowed)?;
        let mut lines = self.by_topic(grant, narrowed, span).await?;
        let mut before = self.by_topic(grant, narrowed, span.before()).await?;
        let mut topics: Vec<TopicSummary> = self
            .store
            .topics(grant)
            .await?
            .into_iter()
            .filter(|topic| topic.archived_at.is_some() == filter.archived)
            .filter(|topic| filter.unmet_demand.is_none_or(|unmet| topic.unmet_demand == unmet))
            .filter_map(|topic| {
                let (line, before) = (lines.remove(&topic.id), before.remove(&topic.id));
                let seen = line.is_some() || before.is_some();
                seen.then(|| TopicSummary { topic, line: line.unwrap_or_default(), before: before.unwrap_or_default() })
            })
            .collect();
        topics.sort_by_key(|summary| (std::cmp::Reverse(summary.line.calls), summary.topic.id));
        if let Some(TopicPosition { calls, id }) = page.after {
            topics
                .retain(|summary| summary.line.calls < calls || (summary.line.calls == calls && summary.topic.id > id));
        }
        topics.truncate(usize::from(page.limit.get()) + 1);
        let position = |summary: &TopicSummary| TopicPosition { calls: summary.line.calls, id: summary.topic.id };
        Ok((span, Page::of_overread(topics, page.limit, position)))
    }

    /// One topic.
    ///
    /// # Errors
    /// [`InsightFault`]
    pub async fn topic(
        &self,
        grant: &Grant<InsightsRead>,
        id: TopicId,
        period: Period,
        narrowed: &Narrowed,
    ) -> Result<TopicDetail, InsightFault> {
        let topic = self.store.topic(grant, id).await?.ok_or(InsightFault::NotFound)?;
        not_both(narrowed)?;
        let span = period.until(self.clock.now());
        if narrowed.tenant.is_some() {
            let line = self.by_topic(grant, narrowed, span).await?.remove(&id).unwrap_or_default();
            let before = self.by_topic(grant, narrowed, span.before()).await?.remove(&id).unwrap_or_default();
            let summary = TopicSummary { topic, line, before };
            return Ok(TopicDetail { summary, span, series: None, servers: None, tools: None });
        }
        let query = |span: Span, dimensions| SumQuery {
            kind: Kind { grain: span.grain(), topics: false },
            span,
            scopes: vec![Scope::Topic(id)],
            servers: narrowed.within.as_ref().map(|within| within.servers().clone()),
            dimensions,
            most: OF_A_TOPIC,
        };
        let sum = self.store.sum(grant, query(span, vec![Dimension::Server, Dimension::Tool])).await?;
        let before = self.store.sum(grant, query(span.before(), vec![])).await?.all().counts();
        let tool = |bytes: &[u8]| Subject::tool(bytes).map(|(server, tool)| (server, tool.to_owned()));
        Ok(TopicDetail {
            summary: TopicSummary { topic, line: sum.all(), before },
            span,
            servers: Some(sum.ranking(Dimension::Server, Subject::server)),
            tools: Some(sum.ranking(Dimension::Tool, tool)),
            series: Some(sum.series.into_iter().collect()),
        })
    }

    /// Changes a topic.
    ///
    /// # Errors
    /// [`InsightFault`]
    pub async fn change_topic(
        &self,
        grant: &Grant<InsightsWrite>,
        id: TopicId,
        change: TopicChange,
        event: AuditEvent,
    ) -> Result<Topic, InsightFault> {
        let event = event.about(AuditTarget::Topic(id));
        self.store.change_topic(grant, id, change, event).await?.ok_or(InsightFault::NotFound)
    }

    /// A page of the sessions that began in a period, the newest first.
    ///
    /// # Errors
    /// [`InsightFault`]
    pub async fn sessions(
        &self,
        grant: &Grant<InsightsRead>,
        period: Period,
        narrowed: &Narrowed,
        page: PageRequest<CallSessionId>,
    ) -> Result<Page<CallSession, CallSessionId>, InsightFault> {
        let since = period.until(self.clock.now()).from();
        Ok(self.store.sessions(grant, since, narrowed, page).await?)
    }

    /// One session with a page of its calls, the oldest first. Not there for whom it is none of the tenant or the project.
    ///
    /// # Errors
    /// [`InsightFault`]
    pub async fn session(
        &self,
        grant: &Grant<InsightsRead>,
        id: CallSessionId,
        narrowed: &Narrowed,
        page: PageRequest<CallPosition>,
    ) -> Result<(CallSession, Page<CallRecord, CallPosition>), InsightFault> {
        let session = self.store.session(grant, id).await?.ok_or(InsightFault::NotFound)?;
        let of_tenant = narrowed.tenant.as_ref().is_none_or(|asked| {
            session.tenant.as_ref().is_some_and(|own| own == asked || own.whole_org().as_ref() == Some(asked))
        });
        let of_project =
            narrowed.within.as_ref().is_none_or(|within| session.has_server(|server| within.permits(server)));
        if !of_tenant || !of_project {
            return Err(InsightFault::NotFound);
        }
        let calls = self.store.session_calls(grant, &session, narrowed, page).await?;
        Ok((session, calls))
    }

    async fn by_topic(
        &self,
        grant: &Grant<InsightsRead>,
        narrowed: &Narrowed,
        span: Span,
    ) -> Result<std::collections::HashMap<TopicId, Line>, InsightFault> {
        Ok(self.store.sum(grant, query(narrowed, span, true, vec![Dimension::Topic], usize::MAX)).await?.topics())
    }
}

fn query(narrowed: &Narrowed, span: Span, topics: bool, dimensions: Vec<Dimension>, most: usize) -> SumQuery {
    let servers = match (&narrowed.tenant, &narrowed.within) {
        (Some(_), Some(within)) => Some(within.servers().clone()),
        _ => None,
    };
    SumQuery { kind: Kind { grain: span.grain(), topics }, span, scopes: narrowed.scopes(), servers, dimensions, most }
}

/// What is kept of a tenant's topics does not tell their servers: to show them all would be more than was asked for.
fn not_both(narrowed: &Narrowed) -> Result<(), FieldErrors> {
    if narrowed.tenant.is_some() && narrowed.within.is_some() {
        return Err(FieldErrors::one("projectId", "topics can be narrowed to a tenant or to a project, not to both"));
    }
    Ok(())
}
