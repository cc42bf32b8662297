//! The key of assertions changes: by itself, by command, on every node of a database, and without a restart.

use std::sync::Arc;
use std::time::Duration;

use domain::assertion::keys::{AssertionKeyStore, KeySchedule, PUBLISHED_AFTER, PUBLISHED_AHEAD};
use domain::audit::entry::AuditEntry;
use domain::root::RootSecret;
use domain::time::{Clock, SystemClock, Timestamp};
use infra::assertion_keys::{AssertionKeys, RotationFault};
use infra::db::SqlAssertionKeys;
use infra::token::AssertionSigner;
use serde_json::{Value, json};
use support::{App, AppOptions, Store, Upstream};

const DAY: Duration = Duration::from_hours(24);

/// A node, with its own idea of the keys.
struct Node {
    keys: AssertionKeys,
    signer: Arc<AssertionSigner>,
    store: SqlAssertionKeys,
}

impl Node {
    fn on(app: &App, lifetime: Option<Duration>) -> Self {
        let root = RootSecret::new([5; 32]).expect("long enough");
        let signer = Arc::new(AssertionSigner::new(&root, KeySchedule::new(vec![]), SystemClock.now()));
        let store = SqlAssertionKeys::new(app.services().database.clone());
        let keys = AssertionKeys::new(Arc::new(store.clone()), Arc::clone(&signer), lifetime);
        Self { keys, signer, store }
    }

    async fn published(&self, now: Timestamp) -> Vec<String> {
        self.keys.refresh(now).await.expect("the store answers");
        self.signer.jwks(now).keys.into_iter().map(|key| key.kid).collect()
    }
}

async fn two_nodes(store: Store, lifetime: Option<Duration>) -> (App, Node, Node, Timestamp) {
    // The server of the test is a third node, which adds no key by itself.
    let settings = vec![("assertion-key-days", "0".to_owned())];
    let app = App::with(AppOptions { store, settings }).await;
    let (one, two) = (Node::on(&app, lifetime), Node::on(&app, lifetime));
    let first = one.store.schedule().await.expect("the store answers").signing(SystemClock.now());
    (app, one, two, first.signs_from)
}

async fn nodes_change_over_together(store: Store) {
    let (app, one, two, start) = two_nodes(store, Some(DAY)).await;
    let change = start.after(DAY);
    let early = one.published(start).await;
    assert_eq!((early.len(), &two.published(start).await), (1, &early));
    let ahead = Timestamp::from_micros(change.as_micros() - i64::try_from(PUBLISHED_AHEAD.as_micros()).expect("small"));
    // Both find it due at the same moment: one adds it.
    let (first, second) = tokio::join!(one.published(ahead), two.published(ahead));
    assert_eq!((first.len(), &first), (2, &second));
    assert_eq!(first[0], early[0], "it is published, and signs not yet");
    // By the clock alone: neither has looked again.
    let [then, other] =
        [&one, &two].map(|node| node.signer.jwks(change).keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>());
    assert_eq!((&then, then[0] == first[1], then[1] == early[0]), (&other, true, true));
    assert_eq!(one.published(change.after(PUBLISHED_AFTER)).await, [first[1].clone()]);
    let rows = app.services().audit_rows.count(AuditEntry::NOBODYS).await.expect("the store answers");
    assert_eq!(rows, 1, "one event for the one key");
}

#[tokio::test]
async fn nodes_of_one_database_change_over_together() {
    nodes_change_over_together(Store::Sqlite).await;
    nodes_change_over_together(Store::Postgres).await;
}

async fn a_key_can_be_asked_for(store: Store) {
    let (_app, one, two, start) = two_nodes(store, None).await;
    let years = start.after(DAY * 1000);
    assert_eq!(one.published(years).await.len(), 1, "none is added by itself");
    let (key, kid) = one.keys.rotate(years).await.expect("none is coming");
    assert_eq!(key.signs_from, years.after(PUBLISHED_AHEAD));
    let published = two.published(years).await;
    assert_eq!((published.len(), published[1].as_str()), (2, kid.as_str()));
    match two.keys.rotate(years).await {
        Err(RotationFault::OneIsComing(coming)) => assert_eq!(coming.0, key),
        other => panic!("{other:?}"),
    }
    assert_eq!(two.published(key.signs_from).await[0], kid);
}

#[tokio::test]
async fn a_key_can_be_asked_for_while_none_is_coming() {
    a_key_can_be_asked_for(Store::Sqlite).await;
    a_key_can_be_asked_for(Store::Postgres).await;
}

fn kids(set: &Value) -> Vec<String> {
    let keys = set["keys"].as_array().expect("keys");
    keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

#[tokio::test]
async fn a_running_server_publishes_a_new_key_and_then_signs_with_it() {
    let (app, upstream) = (App::on(Store::Postgres).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let (one, two) = (acme.solo().await.token, acme.solo().await.token);
    let keys = &app.services().assertion_keys;
    let kid = || {
        let seen = upstream.last();
        jsonwebtoken::decode_header(seen.header("x-keyrack-assertion").expect("an assertion")).expect("a JWT").kid
    };
    let set = async || app.anonymous().get("/.well-known/jwks.json").await;
    let before = set().await;
    assert_eq!(before.headers["cache-control"], "public, max-age=300");
    let before = kids(&before.expect(200));
    app.key(&one).mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(kid().as_ref(), Some(&before[0]));

    let (_, coming) = keys.rotate(SystemClock.now()).await.expect("none is coming");
    let published = kids(&set().await.expect(200));
    assert_eq!((published.len(), &published[0], &published[1]), (before.len() + 1, &before[0], &coming));
    app.key(&two).mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(kid().as_ref(), Some(&before[0]), "it signs not yet");

    // Its time has come.
    let now = SystemClock.now().as_micros();
    app.run_sql(&format!("UPDATE assertion_keys SET signs_from = {now} WHERE number = 1")).await;
    keys.refresh(SystemClock.now()).await.expect("the store answers");
    let after = kids(&set().await.expect(200));
    assert_eq!((after.len(), &after[0], &after[1]), (before.len() + 1, &coming, &before[0]));
    let three = acme.solo().await.token;
    app.key(&three).mcp("up", "", "ping", json!({})).await.expect(200);
    assert_eq!(kid(), Some(coming));
}
