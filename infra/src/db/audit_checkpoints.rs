//! Writing checkpoints of the audit chains.

use std::sync::Arc;

use domain::access::SystemScope;
use domain::audit::checkpoint::{CHECKPOINT_AGE, CHECKPOINT_ROWS, Checkpoint, CheckpointSigner, SignedCheckpoint};
use domain::id::OrganizationId;
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, Condition, ExprTrait, Order, QueryFilter, QueryOrder, QuerySelect};

use super::Database;
use super::audit_read::hash;
use super::entity::{audit_checkpoint, audit_head};
use super::fault::store_fault;
use super::scoped::{self, unscoped};

/// Chains per transaction.
const CHAINS: u64 = 100;

/// Checkpoints in the database.
#[derive(Clone)]
pub struct SqlCheckpoints {
    db: Database,
    signer: Arc<dyn CheckpointSigner>,
}

impl SqlCheckpoints {
    /// Writes to this database what this signer signs.
    #[must_use]
    pub const fn new(db: Database, signer: Arc<dyn CheckpointSigner>) -> Self {
        Self { db, signer }
    }

    /// Signs every chain that grew by [`CHECKPOINT_ROWS`] rows since its checkpoint, or grew at all and has a checkpoint
    /// older than [`CHECKPOINT_AGE`]; how many there were.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn sign_due(&self, now: Timestamp) -> Result<usize, StoreFault> {
        use audit_head::Column;
        let age = i64::try_from(CHECKPOINT_AGE.as_micros()).unwrap_or(i64::MAX);
        let grown = Condition::all()
            .add(Expr::col(Column::Seq).gt(Expr::col(Column::SignedSeq)))
            .add(Column::SignedAt.lte(now.as_micros().saturating_sub(age)));
        let long = Expr::col(Column::Seq).gte(Expr::col(Column::SignedSeq).add(CHECKPOINT_ROWS));
        self.sign(Condition::any().add(long).add(grown), now).await
    }

    /// Signs every chain that grew since its checkpoint; how many there were. For the end of the program.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn sign_all(&self, now: Timestamp) -> Result<usize, StoreFault> {
        use audit_head::Column;
        let grown = Expr::col(Column::Seq).gt(Expr::col(Column::SignedSeq));
        self.sign(Condition::all().add(grown), now).await
    }

    async fn sign(&self, which: Condition, now: Timestamp) -> Result<usize, StoreFault> {
        let (mut after, mut signed) = (None, 0);
        loop {
            let page = self.sign_page(which.clone(), after, now).await?;
            let Some(last) = page.last() else { return Ok(signed) };
            (after, signed) = (Some(*last), signed + page.len());
        }
    }

    /// Signs some chains, in the order of their organizations: the order in which heads are locked everywhere.
    async fn sign_page(
        &self,
        which: Condition,
        after: Option<OrganizationId>,
        now: Timestamp,
    ) -> Result<Vec<OrganizationId>, StoreFault> {
        use audit_head::Column;
        let mut heads = unscoped("checkpoints are the installation's own, of every chain")
            .find::<audit_head::Entity>()
            .filter(which)
            .order_by(Column::OrganizationId, Order::Asc)
            .limit(CHAINS);
        if let Some(after) = after {
            heads = heads.filter(Column::OrganizationId.gt(after.as_uuid()));
        }
        let heads = heads.all(self.db.reader()).await.map_err(store_fault)?;
        if heads.is_empty() {
            return Ok(vec![]);
        }
        let mut organizations = Vec::with_capacity(heads.len());
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        for head in heads {
            let organization = OrganizationId::from_uuid(head.organization_id);
            let scope = SystemScope::new(organization, "the log signs itself");
            let checkpoint = Checkpoint { organization, seq: head.seq, hash: hash(head.hash)?, at: now, closes: None };
            let there_already =
                OnConflict::columns([audit_checkpoint::Column::OrganizationId, audit_checkpoint::Column::Seq])
                    .do_nothing()
                    .to_owned();
            scoped::insert::<audit_checkpoint::Entity, _>(&scope, [row(self.signer.sign(checkpoint))])
                .on_conflict(there_already)
                .exec_without_returning(&transaction)
                .await
                .map_err(store_fault)?;
            scoped::update::<audit_head::Entity>(&scope)
                .filter(Column::SignedSeq.lt(head.seq))
                .col_expr(Column::SignedSeq, head.seq.into())
                .col_expr(Column::SignedAt, now.as_micros().into())
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
            organizations.push(organization);
        }
        transaction.commit().await.map_err(store_fault)?;
        Ok(organizations)
    }
}

fn row(signed: SignedCheckpoint) -> audit_checkpoint::ActiveModel {
    audit_checkpoint::ActiveModel {
        organization_id: ActiveValue::NotSet,
        seq: ActiveValue::Set(signed.checkpoint.seq),
        hash: ActiveValue::Set(signed.checkpoint.hash.as_bytes().to_vec()),
        at: ActiveValue::Set(signed.checkpoint.at.as_micros()),
        kid: ActiveValue::Set(signed.kid),
        public_key: ActiveValue::Set(signed.public_key),
        signature: ActiveValue::Set(signed.signature),
    }
}
