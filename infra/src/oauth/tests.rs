//! The client against servers that are as they should be, and servers that lie.

use std::collections::HashMap;
use std::time::Duration;

use domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::script::{SERVER, Script, client, resource, server, url, with};
use super::*;

const AS: &str = "GET https://auth.example.com/.well-known/oauth-authorization-server";
const PRM: &str = "GET https://mcp.example.com/prm";

async fn discover(script: &Arc<Script>) -> Result<Discovered, OAuthFault> {
    client(script).discover(&url(SERVER)).await
}

async fn discovered(script: &Arc<Script>) -> Discovered {
    discover(script).await.expect("a good server")
}

fn asked(script: &Script) -> Vec<String> {
    script.asked().into_iter().map(|asked| asked.target).collect()
}

#[tokio::test]
async fn a_server_that_says_where_its_metadata_is_is_asked_there_alone() {
    let script = Script::good();
    let found = discovered(&script).await;
    assert_eq!(asked(&script), [format!("POST {SERVER}").as_str(), PRM, AS]);
    assert_eq!((found.resource.as_str(), found.scope.as_deref()), (SERVER, Some("a b")));
    assert_eq!(found.server.issuer, "https://auth.example.com");
    assert!(found.server.names_itself);
    assert!(script.asked().iter().all(|asked| asked.authorization.is_none()));
}

