//! Folding calls into slices, sessions and topics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::access::SystemScope;
use domain::id::{OrganizationId, TopicId};
use domain::insight::topic::TopicBook;
use domain::insight::week::touched;
use domain::insight::{Intake, IntakeCall, fold};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::{LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DbBackend, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::super::entity::{insight_head, insight_intake};
use super::super::fault::store_fault;
use super::super::organizations_with::next_with;
use super::super::patience::DatabaseTransaction;
use super::super::scoped::{self, unscoped};
use super::super::{CHUNK, Database};
use super::{sessions, slices, topics, weeks};

/// Calls of one transaction where there is one writer: what the writer of calls stores at once at most. Who changes something
/// waits for it; calls of as many tenants and sessions take a hundred times as long as those of one.
const CALLS: i32 = 4_096;
/// Calls of one transaction where hardly anybody waits for it. The more there are, the more of them are of one tenant, session
/// or topic, each of which is read and written once.
const CALLS_BESIDE_OTHERS: i32 = 16_384;
/// How long it may take to add them up between two statements: nobody's change waits for what is locked meanwhile.
const ADDING_UP: Duration = Duration::from_secs(30);
/// Rows that are looked at for so many.
const ROWS: u64 = 512;
/// How often all organizations get their turn before whoever folds looks after something else.
const TURNS: usize = 64;

/// Folds in the database.
#[derive(Clone)]
pub struct SqlInsightFold {
    pub(super) db: Database,
    // Weeks that were thrown away, since calls came late.
    late: Arc<AtomicU64>,
}

/// What one transaction folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// So many calls, and whether more were left.
    Folded {
        /// Calls.
        calls: usize,
        /// Whether more were left.
        more: bool,
    },
    /// Another node was quicker.
    Overtaken,
    /// Nothing was left.
    Empty,
}

impl SqlInsightFold {
    /// Folds in this database.
    #[must_use]
    pub fn new(db: Database) -> Self {
        Self { db, late: Arc::default() }
    }

    /// How many weeks were thrown away for calls that came late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Folds what was left, a batch of each organization in turn, so that one whose calls come faster than they are folded
    /// keeps no other waiting; how many calls that were. Hours before `oldest_hour` are not made.
    ///
    /// # Errors
    /// The first [`StoreFault`] there was; the calls of other organizations are folded all the same.
    pub async fn fold(&self, oldest_hour: Timestamp) -> Result<usize, StoreFault> {
        let (mut folded, mut fault) = (0, None);
        for _ in 0..TURNS {
            let (mut last, mut left) = (None, false);
            while let Some(organization) = next_with::<insight_intake::Entity>(self.db.reader(), last).await? {
                match self.fold_batch(organization, oldest_hour).await {
                    Ok(Batch::Folded { calls, more }) => (folded, left) = (folded + calls, left || more),
                    // What another node is at is left to it.
                    Ok(Batch::Overtaken | Batch::Empty) => {}
                    Err(error) => fault = fault.or(Some(error)),
                }
                last = Some(organization);
            }
            if !left {
                break;
            }
        }
        fault.map_or(Ok(folded), Err)
    }

    /// Folds some of an organization's calls, those first that were left first.
    ///
    /// # Errors
    /// [`StoreFault`]; then none of them was folded.
    pub async fn fold_batch(&self, organization: OrganizationId, oldest_hour: Timestamp) -> Result<Batch, StoreFault> {
        let scope = SystemScope::new(organization, "calls are folded into what insights read");
        let Left { ids, calls, more } = self.left(&scope).await?;
        if ids.is_empty() {
            return Ok(Batch::Empty);
        }
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        if !lock(&transaction, &scope).await? {
            return Ok(Batch::Overtaken);
        }
        // Gone: another node folded them between.
        if take(&transaction, &scope, &ids).await? < ids.len() as u64 {
            return Ok(Batch::Overtaken);
        }
        sessions::fold(&transaction, &scope, &calls).await?;
        let topics = by_topic(&transaction, &scope, &calls).await?;
        let folded = fold(&calls, &topics, oldest_hour);
        let late = weeks::forget(&transaction, &scope, &touched(folded.keys())).await?;
        slices::add(&transaction, &scope, folded).await?;
        transaction.commit().await.map_err(store_fault)?;
        self.late.fetch_add(late, Ordering::Relaxed);
        Ok(Batch::Folded { calls: calls.len(), more })
    }

