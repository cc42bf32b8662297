//! Appending rows to the audit chains.

use std::collections::HashMap;

use domain::access::SystemScope;
use domain::audit::chain::ChainHash;
use domain::id::OrganizationId;
use domain::store::StoreFault;
use sea_orm::sea_query::{Expr, InsertStatement, LockType, OnConflict, Query};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, PaginatorTrait, QueryFilter, QuerySelect,
    TransactionTrait,
};
use uuid::Uuid;

use super::entity::{audit_event, audit_head};
use super::fault::store_fault;
use super::scoped;
use super::{Database, DatabaseKind};

/// Rows per statement, largest first. A few sizes and not any, so that the databases know each statement by its text and
/// parse it once; the largest keeps within their limits on parameters.
const CHUNKS: [usize; 4] = [256, 32, 4, 1];

/// An event as it will be stored, before its place in the chain is known.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// The organization; nil for events of none.
    pub organization: OrganizationId,
    /// The event's id.
    pub id: Uuid,
    /// Microseconds since the epoch.
    pub at: i64,
    /// `key`, `member`, `anonymous` or `system`.
    pub actor_kind: &'static str,
    /// The actor's id.
    pub actor_id: Option<String>,
    /// The actor's name at that time.
    pub actor_name: Option<String>,
    /// What was done.
    pub action: &'static str,
    /// To what kind of thing.
    pub target_kind: &'static str,
    /// To which.
    pub target_id: Option<String>,
    /// The caller's own id of the tenant org.
    pub tenant_org: Option<String>,
    /// The caller's own id of the tenant user.
    pub tenant_user: Option<String>,
    /// How it ended.
    pub outcome: &'static str,
    /// The code that the caller got.
    pub code: Option<&'static str>,
    /// More than the caller was told.
    pub reason: Option<String>,
    /// The request.
    pub request_id: Option<Uuid>,
}

impl AuditRow {
    fn link(&self, previous: ChainHash, seq: i64) -> ChainHash {
        fn text(text: Option<&str>) -> Option<&[u8]> {
            text.map(str::as_bytes)
        }
        previous.next(
            seq,
            &[
                Some(self.organization.as_uuid().as_bytes()),
                Some(self.id.as_bytes()),
                Some(&self.at.to_le_bytes()),
                Some(self.actor_kind.as_bytes()),
                text(self.actor_id.as_deref()),
                text(self.actor_name.as_deref()),
                Some(self.action.as_bytes()),
                Some(self.target_kind.as_bytes()),
                text(self.target_id.as_deref()),
                text(self.tenant_org.as_deref()),
                text(self.tenant_user.as_deref()),
                Some(self.outcome.as_bytes()),
                text(self.code),
                text(self.reason.as_deref()),
                self.request_id.as_ref().map(|id| id.as_bytes().as_slice()),
            ],
        )
    }
}

/// The audit log in the database.
#[derive(Clone)]
pub struct SqlAuditRows {
    db: Database,
}

impl SqlAuditRows {
    /// Appends to this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    /// Appends rows, in their order, to their organizations' chains, in one transaction.
    ///
    /// # Errors
    /// [`StoreFault`]; then none of the rows was written.
    pub async fn append(&self, rows: &[AuditRow]) -> Result<(), StoreFault> {
        let mut by_organization: HashMap<OrganizationId, Vec<&AuditRow>> = HashMap::new();
        for row in rows {
            by_organization.entry(row.organization).or_default().push(row);
        }
        let mut organizations: Vec<_> = by_organization.keys().copied().collect();
        // Two nodes that lock the same heads take them in the same order.
        organizations.sort();
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        for organization in organizations {
            let rows = by_organization.remove(&organization).unwrap_or_default();
            self.append_chain(&transaction, organization, rows).await?;
        }
        transaction.commit().await.map_err(store_fault)
    }

