//! Reading insights, and changing topics. No view reads more for more calls: slices are bounded, and of sessions and of
//! call records a bounded number is looked at.

use async_trait::async_trait;
use domain::access::Grant;
use domain::access::permission::{InsightsRead, InsightsWrite};
use domain::audit::AuditEvent;
use domain::call::port::CallPosition;
use domain::call::{CallRecord, SessionTag, Telemetry};
use domain::id::{CallSessionId, TopicId};
use domain::insight::port::InsightStore;
use domain::insight::topic::Topic;
use domain::insight::topic::change::TopicChange;
use domain::insight::week::StoredWeek;
use domain::insight::{CallSession, Narrowed, StoredSlice, Sum, SumQuery};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use super::super::audit::record;
use super::super::call_rows;
use super::super::entity::{call_record, call_telemetry, insight_session, insight_slice, insight_topic};
use super::super::fault::store_fault;
use super::super::{Database, scoped};
use super::{SCOPES, sessions, topics, weeks};

/// Sessions that one request looks at.
const SESSIONS: u64 = 2_000;
/// Call records that one request looks at.
const CALLS: u64 = 10_000;

/// Insights in the database.
#[derive(Clone)]
pub struct SqlInsights {
    db: Database,
}

impl SqlInsights {
    /// Reads from this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }
}

#[async_trait]
impl InsightStore for SqlInsights {
    async fn sum(&self, grant: &Grant<InsightsRead>, query: SumQuery) -> Result<Sum, StoreFault> {
        use insight_slice::Column;
        let scopes: Vec<Uuid> = query.scopes.iter().map(domain::insight::Scope::id).collect();
        let weeks = weeks::of(self.db.reader(), grant, &query, &scopes).await?;
        let mut stored = Vec::new();
        for (begins, scopes) in days_besides(&query, &scopes, &weeks) {
            for chunk in scopes.chunks(SCOPES) {
                let rows: Vec<(i64, Uuid, Vec<u8>)> = scoped::find::<insight_slice::Entity>(grant)
                    .select_only()
                    .columns([Column::Begins, Column::Scope, Column::Content])
                    .filter(Column::Kind.eq(query.kind.number()))
                    // One by one, and not from the first to the last: the rows of other scopes lie between them.
                    .filter(Column::Begins.is_in(begins.iter().copied()))
                    .filter(Column::Scope.is_in(chunk.iter().copied()))
                    .into_tuple()
                    .all(self.db.reader())
                    .await
                    .map_err(store_fault)?;
                stored.extend(rows.into_iter().map(|(begins, scope, bytes)| StoredSlice {
                    begins: Timestamp::from_micros(begins),
                    scope,
                    bytes,
                }));
            }
        }
        // The threads that serve requests have better to do.
        let summed = tokio::task::spawn_blocking(move || Sum::of(&query, &stored, &weeks)).await;
        let summed = summed.map_err(|error| StoreFault::Broken(Box::new(error)))?;
        summed.map_err(|fault| StoreFault::Corrupt(fault.to_string()))
    }

    async fn topics(&self, grant: &Grant<InsightsRead>) -> Result<Vec<Topic>, StoreFault> {
        topics::all(self.db.reader(), grant).await
    }

    async fn topic(&self, grant: &Grant<InsightsRead>, id: TopicId) -> Result<Option<Topic>, StoreFault> {
        let row = scoped::find::<insight_topic::Entity>(grant)
            .filter(insight_topic::Column::Id.eq(id.as_uuid()))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        row.map(topics::read).transpose()
    }

