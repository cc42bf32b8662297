//! What every session with PostgreSQL asks the server for. A node can be cut off, or stopped, at any moment; the server must
//! not wait for it longer than others can bear, whatever it was doing.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// How long anybody waits for what another has locked: no longer than for a connection.
pub(super) const LOCKS_AWAITED: Duration = Duration::from_secs(5);
/// How long a transaction of a request may hold its locks and say nothing. Ours never pause for so long; only a node that is
/// cut off does. It is less than anybody waits for a lock, by enough for what is left to do then: a revocation that meets the
/// lock of a node that was cut off in the middle of a change is late, and does not fail.
const IDLE_TRANSACTION: Duration = Duration::from_secs(3);
/// The same of a node's way to the others, whose one transaction is joining: whoever comes next joins in seconds. It is less
/// than `JOINING_AWAITED`, so that who waits for it outlasts it.
const IDLE_JOINING: Duration = Duration::from_secs(2);
/// How long a node waits to join behind another.
const JOINING_AWAITED: Duration = Duration::from_secs(4);
/// The longest that a statement of a node's way to the others runs. Nobody waits for it any more then.
const LEASE_STATEMENT: Duration = Duration::from_secs(5);
/// When a connection that says nothing is asked whether anybody is there, and how often.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(3);
const KEEPALIVES: u32 = 3;
/// How long what the server sent may be unacknowledged: as long as that takes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(19);

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Requests, and what runs beside them.
    Requests,
    /// A node's way to the others: its lease, the changes, and hearing of them.
    Nodes,
}

/// The options of a connection, with what its session asks for. PostgreSQL takes all of it, on every kind of connection: on a
/// Unix socket it leaves out what is of TCP.
#[must_use]
pub fn for_purpose(options: PgConnectOptions, purpose: Purpose) -> PgConnectOptions {
    let millis = |time: Duration| format!("{}ms", time.as_millis());
    let seconds = |time: Duration| time.as_secs().to_string();
    let options = options.options([
        ("tcp_user_timeout", millis(UNACKNOWLEDGED)),
        ("tcp_keepalives_idle", seconds(KEEPALIVE)),
        ("tcp_keepalives_interval", seconds(KEEPALIVE_AGAIN)),
        ("tcp_keepalives_count", KEEPALIVES.to_string()),
    ]);
    match purpose {
        Purpose::Requests => options.options([
            ("lock_timeout", millis(LOCKS_AWAITED)),
            ("idle_in_transaction_session_timeout", millis(IDLE_TRANSACTION)),
        ]),
        Purpose::Nodes => options.options([
            ("lock_timeout", millis(JOINING_AWAITED)),
            ("idle_in_transaction_session_timeout", millis(IDLE_JOINING)),
            ("statement_timeout", millis(LEASE_STATEMENT)),
        ]),
    }
}