    fn calls_at_once(&self) -> i32 {
        match self.db.reader().get_database_backend() {
            DbBackend::Sqlite => CALLS,
            _ => CALLS_BESIDE_OTHERS,
        }
    }

    /// How many batches wait, of all organizations.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn waiting(&self) -> Result<u64, StoreFault> {
        let rows = unscoped("every organization's calls are folded").find::<insight_intake::Entity>();
        rows.count(self.db.reader()).await.map_err(store_fault)
    }

    /// Rows that are to be folded, and their calls in the order of their beginnings.
    async fn left(&self, scope: &SystemScope) -> Result<Left, StoreFault> {
        use insight_intake::Column;
        let sizes: Vec<(Uuid, i32)> = scoped::find::<insight_intake::Entity>(scope)
            .select_only()
            .columns([Column::Id, Column::Calls])
            .order_by_asc(Column::Id)
            .limit(ROWS)
            .into_tuple()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let (mut sum, most) = (0, self.calls_at_once());
        let fitting = sizes.iter().take_while(|(_, calls)| {
            let fits = sum < most;
            sum += calls;
            fits
        });
        let ids: Vec<Uuid> = fitting.map(|(id, _)| *id).collect();
        let more = ids.len() < sizes.len() || sizes.len() as u64 == ROWS;
        let Some(last) = ids.last() else { return Ok(Left { ids, calls: Vec::new(), more }) };
        let rows = scoped::find::<insight_intake::Entity>(scope)
            .filter(Column::Id.lte(*last))
            .order_by_asc(Column::Id)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        // Others may have come in between; what is folded is what was read.
        let ids = rows.iter().map(|row| row.id).collect();
        let mut calls = Vec::new();
        for row in rows {
            let unpacked = Intake::unpack(&row.packed);
            calls.extend(unpacked.map_err(|fault| StoreFault::Corrupt(format!("intake {}: {fault}", row.id)))?);
        }
        calls.sort_by_key(|call| (call.at, call.request_id));
        Ok(Left { ids, calls, more })
    }
}

/// Calls that are to be folded.
struct Left {
    /// The rows that they are in.
    ids: Vec<Uuid>,
    calls: Vec<IntakeCall>,
    /// Whether there were other rows.
    more: bool,
}

/// Makes this the only one that folds the organization's calls, until the transaction ends; false when another one does,
/// for which nobody waits.
pub(super) async fn lock(transaction: &DatabaseTransaction, scope: &SystemScope) -> Result<bool, StoreFault> {
    if transaction.get_database_backend() == DbBackend::Sqlite {
        // It has one writer.
        return Ok(true);
    }
    transaction.set_timeout("idle_in_transaction_session_timeout", ADDING_UP).await.map_err(store_fault)?;
    let head = insight_head::ActiveModel { organization_id: ActiveValue::NotSet };
    scoped::insert::<insight_head::Entity, _>(scope, [head])
        .on_conflict(OnConflict::column(insight_head::Column::OrganizationId).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    let head = scoped::find::<insight_head::Entity>(scope)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(transaction)
        .await
        .map_err(store_fault)?;
    Ok(head.is_some())
}

async fn take(transaction: &DatabaseTransaction, scope: &SystemScope, ids: &[Uuid]) -> Result<u64, StoreFault> {
    let mut taken = 0;
    for chunk in ids.chunks(CHUNK) {
        let done = scoped::delete::<insight_intake::Entity>(scope)
            .filter(insight_intake::Column::Id.is_in(chunk.iter().copied()))
            .exec(transaction)
            .await
            .map_err(store_fault)?;
        taken += done.rows_affected;
    }
    Ok(taken)
}

/// The topic of each call.
async fn by_topic(
    transaction: &DatabaseTransaction,
    scope: &SystemScope,
    calls: &[IntakeCall],
) -> Result<Vec<Option<TopicId>>, StoreFault> {
    use domain::access::WithinOrganization;
    if calls.iter().all(|call| call.intent.is_none()) {
        return Ok(Vec::new());
    }
    let mut book = TopicBook::of(scope.organization_id(), topics::all(transaction, scope).await?);
    let mut of_calls: Vec<Option<TopicId>> = calls.iter().map(|call| book.add(call)).collect();
    for topic in &mut of_calls {
        // It had to go for another one within the batch.
        *topic = topic.filter(|id| book.has(*id));
    }
    topics::store(transaction, scope, book.changes()).await?;
    Ok(of_calls)
}
