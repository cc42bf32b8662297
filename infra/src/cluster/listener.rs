//! Hearing of changes and confirmations as they are committed. What is heard is only quicker than what is asked: a node
//! that hears nothing still asks with every renewal. It listens where the node asks: anew whenever the node has connected anew,
//! since that can be another server.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::PATIENCE;
use super::node::Met;
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

/// And where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What.
    pub heard: Heard,
    /// How often the node had connected when this was listened to.
    pub connections: u64,
}

fn heard(channel: &str, payload: &str) -> Heard {
    if channel != CONFIRMED {
        return Heard::Changed;
    }
    let confirmed = payload.split_once(' ').and_then(|(id, number)| Some((id.parse().ok()?, number.parse().ok()?)));
    confirmed.map_or(Heard::Gone, |(id, number)| Heard::Confirmed(id, number))
}

/// Listens for as long as anybody wants to hear, and again after every fault.
pub async fn run(url: DatabaseUrl, mut met: watch::Receiver<Met>, tell: mpsc::UnboundedSender<Told>) {
    while !tell.is_closed() {
        if let Err(error) = hear(&url, &mut met, &tell).await {
            tracing::debug!(%error, "other nodes are not heard; trying again");
        }
        sleep(PAUSE).await;
    }
}

async fn hear(
    url: &DatabaseUrl,
    met: &mut watch::Receiver<Met>,
    tell: &mpsc::UnboundedSender<Told>,
) -> Result<(), sqlx::Error> {
    let connections = met.borrow_and_update().connections;
    let tell = |heard| {
        let _ = tell.send(Told { heard, connections });
    };
    let late = |_| sqlx::Error::PoolTimedOut;
    let mut listener = timeout(PATIENCE, listen(url)).await.map_err(late)??;
    // What was told before is not heard.
    tell(Heard::Changed);
    loop {
        let next = tokio::select! {
            next = timeout(QUIET, listener.try_recv()) => next,
            _ = met.changed() => return Ok(()),
        };
        match next {
            Ok(Ok(Some(told))) => tell(heard(told.channel(), told.payload())),
            Ok(Ok(None)) => tell(Heard::Changed),
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
