//! Where in a chain the events of a time stand.

use domain::access::Grant;
use domain::access::permission::AuditRead;
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};

use super::audit_blocks::first_of;
use super::entity::audit_block;
use super::fault::store_fault;
use super::scoped;

/// Numbers of rows, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub first: i64,
    pub last: i64,
}

impl Span {
    /// Its part within another one; empty when its last number is before its first.
    pub fn within(self, other: Self) -> Self {
        Self { first: std::cmp::max(self.first, other.first), last: std::cmp::min(self.last, other.last) }
    }
}

/// Where the rows of a time range can stand, in their order: in the blocks from the first to the last that has such times,
/// and after the newest block. Blocks are not in the order of their times: what a process left in its journal comes late.
pub(super) async fn ranges(
    db: &impl ConnectionTrait,
    grant: &Grant<AuditRead>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Vec<Span>, StoreFault> {
    use audit_block::Column;
    let everything = Span { first: 1, last: i64::MAX };
    if from.is_none() && to.is_none() {
        return Ok(vec![everything]);
    }
    // Plus nothing, so that it is asked of the index that begins with the time and not of the one that is in its order.
    let block = || Expr::col(Column::Block).add(0);
    let extreme = async |blocks: Select<audit_block::Entity>, which: Expr| {
        let row = blocks.select_only().expr_as(which, "block").into_tuple::<Option<i64>>().one(db).await;
        Ok::<_, StoreFault>(row.map_err(store_fault)?.flatten())
    };
    let blocks = || scoped::find::<audit_block::Entity>(grant);
    let newest = blocks().select_only().column(Column::Block).order_by(Column::Block, Order::Desc);
    let Some(newest) = newest.into_tuple::<i64>().one(db).await.map_err(store_fault)? else {
        return Ok(vec![everything]);
    };
    let first = match from {
        None => Some(0),
        Some(from) => extreme(blocks().filter(Column::MaxAt.gte(from.as_micros())), block().min()).await?,
    };
    let last = match to {
        None => Some(newest),
        Some(to) => extreme(blocks().filter(Column::MinAt.lt(to.as_micros())), block().max()).await?,
    };
    let in_none = Span { first: first_of(newest + 1), last: i64::MAX };
    Ok(match first.zip(last).filter(|(first, last)| first <= last) {
        None => vec![in_none],
        Some((first, last)) if last == newest => vec![Span { first: first_of(first), ..in_none }],
        Some((first, last)) => vec![Span { first: first_of(first), last: first_of(last + 1) - 1 }, in_none],
    })
}
