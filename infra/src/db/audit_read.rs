//! Reading the audit log.

use async_trait::async_trait;
use domain::access::permission::AuditRead;
use domain::access::{Grant, WithinOrganization};
use domain::audit::chain::ChainHash;
use domain::audit::checkpoint::{Checkpoint, SignedCheckpoint};
use domain::audit::entry::AuditEntry;
use domain::audit::port::{AuditFilter, AuditOrder, AuditReader, Extent};
use domain::audit::verify::Link;
use domain::id::{EventId, OrganizationId};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{audit_checkpoint, audit_event, audit_head};
use super::fault::store_fault;
use super::{Database, audit_pages, audit_ranges, scoped};

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
}

/// The newest row's number and hash.
pub(super) async fn head(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
) -> Result<(i64, ChainHash), StoreFault> {
    let row = scoped::find::<audit_head::Entity>(scope).one(db).await.map_err(store_fault)?;
    row.map_or(Ok((0, ChainHash::GENESIS)), |row| Ok((row.seq, hash(row.hash)?)))
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
        audit_pages::page(self.db.reader(), grant, filter, order, page).await
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
        let (mut first, mut last) = (None, None);
        for span in audit_ranges::ranges(db, grant, from, to).await? {
            let rows = |direction| {
                audit_pages::fitting(scoped::find::<audit_event::Entity>(grant), &range)
                    .filter(Column::Seq.between(span.first, span.last.min(head)))
                    .order_by(Column::Seq, direction)
                    .one(db)
            };
            if first.is_none() {
                first = rows(Order::Asc).await.map_err(store_fault)?;
            }
            last = rows(Order::Desc).await.map_err(store_fault)?.or(last);
        }
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

pub(super) fn link(row: audit_event::Model) -> Result<Link, StoreFault> {
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
