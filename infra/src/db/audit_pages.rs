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
use sea_orm::{ColumnTrait, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};

use super::audit_blocks::{ROWS, Term, block_of, first_of, may_hold, wanted};
use super::audit_ranges::{Span, ranges};
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
/// Stretches that one call reads: of four million rows. More of them would take a request longer than a page may, since
/// each block has some thousand bytes; whoever goes on asks for the next page.
const STRETCHES: usize = 4;

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
    let head = head(db, grant).await?.0;
    let asked = match (order, page.after) {
        (AuditOrder::Descending, Some(after)) => Span { first: 1, last: head.min(after.saturating_sub(1)) },
        (AuditOrder::Ascending, Some(after)) => Span { first: after.saturating_add(1), last: head },
        (_, None) => Span { first: 1, last: head },
    };
    let clipped = ranges(db, grant, filter.from, filter.to).await?.into_iter().map(|range| range.within(asked));
    let mut ranges: Vec<Span> = clipped.filter(|range| range.first <= range.last).collect();
    if order == AuditOrder::Descending {
        ranges.reverse();
    }
    let terms = wanted(filter);
    let limit = usize::from(page.limit.get());
    let mut looking = Looking { order, limit, items: Vec::new(), looked_at: 0, stretches: 0 };
    for range in ranges {
        if let Some(next) = looking.through(db, grant, filter, &terms, range).await? {
            // One that nothing can follow is the last page.
            let goes_on = match order {
                AuditOrder::Descending => next > 1,
                AuditOrder::Ascending => next < head,
            };
            return Ok(Page { items: looking.items, next: goes_on.then_some(next) });
        }
    }
    Ok(Page { items: looking.items, next: None })
}

/// A page that is being filled.
struct Looking {
    order: AuditOrder,
    limit: usize,
    items: Vec<Link>,
    /// How many rows, and how many stretches of blocks.
    looked_at: i64,
    stretches: usize,
}

impl Looking {
    /// Looks through a range; the position to go on from when it may not look any further.
    async fn through(
        &mut self,
        db: &impl ConnectionTrait,
        grant: &Grant<AuditRead>,
        filter: &AuditFilter,
        terms: &[Term],
        mut range: Span,
    ) -> Result<Option<i64>, StoreFault> {
        let size = if terms.is_empty() { WINDOW } else { STRETCH * ROWS };
        while range.first <= range.last {
            if self.stretches == STRETCHES {
                return Ok(Some(match self.order {
                    AuditOrder::Descending => range.last + 1,
                    AuditOrder::Ascending => range.first - 1,
                }));
            }
            self.stretches += 1;
            let stretch = match self.order {
                AuditOrder::Descending => Span { first: range.first.max(range.last.saturating_sub(size - 1)), ..range },
                AuditOrder::Ascending => Span { last: range.last.min(range.first.saturating_add(size - 1)), ..range },
            };
            let mut spans =
                if terms.is_empty() { vec![stretch] } else { candidates(db, grant, terms, stretch).await? };
            if self.order == AuditOrder::Descending {
                spans.reverse();
            }
            for span in spans {
                if let Some(next) = look(db, grant, filter, self.order, span, self.limit, &mut self.items).await? {
                    return Ok(Some(next));
                }
                self.looked_at += span.last - span.first + 1;
                if self.looked_at >= LOOK {
                    return Ok(Some(match self.order {
                        AuditOrder::Descending => span.first,
                        AuditOrder::Ascending => span.last,
                    }));
                }
            }
            match self.order {
                AuditOrder::Descending => range.last = stretch.first - 1,
                AuditOrder::Ascending => range.first = stretch.last + 1,
            }
        }
        Ok(None)
    }
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