    async fn change_topic(
        &self,
        grant: &Grant<InsightsWrite>,
        id: TopicId,
        change: TopicChange,
        event: AuditEvent,
    ) -> Result<Option<Topic>, StoreFault> {
        use insight_topic::Column;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        // Locked, so that what the change is compared with is still true when it is made.
        let row = scoped::find::<insight_topic::Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .lock_exclusive()
            .one(&transaction)
            .await
            .map_err(store_fault)?;
        let Some(before) = row.map(topics::read).transpose()? else { return Ok(None) };
        let (after, events) = change.apply(&before, &event);
        if events.is_empty() {
            return Ok(Some(after));
        }
        scoped::update::<insight_topic::Entity>(grant)
            .filter(Column::Id.eq(id.as_uuid()))
            .col_expr(Column::Name, after.name.as_ref().map(ToString::to_string).into())
            .col_expr(Column::UnmetDemand, after.unmet_demand.into())
            .col_expr(Column::ArchivedAt, after.archived_at.map(Timestamp::as_micros).into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        record(&transaction, events).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(after))
    }

    async fn sessions(
        &self,
        grant: &Grant<InsightsRead>,
        since: Timestamp,
        narrowed: &Narrowed,
        page: PageRequest<CallSessionId>,
    ) -> Result<Page<CallSession, CallSessionId>, StoreFault> {
        use insight_session::Column;
        let mut rows = scoped::find::<insight_session::Entity>(grant)
            .filter(Column::Id.gte(CallSession::lowest_id(since).as_uuid()));
        if let (Some(tenant), Some(id)) = (&narrowed.tenant, narrowed.tenant_scope()) {
            let column = if tenant.user.is_some() { Column::Tenant } else { Column::WholeOrg };
            rows = rows.filter(column.eq(id));
        }
        if let Some(after) = page.after {
            rows = rows.filter(Column::Id.lt(after.as_uuid()));
        }
        let looked_at = if narrowed.within.is_some() { SESSIONS } else { u64::from(page.limit.get()) + 1 };
        let rows = rows.order_by_desc(Column::Id).limit(looked_at).all(self.db.reader()).await.map_err(store_fault)?;
        let Some(within) = &narrowed.within else {
            let sessions = rows.into_iter().map(sessions::read).collect::<Result<Vec<_>, _>>()?;
            return Ok(Page::of_overread(sessions, page.limit, |session| session.id));
        };
        let (mut found, seen) = (Vec::new(), rows.len() as u64);
        let last = rows.last().map(|row| CallSessionId::from_uuid(row.id));
        for row in rows {
            let session = sessions::read(row)?;
            if session.has_server(|server| within.permits(server)) {
                found.push(session);
            }
        }
        let more = found.len() > usize::from(page.limit.get());
        let mut page = Page::of_overread(found, page.limit, |session| session.id);
        if !more && seen == SESSIONS {
            page.next = last;
        }
        Ok(page)
    }

    async fn session(&self, grant: &Grant<InsightsRead>, id: CallSessionId) -> Result<Option<CallSession>, StoreFault> {
        let row = scoped::find::<insight_session::Entity>(grant)
            .filter(insight_session::Column::Id.eq(id.as_uuid()))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        row.map(sessions::read).transpose()
    }

