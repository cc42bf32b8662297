//! Finding audit events: pages of those that fit a filter, each after looking at a bounded number of rows and blocks.

use std::collections::HashMap;

use domain::access::Grant;
use domain::access::permission::AuditRead;
use domain::audit::Outcome;
use domain::audit::port::{AuditFilter, AuditOrder};
use domain::audit::verify::Link;
use domain::page::{Page, PageRequest};
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};

use super::audit_blocks::{ROWS, Term, block_of, first_of, may_hold, wanted};
use super::audit_read::{head, link};
use super::entity::{audit_block, audit_event};
use super::fault::store_fault;
use super::scoped;

/// Rows that one statement looks at.
const WINDOW: i64 = 50_000;
/// Rows that one call looks at.
const LOOK: i64 = 4 * WINDOW;
/// Blocks that one statement reads.
const STRETCH: i64 = 1_024;
/// Blocks that one call reads.
const STRETCHES: usize = 16;
/// How far from the order of their times rows can stand: events wait in a queue of fewer places before they get their
/// number.
const DISORDER: i64 = 20_000;

/// The rows that fit.
pub(super) fn fitting(rows: Select<audit_event::Entity>, filter: &AuditFilter) -> Select<audit_event::Entity> {
    use audit_event::Column;
    let mut rows = rows;
    let texts = [
        (Column::ActorKind, filter.actor_kind.as_deref()),
        (Column::ActorId, filter.actor_id.as_deref()),
        (Column::Action, filter.action.as_deref()),
        (Column::TargetKind, filter.target_kind.as_deref()),
        (Column::TargetId, filter.target_id.as_deref()),
        (Column::Outcome, filter.outcome.map(Outcome::as_str)),
        (Column::Code, filter.code.as_deref()),
        (Column::TenantOrg, filter.tenant_org.as_ref().map(TenantText::as_str)),
        (Column::TenantUser, filter.tenant_user.as_ref().map(TenantText::as_str)),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            rows = rows.filter(column.eq(text));
        }
    }
    if let Some(request) = filter.request_id {
        rows = rows.filter(Column::RequestId.eq(request));
    }
    if let Some(from) = filter.from {
        rows = rows.filter(Column::At.gte(from.as_micros()));
    }
    if let Some(to) = filter.to {
        rows = rows.filter(Column::At.lt(to.as_micros()));
    }
    rows
}

/// The numbers between which the rows of a time range stand, with room for those out of order.
pub(super) async fn bounds(
    db: &impl ConnectionTrait,
    grant: &Grant<AuditRead>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<(i64, i64), StoreFault> {
    use audit_block::Column;
    let block = async |blocks: Select<audit_block::Entity>| {
        let row = blocks.select_only().column(Column::Block).into_tuple::<i64>().one(db).await;
        row.map_err(store_fault)
    };
    let blocks = || scoped::find::<audit_block::Entity>(grant);
    let newest = block(blocks().order_by(Column::Block, Order::Desc)).await?;
    let low = match from {
        None => 1,
        Some(from) => {
            let first = blocks().filter(Column::MaxAt.gte(from.as_micros())).order_by(Column::MaxAt, Order::Asc);
            // None that young: only rows that are in no block yet can be.
            let first = block(first).await?.or(newest.map(|newest| newest + 1)).unwrap_or(0);
            first_of(first).saturating_sub(DISORDER).max(1)
        }
    };
    let high = match to {
        None => i64::MAX,
        Some(to) => {
            let last = blocks().filter(Column::MinAt.lt(to.as_micros())).order_by(Column::MinAt, Order::Desc);
            match block(last).await? {
                // What is in no block yet may be as old.
                last if last == newest => i64::MAX,
                last => first_of(last.unwrap_or(0) + 1).saturating_add(DISORDER),
            }
        }
    };
    Ok((low, high))
}

/// Numbers of rows, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: i64,
    last: i64,
}

/// Where in a span rows with all these terms can be, in order. Rows that are in no block yet can always be.
async fn candidates(
    db: &impl ConnectionTrait,
    grant: &Grant<AuditRead>,
    terms: &[Term],
    within: Span,
) -> Result<Vec<Span>, StoreFault> {
    use audit_block::Column;
    let (first, last) = (block_of(within.first), block_of(within.last));
    let known: HashMap<i64, Vec<u8>> = scoped::find::<audit_block::Entity>(grant)
        .select_only()
        .columns([Column::Block, Column::Terms])
        .filter(Column::Block.between(first, last))
        .into_tuple::<(i64, Vec<u8>)>()
        .all(db)
        .await
        .map_err(store_fault)?
        .into_iter()
        .collect();
    let candidates = (first..=last).filter(|block| known.get(block).is_none_or(|filter| may_hold(filter, terms)));
    Ok(joined(candidates, within))
}

