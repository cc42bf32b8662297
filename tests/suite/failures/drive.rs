//! Drives one fault: what is asked before, at once, later and after it is compared with the fault's row in the table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::reckoning::reckon;
use super::site::{Seen, Site};
use super::table::{Answered, Expected, Op, Row, row_of};
use super::watch::{Watch, good};

/// What a busy machine may add to every time that the table names.
pub const SLACK: Duration = Duration::from_secs(3);
/// Within which whatever was under way when a fault began is answered, if anybody answers.
const UNDER_WAY: Duration = Duration::from_secs(15);

/// A fault's two ends, and what else is to be seen while it lasts.
pub struct Fault<B, M, E> {
    /// Its name in the table.
    pub name: &'static str,
    /// Makes it begin.
    pub begin: B,
    /// How long after its beginning the second look is.
    pub later: Duration,
    /// What is looked at besides, between the second look and its end.
    pub meanwhile: M,
    /// Makes it end.
    pub end: E,
}

type Asked = HashMap<Op, JoinHandle<Seen>>;

fn ask_everything(site: &Arc<Site>) -> Asked {
    let ask = |op| {
        let site = Arc::clone(site);
        (op, tokio::spawn(async move { site.ask(op).await }))
    };
    Op::ALL.into_iter().map(ask).collect()
}

/// Drives it.
pub async fn drive<B, M, E>(site: &Arc<Site>, fault: Fault<B, M, E>)
where
    B: AsyncFnOnce(),
    M: AsyncFnOnce(),
    E: AsyncFnOnce(),
{
    let row = row_of(fault.name);
    let waits = Op::ALL.iter().any(|op| row.at_once(*op).answered == Answered::Later);
    let watch = Watch::begin(site);
    let mut under_way = Vec::new();
    for _ in 0..3 {
        under_way.push(ask_everything(site));
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    (fault.begin)().await;
    let began = Instant::now();
    let mut held = vec![look(&row, "at once", ask_everything(site), Row::at_once).await];
    tokio::time::sleep(fault.later.saturating_sub(began.elapsed())).await;
    held.push(look(&row, "later", ask_everything(site), Row::later).await);
    if !waits {
        for asked in under_way.drain(..) {
            ended(&row, asked, began + UNDER_WAY).await;
        }
    }
    (fault.meanwhile)().await;
    (fault.end)().await;
    let over = Instant::now();
    for asked in held.into_iter().chain(under_way) {
        ended(&row, asked, over + row.recovers + SLACK).await;
    }
    recovered(&row, site, over).await;
    watch.end(&row.fault).await;
    reckon(site, &row).await;
}

/// Compares what is answered with the cells; what is to wait is given back.
async fn look(row: &Row, when: &str, asked: Asked, cell: for<'a> fn(&'a Row, Op) -> &'a Expected) -> Asked {
    let began = Instant::now();
    let mut held = Asked::new();
    for (op, mut answer) in asked {
        let expected = cell(row, op);
        let limit = expected.within + SLACK;
        let until = tokio::time::timeout(limit.saturating_sub(began.elapsed()), &mut answer).await;
        let who = format!("{}, {}, {when}", row.fault, op.name());
        match (expected.answered, until) {
            (Answered::Later, Err(_)) => drop(held.insert(op, answer)),
            (Answered::Later, Ok(seen)) => panic!("{who}: it did not wait: {seen:?}"),
            (_, Err(_)) => {
                panic!("{who}: no answer within {limit:?}, expected {expected:?}\n{}", support::logs::tail())
            }
            (answered, Ok(seen)) => {
                let seen = seen.unwrap_or_else(|error| panic!("{who}: {error}"));
                for seen in seen.each() {
                    println!("failures: {who}: {:?} {} in {:?}", seen.status, seen.code, seen.took);
                    let as_said = match answered {
                        Answered::Status(_) if expected.or_unavailable && seen.status == Some(503) => true,
                        Answered::Status(status) => seen.status == Some(status),
                        Answered::Not => seen.status.is_none(),
                        Answered::Later => false,
                    };
                    assert!(as_said, "{who}: expected {expected:?}, seen {seen:?}\n{}", support::logs::tail());
                    proper(&who, seen);
                }
            }
        }
    }
    held
}

/// A refusal that is nobody's fault says so.
fn proper(who: &str, seen: &Seen) {
    let code = match seen.status {
        Some(502) => "upstream_error",
        Some(503) => "unavailable",
        Some(504) => "upstream_timeout",
        _ => return,
    };
    assert_eq!(seen.code, code, "{who}: {seen:?}");
    assert!(seen.status != Some(503) || seen.retry_after, "{who} says nothing of when to ask again: {seen:?}");
}

/// What was under way comes to an end, and nobody is told that their key is no good.
async fn ended(row: &Row, asked: Asked, until: Instant) {
    for (op, answer) in asked {
        let left = until.saturating_duration_since(Instant::now());
        let who = format!("{}, {}, under way", row.fault, op.name());
        let seen = tokio::time::timeout(left, answer).await.unwrap_or_else(|_| panic!("{who}: it hangs"));
        let seen = seen.unwrap_or_else(|error| panic!("{who}: {error}"));
        for seen in seen.each() {
            println!("failures: {who}: {:?} {} in {:?}", seen.status, seen.code, seen.took);
            // A person's session is over when their node's clock says so.
            if !matches!(op, Op::Manage | Op::Audit) || row.fault != "clock stepped" {
                good(seen);
            }
            proper(&who, seen);
        }
    }
}

/// Returns when everything is answered well again, which must be in time.
async fn recovered(row: &Row, site: &Arc<Site>, over: Instant) {
    for op in Op::ALL {
        loop {
            let seen = site.ask(op).await;
            seen.each().for_each(good);
            if seen.is(op.fine()) {
                break;
            }
            let late = over.elapsed() > row.recovers + SLACK;
            assert!(!late, "{}, {}: not well again: {seen:?}\n{}", row.fault, op.name(), support::logs::tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    println!("failures: {}: well again after {:?}", row.fault, over.elapsed());
}
