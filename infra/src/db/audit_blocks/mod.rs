//! Blocks of the audit chains: for each 1024 rows between which times they stand and which terms occur in them, so that a
//! search skips the others. Written when the rows are there, beside the writing of events, which pays for no index; what
//! they say was gathered meanwhile, or is read.
//!
//! Blocks prove nothing and are not part of the chain: whoever edits one hides events from a search, and from neither the
//! export nor `keyrack audit verify`, which read the rows.

mod gather;
mod terms;

use std::ops::Range;
use std::sync::Arc;

use domain::access::{SystemScope, WithinOrganization};
use domain::id::OrganizationId;
use domain::store::StoreFault;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, ExprTrait, Order, QueryFilter, QueryOrder, QuerySelect};

use self::gather::Content;
pub use self::gather::Gathered;
pub use self::terms::{Term, may_hold, wanted};
use super::Database;
use super::entity::{audit_block, audit_event, audit_head};
use super::fault::store_fault;
use super::scoped::{self, unscoped};

/// Rows of a block.
pub const ROWS: i64 = 1024;
/// Chains per statement.
const CHAINS: u64 = 100;
/// Blocks per transaction.
const BLOCKS: u8 = 32;

/// The block that has a row.
pub const fn block_of(seq: i64) -> i64 {
    (seq - 1).div_euclid(ROWS)
}

/// The number of a block's first row.
pub const fn first_of(block: i64) -> i64 {
    block * ROWS + 1
}

/// Blocks in the database.
#[derive(Clone)]
pub struct SqlAuditBlocks {
    db: Database,
    gathered: Arc<Gathered>,
}

impl SqlAuditBlocks {
    /// Of this database; `gathered` is what the writer of events gathers.
    #[must_use]
    pub const fn new(db: Database, gathered: Arc<Gathered>) -> Self {
        Self { db, gathered }
    }

    /// Writes every block whose rows are there; how many there were.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn build(&self) -> Result<usize, StoreFault> {
        use audit_head::Column;
        let (mut after, mut built) = (None::<OrganizationId>, 0);
        loop {
            let mut heads = unscoped("blocks are the installation's own, of every chain")
                .find::<audit_head::Entity>()
                .filter(Expr::col(Column::Seq).gte(Expr::col(Column::Indexed).add(ROWS)))
                .order_by(Column::OrganizationId, Order::Asc)
                .limit(CHAINS);
            if let Some(after) = after {
                heads = heads.filter(Column::OrganizationId.gt(after.as_uuid()));
            }
            let heads = heads.all(self.db.reader()).await.map_err(store_fault)?;
            let Some(last) = heads.last() else { return Ok(built) };
            after = Some(OrganizationId::from_uuid(last.organization_id));
            for head in heads {
                let scope =
                    SystemScope::new(OrganizationId::from_uuid(head.organization_id), "the log arranges itself");
                let missing = block_of(head.indexed + 1)..block_of(head.seq + 1);
                built += missing.clone().count();
                for first in missing.clone().step_by(usize::from(BLOCKS)) {
                    self.write(&scope, first..Ord::min(missing.end, first + i64::from(BLOCKS))).await?;
                }
            }
        }
    }

    async fn write(&self, scope: &SystemScope, blocks: Range<i64>) -> Result<(), StoreFault> {
        let last = first_of(blocks.end) - 1;
        let mut rows = Vec::new();
        for block in blocks.clone() {
            let content = match self.gathered.take(scope.organization_id(), block) {
                Some(content) => content,
                None => self.read(scope, block).await?,
            };
            rows.push(audit_block::ActiveModel {
                organization_id: ActiveValue::NotSet,
                block: ActiveValue::Set(block),
                min_at: ActiveValue::Set(content.min_at),
                max_at: ActiveValue::Set(content.max_at),
                terms: ActiveValue::Set(content.terms.filter()),
            });
        }
        // Another node may have written them: of the same rows.
        let there_already = OnConflict::columns([audit_block::Column::OrganizationId, audit_block::Column::Block])
            .do_nothing()
            .to_owned();
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        scoped::insert::<audit_block::Entity, _>(scope, rows)
            .on_conflict(there_already)
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        scoped::update::<audit_head::Entity>(scope)
            .filter(audit_head::Column::Indexed.lt(last))
            .col_expr(audit_head::Column::Indexed, last.into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        self.gathered.sweep(scope.organization_id(), blocks.end - 1);
        Ok(())
    }

    async fn read(&self, scope: &SystemScope, block: i64) -> Result<Content, StoreFault> {
        let rows = scoped::find::<audit_event::Entity>(scope)
            .filter(audit_event::Column::Seq.between(first_of(block), first_of(block + 1) - 1))
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let mut content = Content::default();
        for row in &rows {
            content.add_row(row);
        }
        Ok(content)
    }
}
