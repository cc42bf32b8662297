//! Call records in the database.

use async_trait::async_trait;
use domain::access::WithinOrganization;
use domain::call::CallRecord;
use domain::call::port::{CallPosition, CallRecords, Caller, ServerCalls};
use domain::id::ServerId;
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ColumnTrait, Condition, ExprTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

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

    async fn sums(
        &self,
        scope: &dyn WithinOrganization,
        caller: &Caller,
        since: Timestamp,
    ) -> Result<Vec<ServerCalls>, StoreFault> {
        let own = match caller {
            Caller::Key(key) => Condition::all().add(Column::KeyId.eq(key.as_token_part())),
            Caller::Tenant { org, user } => Condition::all()
                .add(named(Column::TenantOrg, org.as_ref()))
                .add(named(Column::TenantUser, user.as_ref())),
        };
        let went_wrong = Condition::any()
            .add(Column::Outcome.is_in([1_i16, 2, 4]))
            .add(Column::ToolError.eq(true))
            .add(Column::Status.gte(500));
        let wrong = Expr::case(went_wrong, Expr::value(1)).finally(Expr::value(0));
        let rows = scoped::find::<Entity>(scope)
            .filter(Column::At.gte(since.as_micros()))
            .filter(own)
            .select_only()
            .column(Column::ServerId)
            .column_as(Column::ServerId.count(), "calls")
            .column_as(Expr::Case(Box::new(wrong)).sum(), "errors")
            .group_by(Column::ServerId)
            .into_model::<Sum>()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let mut sums: Vec<ServerCalls> = rows.into_iter().map(ServerCalls::from).collect();
        sums.sort_by_key(|sum| std::cmp::Reverse(sum.calls));
        Ok(sums)
    }
}

#[derive(Debug, FromQueryResult)]
struct Sum {
    server_id: Uuid,
    calls: i64,
    errors: i64,
}

impl From<Sum> for ServerCalls {
    fn from(sum: Sum) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Self { server: ServerId::from_uuid(sum.server_id), calls: count(sum.calls), errors: count(sum.errors) }
    }
}

fn named(column: Column, text: Option<&TenantText>) -> SimpleExpr {
    match text {
        Some(text) => column.eq(text.as_str()),
        None => column.is_null(),
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
