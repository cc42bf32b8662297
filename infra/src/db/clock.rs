//! The database's clock beside this machine's.

use std::time::{Duration, Instant};

use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, Query};

use super::fault::store_fault;
use super::{Database, DatabaseKind};

/// How often it is asked: the quickest answer says most.
const TRIES: usize = 3;

/// How two clocks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockAhead {
    /// How far this machine's is before the database's, in microseconds; negative when it is behind.
    pub micros: i64,
    /// How wrong that can be.
    pub within: Duration,
}

impl Database {
    /// How far this machine's clock is before the database's; none for SQLite, which has no other.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn clock_ahead(&self) -> Result<Option<ClockAhead>, StoreFault> {
        if self.kind() == DatabaseKind::Sqlite {
            return Ok(None);
        }
        let ask =
            Query::select().expr(Expr::cust("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint")).to_owned();
        let mut best: Option<ClockAhead> = None;
        for _ in 0..TRIES {
            let (began, before) = (Instant::now(), SystemClock.now().as_micros());
            let row = self.reader().query_one(&ask).await.map_err(store_fault)?;
            let within = began.elapsed() / 2;
            let corrupt = || StoreFault::Corrupt("the database's clock".to_owned());
            let theirs: i64 = row.ok_or_else(corrupt)?.try_get_by_index(0).map_err(store_fault)?;
            let half = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
            let read = ClockAhead { micros: before.saturating_add(half).saturating_sub(theirs), within };
            best = Some(best.filter(|best| best.within <= read.within).unwrap_or(read));
        }
        Ok(best)
    }
}
