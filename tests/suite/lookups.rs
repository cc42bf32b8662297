//! What costs a look-up in the database, and what does not.

use domain::access::permission::ApiKeysRead;
use domain::key::port::KeyFilter;
use domain::key::token::PresentedToken;
use domain::key::{TokenKeys, token::NotAToken};
use domain::page::{Limit, PageRequest};
use domain::root::RootSecret;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use support::{App, Organization, Store, logs};

const LOOK_ALIKES: usize = 1_000_000;

#[tokio::test]
async fn a_million_look_alikes_cause_no_look_up() {
    let app = App::spawn().await;
    let token = app.organization("acme").await.solo().await.token;
    let before = app.key_lookups();
    let verifier = &app.services().verifier;
    let mut random = StdRng::seed_from_u64(20_261_121);
    let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let real_id = token.split('_').nth(1).expect("an id").to_owned();
    for number in 0..LOOK_ALIKES {
        let mut text =
            |length: usize| -> String { (0..length).map(|_| alphabet[random.random_range(0..62)]).collect() };
        // Every other one names a key that exists.
        let id = if number % 2 == 0 { real_id.clone() } else { text(16) };
        let guess = format!("kr_{id}_{}", text(49));
        assert!(verifier.verify(&guess).await.is_err());
    }
    assert_eq!(app.key_lookups(), before, "a look-alike was looked up");
    verifier.verify(&token).await.expect("the real one");
    assert_eq!(app.key_lookups(), before + 1);
}

#[tokio::test]
async fn a_flood_of_look_alikes_over_http_is_refused_without_look_ups() {
    let app = App::spawn().await;
    let before = app.key_lookups();
    for number in 0..200 {
        let guess = format!("kr_{number:016}_{number:049}");
        app.key(&guess).get("/api/v1/me").await.refused(401, "unauthenticated");
    }
    assert_eq!(app.key_lookups(), before);
}

#[tokio::test]
async fn a_key_is_looked_up_once_and_then_remembered() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let token = acme.solo().await.token;
    let before = app.key_lookups();
    for _ in 0..20 {
        app.key(&token).get("/api/v1/me").await.expect(200);
    }
    assert_eq!(app.key_lookups(), before + 1);
}

#[test]
fn the_checksum_and_not_luck_refuses_look_alikes() {
    let keys = TokenKeys::derive(&RootSecret::new([1_u8; 32]).expect("long enough"));
    let guess = format!("kr_{}_{}", "a".repeat(16), "b".repeat(49));
    assert_eq!(PresentedToken::parse(&guess, &keys).err(), Some(NotAToken::Checksum));
}

/// A key that has one of everything that a page shows: listed servers and tenants, and an earlier token.
async fn full_key(acme: &Organization, server: &str) {
    let key = acme.key(json!({"type": "client", "servers": [server], "tenants": {"users": ["marina"]}})).await;
    acme.owner().post(&format!("/api/v1/api-keys/{}/rotate", key.id), &json!({"graceSeconds": 60})).await.expect(200);
}

#[tokio::test]
async fn a_page_of_keys_takes_as_many_queries_as_one_key() {
    // With PostgreSQL, since the statements of this thread are those of this test.
    let app = App::on(Store::Postgres).await;
    let acme = app.organization("acme").await;
    let server = acme.server("notes", "https://a.example.com").await["id"].as_str().expect("an id").to_owned();
    let grant = app.scope(&acme.access_token).await.grant::<ApiKeysRead>().expect("anybody may");
    let queries = async |keys: usize| {
        app.settled().await;
        let before = logs::statements();
        let request = PageRequest { after: None, limit: Limit::new(200).expect("a limit") };
        let page = app.services().keys.list(&grant, false, &KeyFilter::default(), request).await.expect("a page");
        let views = app.services().keys.views(page.items).await.expect("what is shown of them");
        assert_eq!(views.len(), keys);
        assert!(views.iter().all(|view| !view.earlier.is_empty() && view.tenants.is_some() && view.servers.is_some()));
        logs::statements() - before
    };
    // The first page fills caches, and a task of the server's may send a statement of its own while one is counted.
    let least = async |keys: usize| {
        let mut least = usize::MAX;
        for _ in 0..4 {
            least = least.min(queries(keys).await);
        }
        least
    };
    full_key(&acme, &server).await;
    let of_one = least(1).await;
    for _ in 0..24 {
        full_key(&acme, &server).await;
    }
    assert_eq!(least(25).await, of_one);
    assert!((2..=8).contains(&of_one), "{of_one} queries");
}
