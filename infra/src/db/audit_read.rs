//! Reading the audit log.

use async_trait::async_trait;
use domain::access::permission::AuditRead;
use domain::access::{Grant, WithinOrganization};
use domain::audit::Outcome;
use domain::audit::chain::ChainHash;
use domain::audit::checkpoint::{Checkpoint, SignedCheckpoint};
use domain::audit::entry::AuditEntry;
use domain::audit::port::{AuditFilter, AuditOrder, AuditReader, Extent};
use domain::audit::verify::Link;
use domain::id::{EventId, OrganizationId};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};

use super::Database;
use super::entity::{audit_checkpoint, audit_event, audit_head};
use super::fault::store_fault;
use super::scoped;

/// Rows that one statement looks at when no index picks the rows out.
const WINDOW: i64 = 50_000;
/// How often one call looks on when it found too little.
const WINDOWS: usize = 4;
/// How far from the order of their times rows can stand: events wait in a queue of fewer places before they get their
/// number.
const DISORDER: i64 = 20_000;

/// The audit log in the database, for those who read it.
#[derive(Clone)]
pub struct SqlAuditReader {
    db: Database,
}

impl SqlAuditReader {
    /// Reads from this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    /// The numbers between which the rows of a time range stand, with room for those out of order.
    async fn bounds(
        &self,
        grant: &Grant<AuditRead>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<(i64, i64), StoreFault> {
        use audit_event::Column;
        let seq = async |rows: Select<audit_event::Entity>| {
            let row = rows.select_only().column(Column::Seq).into_tuple::<i64>().one(self.db.reader()).await;
            row.map_err(store_fault)
        };
        let rows = || scoped::find::<audit_event::Entity>(grant);
        let low = match from {
            None => 1,
            Some(from) => {
                let first = rows().filter(Column::At.gte(from.as_micros())).order_by(Column::At, Order::Asc);
                // None that young: only rows out of order could be, and those are among the last.
                match seq(first).await? {
                    Some(first) => first,
                    None => head(self.db.reader(), grant).await?.0.saturating_add(1),
                }
            }
        };
        let high = match to {
            None => i64::MAX,
            Some(to) => {
                let last = rows().filter(Column::At.lt(to.as_micros())).order_by(Column::At, Order::Desc);
                seq(last).await?.unwrap_or(0).saturating_add(DISORDER)
            }
        };
        Ok((low.saturating_sub(DISORDER).max(1), high))
    }
}

/// The newest row's number and hash.
pub(super) async fn head(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
) -> Result<(i64, ChainHash), StoreFault> {
    let row = scoped::find::<audit_head::Entity>(scope).one(db).await.map_err(store_fault)?;
    row.map_or(Ok((0, ChainHash::GENESIS)), |row| Ok((row.seq, hash(row.hash)?)))
}

/// Whether an index picks out the rows that fit, so that a statement may look through the whole chain.
const fn picked_out(filter: &AuditFilter) -> bool {
    filter.actor_id.is_some() || filter.target_id.is_some() || filter.request_id.is_some() || refused(filter)
}

/// Whether only rows with a code can fit.
const fn refused(filter: &AuditFilter) -> bool {
    filter.code.is_some() || matches!(filter.outcome, Some(Outcome::Refused | Outcome::Error))
}

fn fitting(rows: Select<audit_event::Entity>, filter: &AuditFilter) -> Select<audit_event::Entity> {
    use audit_event::Column;
    let mut rows = rows;
    let texts = [
        (Column::ActorKind, filter.actor_kind.as_deref()),
        (Column::ActorId, filter.actor_id.as_deref()),
        (Column::Action, filter.action.as_deref()),
        (Column::TargetKind, filter.target_kind.as_deref()),
        (Column::TargetId, filter.target_id.as_deref()),
        (Column::Outcome, filter.outcome.map(Outcome::as_str)),
        (Column::Code, filter.code.as_deref()),
        (Column::TenantOrg, filter.tenant_org.as_ref().map(TenantText::as_str)),
        (Column::TenantUser, filter.tenant_user.as_ref().map(TenantText::as_str)),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            rows = rows.filter(column.eq(text));
        }
    }
    if refused(filter) {
        rows = rows.filter(Column::Code.is_not_null());
    }
    if let Some(request) = filter.request_id {
        rows = rows.filter(Column::RequestId.eq(request));
    }
    if let Some(from) = filter.from {
        rows = rows.filter(Column::At.gte(from.as_micros()));
    }
    if let Some(to) = filter.to {
        rows = rows.filter(Column::At.lt(to.as_micros()));
    }
    rows
}