/// The spans of these blocks, clipped and joined up to the size of a window.
fn joined(blocks: impl Iterator<Item = i64>, within: Span) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for block in blocks {
        let first = first_of(block).max(within.first);
        let last = (first_of(block + 1) - 1).min(within.last);
        match spans.last_mut() {
            Some(span) if span.last + 1 == first && last - span.first < WINDOW => span.last = last,
            _ => spans.push(Span { first, last }),
        }
    }
    spans
}

/// A page of events that fit.
pub(super) async fn page(
    db: &impl ConnectionTrait,
    grant: &Grant<AuditRead>,
    filter: &AuditFilter,
    order: AuditOrder,
    page: PageRequest<i64>,
) -> Result<Page<Link, i64>, StoreFault> {
    let (mut low, mut high) = bounds(db, grant, filter.from, filter.to).await?;
    high = high.min(head(db, grant).await?.0);
    match (order, page.after) {
        (AuditOrder::Descending, Some(after)) => high = high.min(after.saturating_sub(1)),
        (AuditOrder::Ascending, Some(after)) => low = low.max(after.saturating_add(1)),
        (_, None) => {}
    }
    let limit = usize::from(page.limit.get());
    let terms = wanted(filter);
    let (mut items, mut looked_at): (Vec<Link>, i64) = (Vec::new(), 0);
    for _ in 0..STRETCHES {
        if low > high {
            return Ok(Page { items, next: None });
        }
        let size = if terms.is_empty() { WINDOW } else { STRETCH * ROWS };
        let stretch = match order {
            AuditOrder::Descending => Span { first: low.max(high.saturating_sub(size - 1)), last: high },
            AuditOrder::Ascending => Span { first: low, last: high.min(low.saturating_add(size - 1)) },
        };
        let mut spans = if terms.is_empty() { vec![stretch] } else { candidates(db, grant, &terms, stretch).await? };
        if order == AuditOrder::Descending {
            spans.reverse();
        }
        for span in spans {
            if let Some(next) = look(db, grant, filter, order, span, limit, &mut items).await? {
                return Ok(Page { items, next: Some(next) });
            }
            looked_at += span.last - span.first + 1;
            if looked_at >= LOOK {
                let next = match order {
                    AuditOrder::Descending => (span.first > low).then_some(span.first),
                    AuditOrder::Ascending => (span.last < high).then_some(span.last),
                };
                return Ok(Page { items, next });
            }
        }
        match order {
            AuditOrder::Descending => high = stretch.first - 1,
            AuditOrder::Ascending => low = stretch.last + 1,
        }
    }
    let next = match order {
        AuditOrder::Descending => high + 1,
        AuditOrder::Ascending => low - 1,
    };
    Ok(Page { items, next: (low <= high).then_some(next) })
}

/// Adds what fits in a span. When there is more than the page takes, the position to go on from.
async fn look(
    db: &impl ConnectionTrait,
    grant: &Grant<AuditRead>,
    filter: &AuditFilter,
    order: AuditOrder,
    span: Span,
    limit: usize,
    items: &mut Vec<Link>,
) -> Result<Option<i64>, StoreFault> {
    use audit_event::Column;
    let direction = match order {
        AuditOrder::Descending => Order::Desc,
        AuditOrder::Ascending => Order::Asc,
    };
    let rows = fitting(scoped::find::<audit_event::Entity>(grant), filter)
        .filter(Column::Seq.between(span.first, span.last))
        .order_by(Column::Seq, direction)
        .limit((limit - items.len()) as u64 + 1)
        .all(db)
        .await
        .map_err(store_fault)?;
    for row in rows {
        if items.len() == limit {
            return Ok(items.last().map(|item| item.seq));
        }
        items.push(link(row)?);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_clipped_and_joined_up_to_a_window() {
        let within = Span { first: 500, last: 200 * ROWS };
        assert_eq!(
            joined([0, 1, 3].into_iter(), within),
            [Span { first: 500, last: 2 * ROWS }, Span { first: 3 * ROWS + 1, last: 4 * ROWS }]
        );
        let all = joined(0..200, within);
        assert!(all.iter().all(|span| span.last - span.first < WINDOW));
        assert!(all.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
        assert_eq!((all[0].first, all[all.len() - 1].last), (500, 200 * ROWS));
    }

    #[test]
    fn every_row_is_in_the_block_that_has_its_number() {
        for seq in [1, 2, ROWS, ROWS + 1, 7 * ROWS, 7 * ROWS + 1] {
            let block = block_of(seq);
            assert!(first_of(block) <= seq && seq < first_of(block + 1), "{seq}");
        }
    }
}
