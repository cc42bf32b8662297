//! What costs a look-up in the database, and what does not.

use domain::key::token::PresentedToken;
use domain::key::{TokenKeys, token::NotAToken};
use domain::root::RootSecret;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::App;

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
