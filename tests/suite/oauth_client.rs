//! The OAuth client against the sample server, over real sockets and through the egress policy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::egress::EgressPolicy;
use infra::oauth::{Callback, Discovered, HttpFault, OAuthClient, OAuthFault, Registered, TokenSet, TokenSource};
use infra::upstream::SharedUpstream;
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use support::{BearerServer, Mood, OAuthServer, OAuthSettings};
use url::Url;

const BACK: &str = "http://127.0.0.1:1/connect/callback";

fn policy() -> Arc<EgressPolicy> {
    Arc::new(EgressPolicy::new(vec!["127.0.0.0/8".parse().expect("a network")]))
}

fn client() -> OAuthClient {
    let http = Arc::new(SharedUpstream::start(&policy()));
    OAuthClient::new(http, policy(), BACK.to_owned())
}

async fn discover(client: &OAuthClient, server: &OAuthServer) -> Discovered {
    client.discover(&policy().vet(&server.url).expect("loopback")).await.expect("a server behind OAuth")
}

/// Goes where a browser would be sent, and returns the query that it brings back.
async fn visit(url: &Url) -> String {
    let http = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");
    let answer = http.get(url.clone()).send().await.expect("an answer");
    let back = answer.headers()["location"].to_str().expect("text").to_owned();
    back.strip_prefix(BACK).and_then(|rest| rest.strip_prefix('?')).expect("back to us").to_owned()
}

async fn authorize(client: &OAuthClient, found: &Discovered) -> (TokenSource, TokenSet) {
    let Registered { client: identity, .. } = client.register(found).await.expect("registered");
    let begun = client.begin(found, &identity, None).expect("randomness");
    let source = found.source(identity);
    let callback = Callback::parse(&visit(&begun.url).await).expect("an answer");
    assert_eq!(callback.state.expose_secret(), begun.state.expose_secret());
    callback.from(&found.server.issuer, found.server.names_itself).expect("its own answer");
    let code = callback.outcome.expect("a code");
    let tokens = client.exchange(&source, &code, &begun.verifier).await.expect("tokens");
    (source, tokens)
}

async fn whoami(url: &str, bearer: Option<&str>) -> (u16, Value) {
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}});
    let mut request = reqwest::Client::new().post(url).json(&call);
    request =
        request.header("accept", "application/json, text/event-stream").header("mcp-protocol-version", "2025-11-25");
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["result"]["structuredContent"].clone())
}

fn token(tokens: &TokenSet) -> &str {
    tokens.access_token.expose_secret()
}

fn refresh_token(tokens: &TokenSet) -> SecretString {
    tokens.refresh_token.clone().expect("a refresh token")
}

#[tokio::test]
async fn a_token_comes_from_discovery_registration_consent_and_the_code() {
    for confidential in [true, false] {
        for challenges in [true, false] {
            let server = OAuthServer::start(OAuthSettings { confidential, challenges, ..OAuthSettings::default() });
            let client = client();
            let found = discover(&client, &server).await;
            assert_eq!(
                (found.resource.as_str(), found.scope.as_deref()),
                (&*server.url, Some("whoami offline_access"))
            );
            let (_, tokens) = authorize(&client, &found).await;
            let (status, caller) = whoami(&server.url, Some(token(&tokens))).await;
            assert_eq!((status, caller["subject"].as_str()), (200, Some("ann")));
            assert_eq!(whoami(&server.url, None).await.0, 401);
            assert_eq!(tokens.lasts, Some(Duration::from_hours(1)));
            assert_eq!((server.counts().registrations, server.counts().exchanges), (1, 1));
        }
    }
}

#[tokio::test]
async fn a_code_that_somebody_else_caught_is_worth_nothing() {
    let server = OAuthServer::start(OAuthSettings::default());
    let client = client();
    let found = discover(&client, &server).await;
    let identity = client.register(&found).await.expect("registered").client;
    let begun = client.begin(&found, &identity, None).expect("randomness");
    let code = Callback::parse(&visit(&begun.url).await).expect("an answer").outcome.expect("a code");
    let source = found.source(identity.clone());
    let other = client.begin(&found, &identity, None).expect("randomness").verifier;
    let refused = client.exchange(&source, &code, &other).await.expect_err("another verifier");
    assert!(matches!(&refused, OAuthFault::Refused { code, .. } if code == "invalid_grant"), "{refused}");
    client.exchange(&source, &code, &begun.verifier).await.expect("the one who asked");
    client.exchange(&source, &code, &begun.verifier).await.expect_err("a second time");
}

