//! `Idempotency-Key`: a repeated write makes nothing and is answered as the first was; nothing is made twice in silence,
//! and what was shown once is not kept.

use domain::idempotency::{Claim, ClaimName, Claimed, Ended, KEPT, KeptAnswer, LONGEST};
use domain::time::{Clock, SystemClock};
use serde_json::{Value, json};
use support::client::Answer;
use support::{Actor, App, Store};

const KEYS: &str = "/api/v1/api-keys";
const SERVERS: &str = "/api/v1/mcp-servers";

fn named(actor: Actor, key: &str) -> Actor {
    actor.and("idempotency-key", key)
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

async fn count(actor: &Actor, path: &str) -> usize {
    actor.get(path).await.expect(200)["items"].as_array().expect("items").len()
}

#[tokio::test]
async fn a_repeated_write_is_made_once_and_answered_again() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let body =
            json!({"name": "notes", "url": "https://a.example.com/mcp", "auth": {"kind": "bearer", "secret": "s"}});
        let first = named(acme.owner(), "one").post(SERVERS, &body).await;
        let second = named(acme.owner(), "one").post("/api/mcp-servers", &body).await;
        assert_eq!(second.expect(201), first.expect(201));
        assert!(!replayed(&first) && replayed(&second));
        assert_eq!(count(&acme.owner(), SERVERS).await, 1);
        // Without the header, or under another name, it is another write.
        acme.owner().post(SERVERS, &body).await.refused(409, "conflict");
        named(acme.owner(), "two").post(SERVERS, &body).await.refused(409, "conflict");
        // A refused write made nothing, so the same name may be used again.
        named(acme.owner(), "two")
            .post(SERVERS, &json!({"name": "b", "url": "https://b.example.com"}))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn a_repeated_key_is_the_same_key_without_its_token() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let first = named(acme.owner(), "k").post(KEYS, &json!({"name": "ci"})).await.expect(201);
    let again = named(acme.owner(), "k").post(KEYS, &json!({"name": "ci"})).await;
    assert!(replayed(&again));
    let again = again.expect(201);
    assert_eq!((&again["apiKey"], &again["token"]), (&first["apiKey"], &Value::Null));
    assert!(first["token"].is_string());
    assert_eq!(count(&acme.owner(), KEYS).await, 1);
    app.key(first["token"].as_str().expect("a token")).get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn another_write_under_the_same_name_is_a_conflict_and_another_caller_is_not() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let (one, two) = (json!({"name": "one"}), json!({"name": "two"}));
    named(acme.owner(), "k").post(KEYS, &one).await.expect(201);
    named(acme.owner(), "k").post(KEYS, &two).await.refused(409, "idempotency_conflict");
    let server = json!({"name": "one", "url": "https://a.example.com/mcp"});
    named(acme.owner(), "k").post(SERVERS, &server).await.refused(409, "idempotency_conflict");
    let key = app.key(&acme.solo().await.token);
    assert!(!replayed(&named(key, "k").post(SERVERS, &server).await), "a key is not its owner");
    assert!(!replayed(&named(globex.owner(), "k").post(KEYS, &one).await));
    // Whoever may not make the thing learns nothing of the answer.
    named(app.anonymous(), "k").post(KEYS, &one).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn of_many_at_once_one_makes_it_and_all_get_its_answer() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let calls = (0..8).map(|_| {
            let caller = named(acme.owner(), "k");
            tokio::spawn(async move { caller.post(KEYS, &json!({"name": "ci"})).await })
        });
        let mut ids = std::collections::HashSet::new();
        let mut tokens = 0;
        for call in calls.collect::<Vec<_>>() {
            let answer = call.await.expect("an answer").expect(201);
            ids.insert(answer["apiKey"]["id"].to_string());
            tokens += usize::from(answer["token"].is_string());
        }
        assert_eq!((ids.len(), tokens), (1, 1));
        assert_eq!(count(&acme.owner(), KEYS).await, 1);
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_refused() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    for bad in ["", "with blank", &"x".repeat(256)] {
        let answer = named(acme.owner(), bad).post(KEYS, &json!({"name": "x"})).await;
        answer.refused(400, "validation_failed").names_field("Idempotency-Key");
    }
    let twice = named(named(acme.owner(), "a"), "a").post(KEYS, &json!({"name": "x"})).await;
    twice.refused(400, "validation_failed").names_field("Idempotency-Key");
    assert_eq!(count(&acme.owner(), KEYS).await, 0);
    named(acme.owner(), &"x".repeat(255)).post(KEYS, &json!({"name": "x"})).await.expect(201);
}

#[tokio::test]
async fn a_claim_whose_end_is_unknown_is_never_made_again_until_it_is_forgotten() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let claims = &app.services().idempotency;
        let organization = app.organization("acme").await.id.parse().expect("an id");
        let claim = |digest, fingerprint| Claim {
            organization,
            actor: "usr_x".to_owned(),
            digest: [digest; 32],
            fingerprint: [fingerprint; 32],
            other: None,
        };
        let now = SystemClock.now();
        let ask = async |of: &Claim, at| claims.claim(of, at).await.expect("an answer");
        let one = claim(1, 1);
        assert_eq!(ask(&one, now).await, Claimed::First);
        assert_eq!(ask(&one, now).await, Claimed::UnderWay);
        assert_eq!(ask(&claim(1, 2), now).await, Claimed::Other);
        // A crash: nobody ends it.
        assert_eq!(ask(&one, now.after(LONGEST)).await, Claimed::Unknown);
        assert_eq!(ask(&one, now.after(KEPT)).await, Claimed::First, "after a day it is forgotten");

        let two = claim(2, 1);
        assert_eq!(ask(&two, now).await, Claimed::First);
        claims.end(&two, Ended::Refused).await.expect("noted");
        assert_eq!(ask(&two, now).await, Claimed::First);
        claims.end(&two, Ended::Unknown).await.expect("noted");
        assert_eq!(ask(&two, now).await, Claimed::Unknown);

        let three = claim(3, 1);
        assert_eq!(ask(&three, now).await, Claimed::First);
        let answer = KeptAnswer { status: 201, body: r#"{"a":"é"}"#.to_owned() };
        claims.end(&three, Ended::Made(answer.clone())).await.expect("noted");
        assert_eq!(ask(&three, now).await, Claimed::Again(answer));
        assert_eq!(claims.forget(now).await.expect("a number"), 2, "the first was claimed a day later");
        assert_eq!(ask(&three, now).await, Claimed::First);

        // Under another root secret the same writes have other names, by which they are found as well.
        let known = |digest, other, fingerprint| {
            let name = ClaimName { digest: [other; 32], fingerprint: [fingerprint; 32] };
            Claim { other: Some(name), ..claim(digest, fingerprint) }
        };
        claims.end(&three, Ended::Made(KeptAnswer { status: 201, body: "{}".to_owned() })).await.expect("noted");
        assert!(matches!(ask(&known(13, 3, 1), now).await, Claimed::Again(_)));
        assert_eq!(ask(&known(13, 3, 2), now).await, Claimed::Other);
        assert_eq!(ask(&known(14, 4, 1), now).await, Claimed::First);
        assert_eq!(ask(&known(4, 14, 1), now).await, Claimed::UnderWay, "of two at once at most one is made");
        assert_eq!(ask(&known(14, 4, 1), now).await, Claimed::UnderWay);
        claims.end(&known(14, 4, 1), Ended::Refused).await.expect("noted");
        assert_eq!(ask(&known(4, 14, 1), now).await, Claimed::First, "nothing is left of the claim that gave way");
    }
}
