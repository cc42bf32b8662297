//! What sessions ask PostgreSQL for, so that it does not wait for a node that is cut off: it is taken on every kind of
//! connection, and a node that is cut off in the middle of joining keeps no other from joining.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::store::StoreFault;
use infra::db::{Purpose, for_purpose, store_fault};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{Connection, query_scalar};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, Statement};
use support::{App, Wire, postgres};

async fn shown(options: &PgConnectOptions, names: &[&'static str]) -> Vec<String> {
    let mut connection = PgConnection::connect_with(options).await.expect("the server takes what is asked for");
    let mut values = Vec::new();
    for name in names {
        let value = query_scalar("SELECT current_setting($1)").bind(*name).fetch_one(&mut connection).await;
        values.push(value.expect("a value"));
    }
    values
}

#[tokio::test]
async fn sessions_of_both_purposes_ask_the_server_not_to_wait_for_them_on_tcp_and_on_a_socket() {
    const TIMEOUTS: [&str; 3] = ["lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout"];
    const TCP: [&str; 4] =
        ["tcp_user_timeout", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"];
    let url = postgres::database().await;
    let tcp: PgConnectOptions = url.parse().expect("an address");
    let directory = shown(&tcp, &["unix_socket_directories"]).await.remove(0);
    let socket = tcp.clone().socket(directory);
    for (purpose, timeouts) in [(Purpose::Requests, ["5s", "3s", "0"]), (Purpose::Nodes, ["4s", "2s", "5s"])] {
        for options in [&tcp, &socket] {
            assert_eq!(shown(&for_purpose(options.clone(), purpose), &TIMEOUTS).await, timeouts, "{purpose:?}");
        }
        assert_eq!(shown(&for_purpose(tcp.clone(), purpose), &TCP).await, ["19000", "10", "3", "3"], "{purpose:?}");
        assert_eq!(shown(&for_purpose(socket.clone(), purpose), &TCP).await, ["0", "0", "0", "0"], "{purpose:?}");
    }
}

/// Returns when a transaction that waits for its node's next word holds the lock that nodes join under.
async fn joining_is_held(db: &DatabaseConnection) {
    let count = "SELECT COUNT(*) AS n FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' \
                 AND granted AND state = 'idle in transaction' AND objid::bigint = x'79720003'::bigint \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for _ in 0..4000 {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), count)).await.expect("an answer");
        if row.expect("a row").try_get::<i64>("", "n").expect("a number") > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    panic!("nobody joins\n{}", support::logs::tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_while_it_joins_keeps_no_other_from_joining() {
    let url = postgres::database().await;
    let a = App::node("a", &url).await;
    let (wire, through) = Wire::to_database(&url).await;
    // Slow enough for it to be met between two statements.
    wire.slow(Duration::from_millis(40));
    let cut_off = tokio::spawn(async move { App::node("cut-off", &through).await });
    joining_is_held(&a.sql().await).await;
    wire.stall();
    let began = Instant::now();
    let b = App::node("b", &url).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let acme = a.organization("acme").await;
    b.key(&acme.solo().await.token).get("/api/v1/me").await.expect(200);
    cut_off.abort();
}

/// A node that stood still in the middle of a change finds its transaction ended: that is nobody's fault, and says 503.
#[tokio::test]
async fn a_transaction_that_the_server_has_ended_is_an_outage_and_no_fault_of_ours() {
    let options = for_purpose(postgres::database().await.parse().expect("an address"), Purpose::Requests);
    let mut connection = PgConnection::connect_with(&options).await.expect("a connection");
    let mut transaction = connection.begin().await.expect("a transaction");
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(3_300) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = query_scalar::<_, i32>("SELECT 1").fetch_one(&mut *transaction).await.expect_err("it was ended");
    let fault = store_fault(DbErr::Query(RuntimeErr::SqlxError(Arc::new(ended))));
    assert!(matches!(fault, StoreFault::Unavailable(_)), "{fault:?}");
}
