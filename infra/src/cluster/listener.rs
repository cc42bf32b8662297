//! Hearing of changes and confirmations as they are committed. What is heard is only quicker than what is asked: a node
//! that hears nothing still asks with every renewal.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::PATIENCE;
use crate::db::{CONFIRMED, DatabaseUrl, listen};

/// How long it is quiet before the connection is asked whether it still is one.
const QUIET: Duration = Duration::from_secs(2);
/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// There may be changes.
    Changed,
    /// A node has applied every change up to this one.
    Confirmed(Uuid, i64),
    /// A node may have no lease any more.
    Gone,
}

fn heard(channel: &str, payload: &str) -> Heard {
    if channel != CONFIRMED {
        return Heard::Changed;
    }
    let confirmed = payload.split_once(' ').and_then(|(id, number)| Some((id.parse().ok()?, number.parse().ok()?)));
    confirmed.map_or(Heard::Gone, |(id, number)| Heard::Confirmed(id, number))
}

/// Listens for as long as anybody wants to hear, and again after every fault.
pub async fn run(url: DatabaseUrl, tell: mpsc::UnboundedSender<Heard>) {
    while !tell.is_closed() {
        if let Err(error) = hear(&url, &tell).await {
            tracing::debug!(%error, "other nodes are not heard; trying again");
        }
        sleep(PAUSE).await;
    }
}

async fn hear(url: &DatabaseUrl, tell: &mpsc::UnboundedSender<Heard>) -> Result<(), sqlx::Error> {
    let late = |_| sqlx::Error::PoolTimedOut;
    let mut listener = timeout(PATIENCE, listen(url)).await.map_err(late)??;
    // What was told before is not heard.
    let _ = tell.send(Heard::Changed);
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(told))) => {
                let _ = tell.send(heard(told.channel(), told.payload()));
            }
            Ok(Ok(None)) => {
                let _ = tell.send(Heard::Changed);
            }
            Ok(Err(error)) => return Err(error),
            // A connection whose other end is gone is quiet, too.
            Err(_) => {
                let alive = sqlx::Executor::execute(&mut listener, "SELECT 1");
                timeout(PATIENCE, alive).await.map_err(late)??;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_names_a_node_and_a_number_or_makes_one_look() {
        let id = Uuid::from_u128(7);
        assert_eq!(heard("keyrack_changed", "12"), Heard::Changed);
        assert_eq!(heard(CONFIRMED, &format!("{id} 12")), Heard::Confirmed(id, 12));
        for other in [format!("{id} gone"), String::new(), "x 1".to_owned()] {
            assert_eq!(heard(CONFIRMED, &other), Heard::Gone, "{other}");
        }
    }
}