    async fn session_calls(
        &self,
        grant: &Grant<InsightsRead>,
        session: &CallSession,
        narrowed: &Narrowed,
        page: PageRequest<CallPosition>,
    ) -> Result<Page<CallRecord, CallPosition>, StoreFault> {
        use call_record::Column;
        let from = page.after.map_or(session.started_at, |after| after.at);
        let mut range =
            Condition::all().add(Column::At.gte(from.as_micros())).add(Column::At.lte(session.last_at.as_micros()));
        if let Some(CallPosition { at, request_id }) = page.after {
            let same = Condition::all().add(Column::At.eq(at.as_micros())).add(Column::RequestId.gt(request_id));
            range = range.add(Condition::any().add(Column::At.gt(at.as_micros())).add(same));
        }
        let in_order =
            |rows: sea_orm::Select<call_record::Entity>| rows.order_by_asc(Column::At).order_by_asc(Column::RequestId);
        // The last call that this request looks at; everything to the end when there are fewer.
        let end: Option<(i64, Uuid)> = in_order(scoped::find::<call_record::Entity>(grant).filter(range.clone()))
            .select_only()
            .columns([Column::At, Column::RequestId])
            .offset(CALLS - 1)
            .limit(1)
            .into_tuple()
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        if let Some((at, request_id)) = end {
            let same = Condition::all().add(Column::At.eq(at)).add(Column::RequestId.lte(request_id));
            range = range.add(Column::At.lte(at)).add(Condition::any().add(Column::At.lt(at)).add(same));
        }
        let mut rows = scoped::find::<call_record::Entity>(grant)
            .filter(range)
            .filter(Column::KeyId.eq(session.key.as_token_part()))
            .filter(of_tenant(session));
        rows = match session.tag.map(SessionTag::number) {
            Some(tag) => rows.filter(Column::Session.eq(tag)),
            None => rows.filter(Column::Session.is_null()),
        };
        if let Some(within) = &narrowed.within {
            rows = rows.filter(Column::ServerId.is_in(within.servers().iter().map(domain::id::ServerId::as_uuid)));
        }
        let rows =
            in_order(rows).limit(u64::from(page.limit.get()) + 1).all(self.db.reader()).await.map_err(store_fault)?;
        let more = rows.len() > usize::from(page.limit.get());
        let calls = rows.into_iter().map(call_rows::read).collect::<Result<Vec<_>, _>>()?;
        let position = |call: &CallRecord| CallPosition { at: call.at, request_id: call.request_id };
        let mut page = Page::of_overread(calls, page.limit, position);
        if !more && let Some((at, request_id)) = end {
            page.next = Some(CallPosition { at: Timestamp::from_micros(at), request_id });
        }
        self.add_telemetry(grant, &mut page.items).await?;
        Ok(page)
    }
}

/// The hours or days that weeks do not stand for, each with the scopes of which it must be read.
fn days_besides(query: &SumQuery, scopes: &[Uuid], weeks: &[StoredWeek]) -> HashMap<Vec<i64>, Vec<Uuid>> {
    let mut covered: HashMap<Uuid, HashSet<Timestamp>> = HashMap::new();
    for stored in weeks {
        covered.entry(stored.scope).or_default().extend(stored.week.days());
    }
    let mut besides: HashMap<Vec<i64>, Vec<Uuid>> = HashMap::new();
    for scope in scopes {
        let covered = covered.get(scope);
        let begins = query.span.begins().filter(|begins| covered.is_none_or(|days| !days.contains(begins)));
        besides.entry(begins.map(Timestamp::as_micros).collect()).or_default().push(*scope);
    }
    besides
}

fn of_tenant(session: &CallSession) -> Condition {
    use call_record::Column;
    let named = |column: Column, text: Option<&TenantText>| match text {
        Some(text) => column.eq(text.as_str()),
        None => column.is_null(),
    };
    let tenant = session.tenant.as_ref();
    Condition::all()
        .add(named(Column::TenantOrg, tenant.and_then(|tenant| tenant.org.as_ref())))
        .add(named(Column::TenantUser, tenant.and_then(|tenant| tenant.user.as_ref())))
}

impl SqlInsights {
    /// Adds what models said of these calls.
    async fn add_telemetry(&self, grant: &Grant<InsightsRead>, calls: &mut [CallRecord]) -> Result<(), StoreFault> {
        use call_telemetry::Column;
        let (Some(first), Some(last)) = (calls.first(), calls.last()) else { return Ok(()) };
        let rows = scoped::find::<call_telemetry::Entity>(grant)
            .filter(Column::At.gte(first.at.as_micros()))
            .filter(Column::At.lte(last.at.as_micros()))
            .filter(Column::At.is_in(calls.iter().map(|call| call.at.as_micros())))
            .filter(Column::RequestId.is_in(calls.iter().map(|call| call.request_id)))
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let mut said: HashMap<(i64, Uuid), Telemetry> = rows
            .into_iter()
            .map(|row| {
                let telemetry = Telemetry { intent: row.intent, context: row.context, frustration: row.frustration };
                ((row.at, row.request_id), telemetry)
            })
            .collect();
        for call in calls {
            call.telemetry = said.remove(&(call.at.as_micros(), call.request_id)).map(Box::new);
        }
        Ok(())
    }
}
