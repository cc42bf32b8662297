//! Appending rows to the audit chains.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use domain::access::SystemScope;
use domain::audit::AuditEvent;
use domain::audit::chain::ChainHash;
use domain::audit::entry::{AuditEntry, Word};
use domain::call::CallRecord;
use domain::id::OrganizationId;
use domain::store::StoreFault;
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbBackend, PaginatorTrait, QueryFilter, QuerySelect, Value};

use super::audit_blocks::Gathered;
use super::audit_journals::{JournalMark, advance};
use super::entity::{audit_event, audit_head};
use super::fault::store_fault;
use super::insertion::Insertion;
use super::patience::DatabaseTransaction;
use super::{Database, call_rows, scoped};

const COLUMNS: usize = 18;

static ROWS: LazyLock<Insertion> = LazyLock::new(|| Insertion::of::<audit_event::Entity>(None));

/// The audit log in the database.
#[derive(Clone)]
pub struct SqlAuditRows {
    pub(super) db: Database,
    gathered: Arc<Gathered>,
}

impl SqlAuditRows {
    /// Appends to this database, and gathers what blocks will say.
    #[must_use]
    pub const fn new(db: Database, gathered: Arc<Gathered>) -> Self {
        Self { db, gathered }
    }

    /// Appends rows, in their order, to their organizations' chains, and stores calls, in one transaction.
    ///
    /// # Errors
    /// [`StoreFault`]; then none of them was written.
    pub async fn append(&self, rows: &[AuditEntry], calls: &[CallRecord]) -> Result<(), StoreFault> {
        self.append_once(None, rows, calls).await
    }

    /// Appends as [`SqlAuditRows::append`] does what a journal has up to the mark, unless that is written already.
    ///
    /// # Errors
    /// [`StoreFault`]; then nobody may know whether they were written, and it is safe to try again.
    pub async fn append_once(
        &self,
        mark: Option<JournalMark>,
        rows: &[AuditEntry],
        calls: &[CallRecord],
    ) -> Result<(), StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        if let Some(mark) = mark
            && !advance(&transaction, mark).await?
        {
            return transaction.rollback().await.map_err(store_fault);
        }
        // Before the heads of the chains are locked.
        call_rows::insert(&transaction, calls).await?;
        let appended = append(&transaction, rows).await?;
        transaction.commit().await.map_err(store_fault)?;
        // Not before: rows that were taken back get other numbers.
        for chain in appended {
            self.gathered.add(chain.organization, chain.first, &chain.rows);
        }
        Ok(())
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

/// Appends the events of a change to their organizations' chains, inside the change's own transaction: the change and its
/// record take place together, or not at all.
///
/// Call it last before the commit. It locks the heads of the chains, which every other change and the writer of decisions
/// want too: whoever holds a head must not wait for another row any more.
///
/// # Errors
/// [`StoreFault`]; the transaction is then good for nothing and must be given up.
pub(super) async fn record(
    transaction: &DatabaseTransaction,
    events: impl IntoIterator<Item = AuditEvent>,
) -> Result<(), StoreFault> {
    let rows: Vec<AuditEntry> = events.into_iter().map(|event| AuditEntry::from(&event)).collect();
    append(transaction, &rows).await?;
    Ok(())
}

/// Rows of one chain, in their order.
struct Appended<'a> {
    organization: OrganizationId,
    /// The number of the first.
    first: i64,
    rows: Vec<&'a AuditEntry>,
}

async fn append<'a>(
    transaction: &DatabaseTransaction,
    rows: &'a [AuditEntry],
) -> Result<Vec<Appended<'a>>, StoreFault> {
    // In the order of the organizations, so that two transactions that lock the same heads never wait for each other.
    let mut by_organization: BTreeMap<OrganizationId, Vec<&AuditEntry>> = BTreeMap::new();
    for row in rows {
        by_organization.entry(row.organization).or_default().push(row);
    }
    let mut appended = Vec::with_capacity(by_organization.len());
    for (organization, rows) in by_organization {
        let first = append_chain(transaction, organization, &rows).await?;
        appended.push(Appended { organization, first, rows });
    }
    Ok(appended)
}

/// Appends to one chain; the number of the first row.
async fn append_chain(
    transaction: &DatabaseTransaction,
    organization: OrganizationId,
    rows: &[&AuditEntry],
) -> Result<i64, StoreFault> {
    let scope = SystemScope::new(organization, "the log writes what was decided");
    let (mut seq, mut hash) = head(transaction, &scope).await?;
    let first = seq + 1;
    ROWS.run(transaction, rows, |row| {
        seq += 1;
        let previous = hash;
        hash = row.link(previous, seq);
        values(row, seq, previous, hash)
    })
    .await?;
    scoped::update::<audit_head::Entity>(&scope)
        .col_expr(audit_head::Column::Seq, seq.into())
        .col_expr(audit_head::Column::Hash, hash.as_bytes().to_vec().into())
        .exec(transaction)
        .await
        .map_err(store_fault)?;
    Ok(first)
}

/// The chain's newest link, locked until the transaction ends.
async fn head(transaction: &DatabaseTransaction, scope: &SystemScope) -> Result<(i64, ChainHash), StoreFault> {
    let genesis = audit_head::ActiveModel {
        organization_id: ActiveValue::NotSet,
        seq: ActiveValue::Set(0),
        hash: ActiveValue::Set(ChainHash::GENESIS.as_bytes().to_vec()),
        signed_seq: ActiveValue::NotSet,
        signed_at: ActiveValue::NotSet,
        indexed: ActiveValue::NotSet,
    };
    scoped::insert::<audit_head::Entity, _>(scope, [genesis])
        .on_conflict(OnConflict::column(audit_head::Column::OrganizationId).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    let mut head = scoped::find::<audit_head::Entity>(scope);
    if transaction.get_database_backend() == DbBackend::Postgres {
        head = head.lock(LockType::Update);
    }
    let corrupt = || StoreFault::Corrupt("head of an audit chain".to_owned());
    let row = head.one(transaction).await.map_err(store_fault)?.ok_or_else(corrupt)?;
    Ok((row.seq, ChainHash::from_bytes(row.hash.try_into().map_err(|_| corrupt())?)))
}

/// A row's values, in the order of the entity's columns.
fn values(row: &AuditEntry, seq: i64, previous: ChainHash, hash: ChainHash) -> [Value; COLUMNS] {
    let word = |word: &Word| Value::from(&**word);
    [
        row.organization.as_uuid().into(),
        seq.into(),
        row.id.as_uuid().into(),
        row.at.as_micros().into(),
        word(&row.actor_kind),
        row.actor_id.clone().into(),
        row.actor_name.clone().into(),
        word(&row.action),
        word(&row.target_kind),
        row.target_id.clone().into(),
        row.tenant_org.clone().into(),
        row.tenant_user.clone().into(),
        word(&row.outcome),
        row.code.as_deref().into(),
        row.reason.clone().into(),
        row.request_id.into(),
        previous.as_bytes().to_vec().into(),
        hash.as_bytes().to_vec().into(),
    ]
}