#[async_trait]
impl AuditReader for SqlAuditReader {
    async fn page(
        &self,
        grant: &Grant<AuditRead>,
        filter: &AuditFilter,
        order: AuditOrder,
        page: PageRequest<i64>,
    ) -> Result<Page<Link, i64>, StoreFault> {
        use audit_event::Column;
        let (mut low, mut high) = self.bounds(grant, filter.from, filter.to).await?;
        high = high.min(head(self.db.reader(), grant).await?.0);
        match (order, page.after) {
            (AuditOrder::Descending, Some(after)) => high = high.min(after.saturating_sub(1)),
            (AuditOrder::Ascending, Some(after)) => low = low.max(after.saturating_add(1)),
            (_, None) => {}
        }
        let limit = usize::from(page.limit.get());
        let window = if picked_out(filter) { i64::MAX } else { WINDOW };
        let mut items: Vec<Link> = Vec::new();
        for _ in 0..WINDOWS {
            if low > high {
                return Ok(Page { items, next: None });
            }
            let (first, last, direction) = match order {
                AuditOrder::Descending => (low.max(high.saturating_sub(window - 1)), high, Order::Desc),
                AuditOrder::Ascending => (low, high.min(low.saturating_add(window - 1)), Order::Asc),
            };
            let rows = fitting(scoped::find::<audit_event::Entity>(grant), filter)
                .filter(Column::Seq.between(first, last))
                .order_by(Column::Seq, direction)
                .limit((limit - items.len()) as u64 + 1)
                .all(self.db.reader())
                .await
                .map_err(store_fault)?;
            for row in rows {
                if items.len() == limit {
                    let next = items.last().map(|item| item.seq);
                    return Ok(Page { items, next });
                }
                items.push(link(row)?);
            }
            match order {
                AuditOrder::Descending => high = first - 1,
                AuditOrder::Ascending => low = last + 1,
            }
        }
        let looked_at = match order {
            AuditOrder::Descending => high + 1,
            AuditOrder::Ascending => low - 1,
        };
        Ok(Page { items, next: (low <= high).then_some(looked_at) })
    }

    async fn extent(
        &self,
        grant: &Grant<AuditRead>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Extent, StoreFault> {
        use audit_event::Column;
        let db = self.db.reader();
        let (head, hash) = head(db, grant).await?;
        if from.is_none() && to.is_none() {
            return Ok(Extent { first: 1, previous: ChainHash::GENESIS, last: head, hash });
        }
        let range = AuditFilter { from, to, ..AuditFilter::default() };
        let (low, high) = self.bounds(grant, from, to).await?;
        let rows = || {
            fitting(scoped::find::<audit_event::Entity>(grant), &range).filter(Column::Seq.between(low, high.min(head)))
        };
        let first = rows().order_by(Column::Seq, Order::Asc).one(db).await.map_err(store_fault)?;
        let last = rows().order_by(Column::Seq, Order::Desc).one(db).await.map_err(store_fault)?;
        let Some((first, last)) = first.zip(last) else {
            return Ok(Extent { first: head + 1, previous: hash, last: head, hash });
        };
        let (first, last) = (link(first)?, link(last)?);
        Ok(Extent { first: first.seq, previous: first.previous, last: last.seq, hash: last.hash })
    }

    async fn links(
        &self,
        grant: &Grant<AuditRead>,
        after: i64,
        last: i64,
        limit: u64,
    ) -> Result<Vec<Link>, StoreFault> {
        links(self.db.reader(), grant, after, last, limit).await
    }

    async fn checkpoints(
        &self,
        grant: &Grant<AuditRead>,
        after: i64,
        last: i64,
    ) -> Result<Vec<SignedCheckpoint>, StoreFault> {
        checkpoints(self.db.reader(), grant, after, last).await
    }
}

/// Rows after number `after` up to number `last`, oldest first.
pub(super) async fn links(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    after: i64,
    last: i64,
    limit: u64,
) -> Result<Vec<Link>, StoreFault> {
    use audit_event::Column;
    let rows = scoped::find::<audit_event::Entity>(scope)
        .filter(Column::Seq.gt(after))
        .filter(Column::Seq.lte(last))
        .order_by(Column::Seq, Order::Asc)
        .limit(limit)
        .all(db)
        .await
        .map_err(store_fault)?;
    rows.into_iter().map(link).collect()
}

/// Checkpoints of rows after number `after` up to number `last`, oldest first.
pub(super) async fn checkpoints(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    after: i64,
    last: i64,
) -> Result<Vec<SignedCheckpoint>, StoreFault> {
    use audit_checkpoint::Column;
    let rows = scoped::find::<audit_checkpoint::Entity>(scope)
        .filter(Column::Seq.gt(after))
        .filter(Column::Seq.lte(last))
        .order_by(Column::Seq, Order::Asc)
        .all(db)
        .await
        .map_err(store_fault)?;
    rows.into_iter()
        .map(|row| {
            let checkpoint = Checkpoint {
                organization: OrganizationId::from_uuid(row.organization_id),
                seq: row.seq,
                hash: hash(row.hash)?,
                at: Timestamp::from_micros(row.at),
                closes: None,
            };
            Ok(SignedCheckpoint { checkpoint, kid: row.kid, public_key: row.public_key, signature: row.signature })
        })
        .collect()
}

fn link(row: audit_event::Model) -> Result<Link, StoreFault> {
    Ok(Link {
        seq: row.seq,
        previous: hash(row.previous_hash)?,
        hash: hash(row.hash)?,
        entry: AuditEntry {
            organization: OrganizationId::from_uuid(row.organization_id),
            id: EventId::from_uuid(row.id),
            at: Timestamp::from_micros(row.at),
            actor_kind: row.actor_kind.into(),
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            action: row.action.into(),
            target_kind: row.target_kind.into(),
            target_id: row.target_id,
            tenant_org: row.tenant_org,
            tenant_user: row.tenant_user,
            outcome: row.outcome.into(),
            code: row.code.map(Into::into),
            reason: row.reason,
            request_id: row.request_id,
        },
    })
}

pub(super) fn hash(bytes: Vec<u8>) -> Result<ChainHash, StoreFault> {
    let bytes = bytes.try_into().map_err(|_| StoreFault::Corrupt("a hash of the audit log".to_owned()))?;
    Ok(ChainHash::from_bytes(bytes))
}
