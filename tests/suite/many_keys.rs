//! What must not depend on how many keys there are. `tests/bench/million_keys` measures it; this holds the statements to
//! their indexes.

use domain::key::TokenKeys;
use domain::key::port::KeyPosition;
use domain::page::{Limit, PageRequest};
use domain::root::RootSecret;
use domain::time::Timestamp;
use support::many_keys::{add_copies, add_with_tokens};
use support::{App, AppOptions};

const ROOT: &str = "the root secret of many keys, long enough";
const REMEMBERED: usize = 64;

async fn app() -> App {
    let settings = vec![
        ("signup", "open".to_owned()),
        ("root-secret", ROOT.to_owned()),
        ("cache-entries", REMEMBERED.to_string()),
    ];
    App::with(AppOptions { settings, ..AppOptions::default() }).await
}

fn token_keys() -> TokenKeys {
    TokenKeys::derive(&RootSecret::new(ROOT).expect("long enough"))
}

#[tokio::test]
async fn a_key_that_is_not_remembered_takes_one_look_up_by_index() {
    let app = app().await;
    app.organization("acme").await.solo().await;
    add_copies(&app, 2_000).await;
    let tokens = add_with_tokens(&app, &token_keys(), 20).await;
    let before = app.key_lookups();
    for token in &tokens {
        app.services().verifier.verify(token).await.expect("a valid key");
    }
    assert_eq!(app.key_lookups() - before, 20);
    let plan = app.services().database.explain_look_up().await.expect("a plan");
    assert!(plan[0].contains("api_key_digests") && plan[0].contains("(digest=?)"), "{plan:?}");
    assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{plan:?}");
}

#[tokio::test]
async fn a_page_of_keys_walks_an_index_in_its_order_and_sorts_nothing() {
    let app = app().await;
    let acme = app.organization("acme").await;
    let id = acme.solo().await.id.parse().expect("an id");
    add_copies(&app, 2_000).await;
    let (organization, owner) = (acme.id.parse().expect("an id"), acme.owner_id.parse().expect("an id"));
    let cases = [
        (Some(organization), Some(owner), "api_keys_owner_created"),
        (Some(organization), None, "api_keys_organization_created"),
        (None, None, "api_keys_created"),
    ];
    for (organization, owner, index) in cases {
        for after in [None, Some(KeyPosition { created_at: Timestamp::from_micros(1), id })] {
            let page = PageRequest { after, limit: Limit::default() };
            let plan = app.services().database.explain_page(organization, owner, page).await.expect("a plan");
            let walk = format!("api_keys USING INDEX {index}");
            let (keys, others): (Vec<_>, Vec<_>) = plan.iter().partition(|step| step.contains(&walk));
            assert_eq!(keys.len(), 1, "{plan:?}");
            // Nothing else is walked through, and nothing is sorted.
            assert!(others.iter().all(|step| step.starts_with("SEARCH")), "{plan:?}");
        }
    }
}

#[tokio::test]
async fn memory_holds_no_more_keys_than_it_is_set_to() {
    let app = app().await;
    app.organization("acme").await.solo().await;
    for token in add_with_tokens(&app, &token_keys(), 500).await {
        app.services().verifier.verify(&token).await.expect("a valid key");
        let remembered = app.services().key_lookups.remembered();
        assert!((1..=REMEMBERED).contains(&remembered), "{remembered} are remembered");
    }
}