    async fn append_chain(
        &self,
        transaction: &DatabaseTransaction,
        organization: OrganizationId,
        rows: Vec<&AuditRow>,
    ) -> Result<(), StoreFault> {
        let scope = SystemScope::new(organization, "the log writes what was decided");
        let (mut seq, mut hash) = self.head(transaction, &scope).await?;
        let mut rest = rows.as_slice();
        while let Some(size) = CHUNKS.into_iter().find(|size| *size <= rest.len()) {
            let (chunk, left) = rest.split_at(size);
            let mut insert = insertion();
            for row in chunk {
                seq += 1;
                let previous = hash;
                hash = row.link(previous, seq);
                insert.values_panic(values(row, seq, previous, hash));
            }
            transaction.execute(&insert).await.map_err(store_fault)?;
            rest = left;
        }
        scoped::update::<audit_head::Entity>(&scope)
            .col_expr(audit_head::Column::Seq, seq.into())
            .col_expr(audit_head::Column::Hash, hash.as_bytes().to_vec().into())
            .exec(transaction)
            .await
            .map_err(store_fault)?;
        Ok(())
    }

    /// The chain's newest link, locked until the transaction ends.
    async fn head(
        &self,
        transaction: &DatabaseTransaction,
        scope: &SystemScope,
    ) -> Result<(i64, ChainHash), StoreFault> {
        let genesis = audit_head::ActiveModel {
            organization_id: ActiveValue::NotSet,
            seq: ActiveValue::Set(0),
            hash: ActiveValue::Set(ChainHash::GENESIS.as_bytes().to_vec()),
        };
        scoped::insert::<audit_head::Entity, _>(scope, [genesis])
            .on_conflict(OnConflict::column(audit_head::Column::OrganizationId).do_nothing().to_owned())
            .exec_without_returning(transaction)
            .await
            .map_err(store_fault)?;
        let mut head = scoped::find::<audit_head::Entity>(scope);
        if self.db.kind() == DatabaseKind::Postgres {
            head = head.lock(LockType::Update);
        }
        let corrupt = || StoreFault::Corrupt("head of an audit chain".to_owned());
        let row = head.one(transaction).await.map_err(store_fault)?.ok_or_else(corrupt)?;
        Ok((row.seq, ChainHash::from_bytes(row.hash.try_into().map_err(|_| corrupt())?)))
    }

    /// How many rows of an organization there are.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn count(&self, organization: OrganizationId) -> Result<u64, StoreFault> {
        scoped::find::<audit_event::Entity>(&SystemScope::new(organization, "the log counts itself"))
            .count(self.db.reader())
            .await
            .map_err(store_fault)
    }

    /// The number of the newest link of an organization's chain.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn length(&self, organization: OrganizationId) -> Result<i64, StoreFault> {
        let row = scoped::find::<audit_head::Entity>(&SystemScope::new(organization, "the log counts itself"))
            .filter(audit_head::Column::Seq.gt(0))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        Ok(row.map_or(0, |row| row.seq))
    }
}

/// An insertion of rows that name their organization themselves. Below the entity's own: this is the busiest statement of
/// all, and converting rows to models and back costs more than hashing and writing them.
fn insertion() -> InsertStatement {
    use audit_event::Column;
    let mut insert = Query::insert();
    insert.into_table(audit_event::Entity).columns([
        Column::OrganizationId,
        Column::Seq,
        Column::Id,
        Column::At,
        Column::ActorKind,
        Column::ActorId,
        Column::ActorName,
        Column::Action,
        Column::TargetKind,
        Column::TargetId,
        Column::TenantOrg,
        Column::TenantUser,
        Column::Outcome,
        Column::Code,
        Column::Reason,
        Column::RequestId,
        Column::PreviousHash,
        Column::Hash,
    ]);
    insert
}

/// A row's values, in the order of the columns above.
fn values(row: &AuditRow, seq: i64, previous: ChainHash, hash: ChainHash) -> [Expr; 18] {
    let text = |text: &Option<String>| Expr::value(text.clone());
    [
        Expr::value(row.organization.as_uuid()),
        Expr::value(seq),
        Expr::value(row.id),
        Expr::value(row.at),
        Expr::value(row.actor_kind),
        text(&row.actor_id),
        text(&row.actor_name),
        Expr::value(row.action),
        Expr::value(row.target_kind),
        text(&row.target_id),
        text(&row.tenant_org),
        text(&row.tenant_user),
        Expr::value(row.outcome),
        Expr::value(row.code),
        text(&row.reason),
        Expr::value(row.request_id),
        Expr::value(previous.as_bytes().to_vec()),
        Expr::value(hash.as_bytes().to_vec()),
    ]
}