#[tokio::test]
async fn a_rotated_refresh_token_works_once_and_a_kept_one_again() {
    for rotates in [true, false] {
        let server = OAuthServer::start(OAuthSettings { rotates, ..OAuthSettings::default() });
        let client = client();
        let (source, first) = authorize(&client, &discover(&client, &server).await).await;
        let second = client.refresh(&source, &refresh_token(&first)).await.expect("refreshed");
        assert_ne!(token(&first), token(&second));
        assert_eq!(whoami(&server.url, Some(token(&second))).await.0, 200);
        let same = refresh_token(&first).expose_secret() == refresh_token(&second).expose_secret();
        assert_eq!(same, !rotates);
        let again = client.refresh(&source, &refresh_token(&first)).await;
        assert_eq!(again.is_err_and(|fault| fault.ends_grant()), rotates);
        assert_eq!(server.counts().reuses, usize::from(rotates));
    }
}

#[tokio::test]
async fn a_grant_that_was_taken_back_is_over_and_a_server_that_is_down_is_not() {
    let server = OAuthServer::start(OAuthSettings::default());
    let client = client();
    let (source, tokens) = authorize(&client, &discover(&client, &server).await).await;
    server.feel(Mood::Down);
    let down = client.refresh(&source, &refresh_token(&tokens)).await.expect_err("down");
    assert!(!down.ends_grant(), "{down}");
    server.feel(Mood::Well);
    server.take_back("ann");
    assert_eq!(whoami(&server.url, Some(token(&tokens))).await.0, 401);
    let over = client.refresh(&source, &refresh_token(&tokens)).await.expect_err("taken back");
    assert!(over.ends_grant(), "{over}");
}

#[tokio::test]
async fn a_server_whose_network_is_not_allowed_is_never_asked() {
    let server = OAuthServer::start(OAuthSettings::default());
    let strict = Arc::new(EgressPolicy::default());
    let http = Arc::new(SharedUpstream::start(&strict));
    let client = OAuthClient::new(http, strict, BACK.to_owned());
    // Vetted when the network was still allowed.
    let url = policy().vet(&server.url).expect("loopback");
    let refused = client.discover(&url).await.expect_err("not allowed");
    assert!(matches!(refused, OAuthFault::Http { fault: HttpFault::Unreachable(_), .. }), "{refused}");
}

#[tokio::test]
async fn consent_is_given_on_a_page_that_works_without_javascript() {
    let server = OAuthServer::start(OAuthSettings { consents: None, ..OAuthSettings::default() });
    let client = client();
    let found = discover(&client, &server).await;
    let identity = client.register(&found).await.expect("registered").client;
    let begun = client.begin(&found, &identity, None).expect("randomness");
    let http = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");
    let page = http.get(begun.url.clone()).send().await.expect("a page").text().await.expect("text");
    assert!(page.contains("/as/consent") && !page.contains("<script"));
    for (decision, code) in [("allow", true), ("deny", false)] {
        let form =
            HashMap::from([("asked", begun.url.query().expect("a query")), ("subject", "bob"), ("decision", decision)]);
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = http.post(format!("{}/as/consent", server.base)).body(body);
        let answer =
            request.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
        let back: Url = answer.headers()["location"].to_str().expect("text").parse().expect("a URL");
        let callback = Callback::parse(back.query().expect("a query")).expect("an answer");
        assert_eq!(callback.outcome.is_ok(), code);
    }
}

#[tokio::test]
async fn the_bearer_sample_says_which_bearer_it_saw() {
    let server = BearerServer::start();
    assert_eq!(whoami(&server.url, Some("b1")).await, (200, json!({"bearer": "b1"})));
    assert_eq!(whoami(&server.url, None).await.0, 401);
    server.refuse("b1");
    assert_eq!(whoami(&server.url, Some("b1")).await.0, 401);
}
