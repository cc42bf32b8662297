//! Call records in the database.

use async_trait::async_trait;
use domain::access::WithinOrganization;
use domain::call::CallRecord;
use domain::call::port::{CallPosition, CallRecords};
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect, Select};

use super::Database;
use super::call_rows::read;
use super::entity::call_record::{Column, Entity};
use super::fault::store_fault;
use super::scoped;

/// Call records in the database, for those who read them.
#[derive(Clone)]
pub struct SqlCalls {
    db: Database,
}

impl SqlCalls {
    /// Reads from this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }
}

#[async_trait]
impl CallRecords for SqlCalls {
    async fn page(
        &self,
        scope: &dyn WithinOrganization,
        page: PageRequest<CallPosition>,
    ) -> Result<Page<CallRecord, CallPosition>, StoreFault> {
        let rows = page_rows(scope, &page).all(self.db.reader()).await.map_err(store_fault)?;
        let calls = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::of_overread(calls, page.limit, |call| CallPosition { at: call.at, request_id: call.request_id }))
    }
}

/// A page's rows, and one more.
pub(super) fn page_rows(scope: &dyn WithinOrganization, page: &PageRequest<CallPosition>) -> Select<Entity> {
    let mut rows = scoped::find::<Entity>(scope);
    if let Some(CallPosition { at, request_id }) = page.after {
        let same = Condition::all().add(Column::At.eq(at.as_micros())).add(Column::RequestId.lt(request_id));
        // The first condition says nothing new; databases use it to begin in the right place of the index.
        rows = rows
            .filter(Column::At.lte(at.as_micros()))
            .filter(Condition::any().add(Column::At.lt(at.as_micros())).add(same));
    }
    rows.order_by_desc(Column::At).order_by_desc(Column::RequestId).limit(u64::from(page.limit.get()) + 1)
}