#[tokio::test]
async fn scopes_of_the_challenge_go_before_those_of_the_metadata() {
    let script = Script::good();
    script.challenge(r#"Bearer resource_metadata="https://mcp.example.com/prm", scope="only this""#);
    assert_eq!(discovered(&script).await.scope.as_deref(), Some("only this"));
    script.answer(AS, 200, &with(server(), json!({"scopes_supported": ["offline_access"]})));
    assert_eq!(discovered(&script).await.scope.as_deref(), Some("only this offline_access"));
    script.challenge(r#"Bearer resource_metadata="https://mcp.example.com/prm""#);
    script.answer(PRM, 200, &with(resource(), json!({"scopes_supported": null})));
    assert_eq!(discovered(&script).await.scope, None);
}

#[tokio::test]
async fn without_a_challenge_metadata_is_looked_for_before_the_path_and_then_at_the_root() {
    let script = Script::good();
    // Some servers tell everybody what they can, and ask for a token at the first call.
    script.answer(&format!("POST {SERVER}"), 200, &json!({}));
    let root = "GET https://mcp.example.com/.well-known/oauth-protected-resource";
    let root_resource = with(resource(), json!({"resource": "https://mcp.example.com"}));
    script.answer(root, 200, &root_resource);
    assert_eq!(discovered(&script).await.resource, "https://mcp.example.com");
    assert_eq!(asked(&script)[1..3], [format!("{root}/mcp").as_str(), root]);
    script.answer(&format!("{root}/mcp"), 200, &resource());
    assert_eq!(discovered(&script).await.resource, SERVER);
}

#[tokio::test]
async fn a_server_without_resource_metadata_is_its_own_authorization_server() {
    let script = Arc::new(Script::default());
    assert!(matches!(discover(&script).await, Err(OAuthFault::NotOffered)));
    let own = with(server(), json!({"issuer": "https://mcp.example.com"}));
    script.answer("GET https://mcp.example.com/.well-known/oauth-authorization-server", 200, &own);
    let found = discovered(&script).await;
    assert_eq!((found.resource.as_str(), found.scope), (SERVER, None));
}

#[tokio::test]
async fn openid_metadata_does_where_there_is_no_other() {
    let script = Script::good();
    script.answer(PRM, 200, &with(resource(), json!({"authorization_servers": ["https://auth.example.com/t"]})));
    let metadata = with(server(), json!({"issuer": "https://auth.example.com/t"}));
    script.answer("GET https://auth.example.com/t/.well-known/openid-configuration", 200, &metadata);
    assert_eq!(discovered(&script).await.server.issuer, "https://auth.example.com/t");
    assert_eq!(asked(&script)[2..].len(), 3);
}

#[tokio::test]
async fn a_document_that_speaks_of_another_resource_is_refused() {
    let script = Script::good();
    for (resource_url, good) in [
        (SERVER, true),
        ("https://mcp.example.com/", true),
        ("https://mcp.example.com", true),
        ("https://mcp.example.com:443/mcp/", true),
        ("https://mcp.example.com/mc", false),
        ("https://mcp.example.com/mcp/other", false),
        ("https://mcp.example.com/mcp?tenant=other", false),
        ("https://mcp.example.com/mcp#x", false),
        ("http://mcp.example.com/mcp", false),
        ("https://mcp.example.com:8443/mcp", false),
        ("https://mcp.example.com.evil.example/mcp", false),
        ("mcp", false),
    ] {
        script.answer(PRM, 200, &with(resource(), json!({"resource": resource_url})));
        match discover(&script).await {
            Ok(_) => assert!(good, "{resource_url}"),
            Err(OAuthFault::OtherResource) => assert!(!good, "{resource_url}"),
            Err(other) => panic!("{resource_url}: {other}"),
        }
    }
}

#[tokio::test]
async fn an_authorization_server_must_be_the_one_that_was_asked_and_know_pkce() {
    let script = Script::good();
    let refusal = async |changes: Value| {
        script.answer(AS, 200, &with(server(), changes));
        discover(&script).await.err()
    };
    for issuer in ["https://evil.example", "https://auth.example.com/x", "http://auth.example.com", "auth", ""] {
        assert!(matches!(refusal(json!({"issuer": issuer})).await, Some(OAuthFault::OtherIssuer)), "{issuer}");
    }
    assert!(refusal(json!({"issuer": "https://auth.example.com/"})).await.is_none(), "the same URL");
    for methods in [json!(null), json!([]), json!(["plain"])] {
        let refused = refusal(json!({"code_challenge_methods_supported": methods})).await;
        assert!(matches!(refused, Some(OAuthFault::NoPkce)), "{methods}");
    }
}

#[tokio::test]
async fn nobody_is_sent_to_a_url_that_the_egress_policy_refuses() {
    let script = Script::good();
    for bad in ["http://auth.example.com/x", "https://127.0.0.1/x", "https://169.254.169.254/x", "javascript:alert(1)"]
    {
        for field in ["authorization_endpoint", "token_endpoint", "registration_endpoint"] {
            script.answer(AS, 200, &with(server(), json!({field: bad})));
            assert!(matches!(discover(&script).await, Err(OAuthFault::Egress { .. })), "{field} {bad}");
        }
        script.answer(PRM, 200, &with(resource(), json!({"authorization_servers": [bad]})));
        assert!(matches!(discover(&script).await, Err(OAuthFault::Egress { .. })), "issuer {bad}");
        script.answer(PRM, 200, &resource());
        script.challenge(&format!("Bearer resource_metadata=\"{bad}\""));
        assert!(matches!(discover(&script).await, Err(OAuthFault::Egress { .. })), "resource_metadata {bad}");
        script.challenge(r#"Bearer resource_metadata="https://mcp.example.com/prm""#);
    }
    assert!(asked(&script).iter().all(|asked| !asked.contains("127.0") && !asked.contains("169.254")));
}

#[tokio::test]
async fn a_server_that_is_down_is_not_one_without_oauth() {
    let script = Script::good();
    for (target, step) in [
        (format!("POST {SERVER}"), Step::Probe),
        (PRM.into(), Step::ResourceMetadata),
        (AS.into(), Step::ServerMetadata),
    ] {
        let script = Script::good();
        script.answer(&target, 503, &json!({}));
        match discover(&script).await {
            Err(OAuthFault::Status { step: found, status }) => assert_eq!((found, status.as_u16()), (step, 503)),
            other => panic!("{target}: {:?}", other.err()),
        }
    }
    // What is not JSON is not looked for elsewhere either.
    script.answer(AS, 200, &json!("text"));
    assert!(matches!(discover(&script).await, Err(OAuthFault::Document { step: Step::ServerMetadata, .. })));
    script.answer(PRM, 302, &json!({}));
    assert!(matches!(discover(&script).await, Err(OAuthFault::Status { .. })), "no redirect is followed");
}

#[tokio::test]
async fn keyrack_registers_itself_as_the_server_wants_it() {
    let script = Script::good();
    let found = discovered(&script).await;
    let register = "POST https://auth.example.com/register";
    script.answer(register, 201, &json!({"client_id": "c1", "client_secret": "s1", "client_secret_expires_at": 1000}));
    let registered = client(&script).register(&found).await.expect("registered");
    let sent: Value = serde_json::from_str(&script.last().body).expect("JSON");
    assert_eq!(
        sent,
        json!({
            "client_name": "Keyrack",
            "redirect_uris": ["https://keyrack.example.com/connect/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_post",
            "application_type": "web",
            "scope": "a b",
        })
    );
    assert_eq!((registered.client.id.as_str(), registered.client.method), ("c1", AuthMethod::Post));
    assert_eq!(registered.secret_ends, Some(Timestamp::from_micros(1_000_000_000)));
    script.answer(register, 200, &json!({"client_id": "c2", "client_secret_expires_at": 0}));
    let public = client(&script).register(&found).await.expect("registered").client;
    assert_eq!((public.method, public.secret.is_none()), (AuthMethod::None, true));
    let answers = [
        json!({"client_id": "c", "token_endpoint_auth_method": "client_secret_basic"}),
        json!({"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "private_key_jwt"}),
        json!({"client_secret": "s"}),
    ];
    for answer in answers {
        script.answer(register, 201, &answer);
        assert!(client(&script).register(&found).await.is_err(), "{answer}");
    }
    script.answer(register, 400, &json!({"error": "invalid_redirect_uri", "error_description": "s3cret"}));
    let refused = client(&script).register(&found).await.expect_err("refused").to_string();
    assert_eq!(
        refused,
        "registering with the authorization server: the authorization server answered invalid_redirect_uri"
    );
}

#[tokio::test]
async fn a_server_without_registration_needs_a_client_of_its_own() {
    let script = Script::good();
    script.answer(AS, 200, &with(server(), json!({"registration_endpoint": null})));
    let found = discovered(&script).await;
    assert!(matches!(client(&script).register(&found).await, Err(OAuthFault::NoClient)));
    let secret = "s".to_owned().into();
    let own = found.configured("c", Some(&secret), Some("https://auth.example.com")).expect("a client");
    assert_eq!(own.method, AuthMethod::Post);
    assert_eq!(found.configured("c", None, None).expect("a client").method, AuthMethod::None);
    let other = found.configured("c", Some(&secret), Some("https://other.example.com"));
    assert!(matches!(other, Err(OAuthFault::OtherServersClient)), "its secret is not for this one");
}

#[tokio::test]
async fn a_person_is_sent_with_everything_that_binds_the_answer() {
    let script = Script::good();
    let found = discovered(&script).await;
    let identity = found.configured("c &", None, None).expect("a client");
    let begun = client(&script).begin(&found, &identity, None).expect("randomness");
    assert_eq!(begun.url.origin().ascii_serialization(), "https://auth.example.com");
    let query: HashMap<String, String> = begun.url.query_pairs().into_owned().collect();
    let said = |name: &str| query.get(name).map_or("", String::as_str);
    assert_eq!(query.len(), 9);
    assert_eq!((said("audience"), said("response_type"), said("client_id")), ("x", "code", "c &"));
    assert_eq!((said("resource"), said("scope"), said("code_challenge_method")), (SERVER, "a b", "S256"));
    assert_eq!(said("redirect_uri"), "https://keyrack.example.com/connect/callback");
    assert_eq!(said("state"), begun.state.expose_secret());
    assert_eq!((said("code_challenge").len(), begun.verifier.expose_secret().len()), (43, 43));
    assert_ne!(said("code_challenge"), begun.verifier.expose_secret());
    let again = client(&script).begin(&found, &identity, Some("mine")).expect("randomness");
    assert_ne!(again.state.expose_secret(), begun.state.expose_secret());
    assert_ne!(again.verifier.expose_secret(), begun.verifier.expose_secret());
    assert!(again.url.as_str().contains("scope=mine"));
}

fn source(method: AuthMethod) -> TokenSource {
    TokenSource {
        endpoint: url("https://auth.example.com/token"),
        resource: SERVER.into(),
        client: ClientIdentity { id: "c:1".into(), secret: Some("p w".to_owned().into()), method },
    }
}

const TOKEN: &str = "POST https://auth.example.com/token";

#[tokio::test]
async fn a_code_is_exchanged_with_the_proof_of_who_asked_for_it() {
    let script = Script::good();
    script.answer(TOKEN, 200, &json!({"access_token": "at", "token_type": "bearer", "expires_in": 60}));
    let (code, verifier) = ("the code".to_owned().into(), "the verifier".to_owned().into());
    let exchange = async |method| {
        client(&script).exchange(&source(method), &code, &verifier).await.expect("tokens");
        script.last()
    };
    let asked = exchange(AuthMethod::Basic).await;
    assert_eq!(asked.authorization.as_deref(), Some("Basic YyUzQTE6cCt3"), "c%3A1:p+w");
    let mut expected = HashMap::from(
        [
            ("grant_type", "authorization_code"),
            ("code", "the code"),
            ("code_verifier", "the verifier"),
            ("redirect_uri", "https://keyrack.example.com/connect/callback"),
            ("resource", SERVER),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    assert_eq!(asked.form(), expected);
    expected.insert("client_id".into(), "c:1".into());
    let asked = exchange(AuthMethod::None).await;
    assert_eq!((asked.authorization.as_deref(), asked.form()), (None, expected.clone()));
    expected.insert("client_secret".into(), "p w".into());
    let asked = exchange(AuthMethod::Post).await;
    assert_eq!((asked.authorization.as_deref(), asked.form()), (None, expected));
}

#[tokio::test]
async fn a_refresh_keeps_the_refresh_token_where_it_gets_no_other() {
    let script = Script::good();
    let refresh = async |answer: Value| {
        script.answer(TOKEN, 200, &answer);
        let tokens = client(&script).refresh(&source(AuthMethod::None), &"r1".to_owned().into()).await.expect("tokens");
        let refresh = tokens.refresh_token.expect("one").expose_secret().to_owned();
        (tokens.access_token.expose_secret().to_owned(), tokens.lasts.map(|lasts| lasts.as_millis()), refresh)
    };
    let answer = json!({"access_token": "a", "token_type": "Bearer"});
    for (changes, lasts, token) in [
        (json!({}), None, "r1"),
        (json!({"refresh_token": ""}), None, "r1"),
        (json!({"refresh_token": "r2", "expires_in": 3600}), Some(3_600_000), "r2"),
        (json!({"expires_in": "3600"}), Some(3_600_000), "r1"),
        (json!({"expires_in": 1.5}), Some(1500), "r1"),
        (json!({"expires_in": -1}), None, "r1"),
    ] {
        assert_eq!(refresh(with(answer.clone(), changes)).await, ("a".into(), lasts, token.into()));
    }
    let form = script.last().form();
    assert_eq!((form["grant_type"].as_str(), form["refresh_token"].as_str()), ("refresh_token", "r1"));
    assert_eq!(form["resource"], SERVER);
}

#[tokio::test]
async fn only_an_invalid_grant_ends_a_grant() {
    let script = Script::good();
    let refused = async |status, body: Value| {
        script.answer(TOKEN, status, &body);
        client(&script).refresh(&source(AuthMethod::Post), &"r1".to_owned().into()).await.expect_err("refused")
    };
    assert!(refused(400, json!({"error": "invalid_grant"})).await.ends_grant());
    for (status, body, forgets) in [
        (401, json!({"error": "invalid_client"}), true),
        (400, json!({"error": "temporarily_unavailable"}), false),
        (400, json!({}), false),
        (500, json!({"error": "invalid_grant"}), false),
        (503, json!("busy"), false),
        (302, json!({"error": "invalid_grant"}), false),
        (200, json!({"error": "invalid_grant"}), false),
        (200, json!({"access_token": "a", "token_type": "mac"}), false),
        (200, json!({"access_token": "a\nb", "token_type": "bearer"}), false),
        (200, json!({"access_token": "", "token_type": "bearer"}), false),
    ] {
        let fault = refused(status, body.clone()).await;
        assert_eq!((fault.ends_grant(), fault.forgets_client()), (false, forgets), "{status} {body}");
    }
}

#[tokio::test]
async fn no_fault_repeats_what_a_server_said() {
    let script = Script::good();
    let bodies = [
        json!({"access_token": "s3cret", "token_type": "s3cret"}),
        json!({"access_token": "s3cret"}),
        json!({"error": "s3cret", "error_description": "s3cret"}),
        json!({"error": "invalid_grant", "error_description": "s3cret"}),
        json!("s3cret"),
    ];
    for (status, body) in bodies.iter().flat_map(|body| [(200, body), (400, body), (500, body)]) {
        script.answer(TOKEN, status, body);
        let fault = client(&script)
            .exchange(&source(AuthMethod::Basic), &"s3cret".to_owned().into(), &"s3cret".to_owned().into())
            .await
            .expect_err("refused");
        let said = format!("{fault} {fault:?}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_token_is_renewed_before_it_ends_and_not_sent_when_it_nearly_has() {
    let now = Timestamp::from_micros(0);
    let grant = |lasts| {
        let tokens = TokenSet {
            access_token: "a".to_owned().into(),
            lasts,
            refresh_token: Some("r".to_owned().into()),
            scope: None,
        };
        tokens.grant(source(AuthMethod::Post), now)
    };
    for (lasts, due, over) in [(3600, 3540, 3595), (60, 48, 55), (10, 8, 9), (1, 0, 0), (0, 0, 0)] {
        let grant = grant(Some(Duration::from_secs(lasts)));
        let at = |at: Option<Timestamp>| at.expect("a time").as_seconds();
        assert_eq!((at(grant.renew_at), at(grant.expires_at)), (due, over), "{lasts}");
        assert!(grant.is_due(grant.expires_at.expect("a time")));
    }
    let endless = grant(None);
    assert!(!endless.is_due(Timestamp::from_micros(i64::MAX)) && !endless.is_over(Timestamp::from_micros(i64::MAX)));
}
