//! Whether clocks agree: when keys and sessions expire is judged by each node's own.

use infra::db::{ClockAhead, Database, SeenNode};

use super::super::chain;
use super::report::Report;

/// How far clocks may be apart before somebody should do something, in microseconds.
const APART: i64 = 1_000_000;
const FIX: &str = "let every machine keep its clock by NTP (chrony, systemd-timesyncd); keys and sessions expire by each node's own clock";

/// This machine's beside the database's.
pub async fn of_this_machine(database: &Database, report: &mut Report) {
    match database.clock_ahead().await {
        Ok(None) => report.good("clock", "SQLite has no clock of its own to compare this machine's with"),
        Ok(Some(ClockAhead { micros, within })) => {
            let finding = format!(
                "this machine's is {} the database's (within {} ms)",
                difference(micros),
                within.as_millis().max(1)
            );
            let surely = micros.abs().saturating_sub(i64::try_from(within.as_micros()).unwrap_or(i64::MAX));
            if surely > APART { report.bad("clock", &finding, FIX) } else { report.good("clock", &finding) }
        }
        Err(fault) => report.bad("clock", &chain(&fault), "look at the database's own log"),
    }
}

/// Those of nodes, as each told when it renewed its lease.
pub fn of_nodes(nodes: &[SeenNode], report: &mut Report) {
    for node in nodes {
        if let Some(micros) = node.clock_ahead.filter(|micros| micros.abs() > APART) {
            report.bad(
                "clock",
                &format!("that of the node {} is {} the database's", node.name, difference(micros)),
                FIX,
            );
        }
    }
}

fn difference(micros: i64) -> String {
    let tenths = micros.unsigned_abs() / 100_000;
    let word = if micros < 0 { "behind" } else { "ahead of" };
    format!("{}.{} s {word}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_in_tenths_of_a_second_and_which_way() {
        assert_eq!(difference(-3_240_000), "3.2 s behind");
        assert_eq!(difference(12_000_000), "12.0 s ahead of");
        assert_eq!(difference(40), "0.0 s ahead of");
    }
}
