//! Going through the chains of the whole installation, for `keyrack audit verify`.

use domain::access::SystemScope;
use domain::audit::checkpoint::CheckpointKeys;
use domain::audit::verify::{ChainVerifier, Record, Report, StoredHead, in_order};
use domain::id::OrganizationId;
use domain::store::StoreFault;
use sea_orm::{AccessMode, ColumnTrait, IsolationLevel, Order, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::audit_read::{checkpoints, hash, links};
use super::entity::{audit_checkpoint, audit_event, audit_head};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::scoped::{self, TenantOwned, unscoped};
use super::{Database, DatabaseKind};

/// Rows per statement.
const PAGE: u64 = 1000;

/// Checks the chains in a database.
#[derive(Clone)]
pub struct AuditCheck {
    db: Database,
}

impl AuditCheck {
    /// Of this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    /// Every organization that has a row, a checkpoint or a note of its newest row. The nil id stands for the events of
    /// nobody's organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn organizations(&self) -> Result<Vec<OrganizationId>, StoreFault> {
        let mut all = self.distinct::<audit_event::Entity>().await?;
        all.extend(self.distinct::<audit_head::Entity>().await?);
        all.extend(self.distinct::<audit_checkpoint::Entity>().await?);
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// One look-up in the primary key per organization, however many rows each has.
    async fn distinct<E: TenantOwned>(&self) -> Result<Vec<OrganizationId>, StoreFault> {
        let mut found: Vec<OrganizationId> = Vec::new();
        loop {
            let mut next = unscoped("an operator checks every organization's log")
                .find::<E>()
                .select_only()
                .column(E::ORGANIZATION)
                .order_by(E::ORGANIZATION, Order::Asc);
            if let Some(last) = found.last() {
                next = next.filter(E::ORGANIZATION.gt(last.as_uuid()));
            }
            match next.into_tuple::<Uuid>().one(self.db.reader()).await.map_err(store_fault)? {
                Some(id) => found.push(OrganizationId::from_uuid(id)),
                None => return Ok(found),
            }
        }
    }

    /// Checks one chain as it stands at one moment. `progress` is told how many rows were read, now and then.
    ///
    /// # Errors
    /// [`StoreFault`] when it cannot be read; what is wrong with it is in the report.
    pub async fn verify(
        &self,
        organization: OrganizationId,
        keys: impl CheckpointKeys,
        mut progress: impl FnMut(u64),
    ) -> Result<Report, StoreFault> {
        let scope = SystemScope::new(organization, "an operator checks the log");
        let snapshot = self.snapshot().await?;
        let mut verifier = ChainVerifier::new(Some(organization), keys);
        let mut after = i64::MIN;
        loop {
            let rows = links(&snapshot, &scope, after, i64::MAX, PAGE).await?;
            // After the last row come the checkpoints of rows that should be there.
            let last = rows.last().map_or(i64::MAX, |row| row.seq);
            let named = checkpoints(&snapshot, &scope, after, last).await?;
            let at_the_end = rows.is_empty();
            for record in in_order(rows, named) {
                match record {
                    Record::Row(row) => verifier.row(&row),
                    Record::Checkpoint(checkpoint) => verifier.checkpoint(&checkpoint, None),
                }
            }
            if at_the_end {
                break;
            }
            after = last;
            progress(verifier.rows_read());
        }
        let head = scoped::find::<audit_head::Entity>(&scope).one(&snapshot).await.map_err(store_fault)?;
        let head = head
            .map(|row| Ok(StoredHead { seq: row.seq, hash: hash(row.hash)?, signed: row.signed_seq }))
            .transpose()?;
        snapshot.commit().await.map_err(store_fault)?;
        Ok(verifier.finish_store(head))
    }

    /// A transaction that sees one moment of the database. SQLite's always do.
    async fn snapshot(&self) -> Result<DatabaseTransaction, StoreFault> {
        let (level, mode) = match self.db.kind() {
            DatabaseKind::Sqlite => (None, None),
            DatabaseKind::Postgres => (Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)),
        };
        self.db.reader().begin_with_config(level, mode).await.map_err(store_fault)
    }
}
