//! Blocks of the audit chains: for each 1024 rows between which times they stand and which terms occur in them, so that a
//! search skips the others. Written when the rows are there, beside the writing of events, which pays for no index.
//!
//! Blocks prove nothing and are not part of the chain: whoever edits one hides events from a search, and from neither the
//! export nor `keyrack audit verify`, which read the rows.

mod terms;

use domain::access::SystemScope;
use domain::id::OrganizationId;
use domain::store::StoreFault;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, ExprTrait, Order, QueryFilter, QueryOrder, QuerySelect, TransactionTrait};

use self::terms::Terms;
pub use self::terms::{Term, may_hold, wanted};
use super::Database;
use super::entity::{audit_block, audit_event, audit_head};
use super::fault::store_fault;
use super::scoped::{self, unscoped};

/// Rows of a block.
pub const ROWS: i64 = 1024;
/// Chains per statement.
const CHAINS: u64 = 100;

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
}

impl SqlAuditBlocks {
    /// Of this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
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
                for block in block_of(head.indexed + 1)..block_of(head.seq + 1) {
                    self.write(&scope, block).await?;
                    built += 1;
                }
            }
        }
    }

    async fn write(&self, scope: &SystemScope, block: i64) -> Result<(), StoreFault> {
        let last = first_of(block + 1) - 1;
        let rows = scoped::find::<audit_event::Entity>(scope)
            .filter(audit_event::Column::Seq.between(first_of(block), last))
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let mut terms = Terms::default();
        let (mut min_at, mut max_at) = (i64::MAX, i64::MIN);
        for row in &rows {
            terms.add(row);
            (min_at, max_at) = (Ord::min(min_at, row.at), Ord::max(max_at, row.at));
        }
        let block = audit_block::ActiveModel {
            organization_id: ActiveValue::NotSet,
            block: ActiveValue::Set(block),
            min_at: ActiveValue::Set(min_at),
            max_at: ActiveValue::Set(max_at),
            terms: ActiveValue::Set(terms.filter()),
        };
        // Another node may have written it: of the same rows.
        let there_already = OnConflict::columns([audit_block::Column::OrganizationId, audit_block::Column::Block])
            .do_nothing()
            .to_owned();
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        scoped::insert::<audit_block::Entity, _>(scope, [block])
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
        transaction.commit().await.map_err(store_fault)
    }
}
