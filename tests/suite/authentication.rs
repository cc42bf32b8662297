//! Both headers, one 401.

use serde_json::json;
use support::{App, Upstream};

#[tokio::test]
async fn both_headers_work_identically_on_every_surface() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("echo", &upstream.url("/echo")).await;
    let token = acme.solo().await.token;
    for headers in [
        vec![("x-api-key", token.clone())],
        vec![("authorization", format!("Bearer {token}"))],
        vec![("authorization", format!("bearer {token}"))],
        vec![("authorization", format!("BEARER   {token}"))],
        vec![("x-api-key", token.clone()), ("authorization", format!("Bearer {token}"))],
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let caller = app.headers(&headers);
        for path in ["/api/v1/me", "/api/me", "/api/v1/org", "/api/org", "/api/v1/mcp-servers"] {
            caller.get(path).await.expect(200);
        }
        caller.mcp("echo", "", "tools/list", json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn everything_that_is_no_valid_key_gets_the_same_401_bytes() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("echo", &upstream.url("/echo")).await;
    let good = acme.solo().await;
    let revoked = acme.solo().await;
    acme.revoke(&revoked.id).await;
    let other_installation = App::spawn().await;
    let foreign = other_installation.organization("acme").await.solo().await;
    let typo = flip_last(&good.token);
    let bearer = |token: &str| format!("Bearer {token}");
    let cases: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("missing", vec![]),
        ("empty", vec![("x-api-key", String::new())]),
        ("malformed", vec![("x-api-key", "kr_nonsense".to_owned())]),
        ("very long", vec![("x-api-key", "k".repeat(8000))]),
        ("a typing error", vec![("x-api-key", typo)]),
        ("another installation's", vec![("x-api-key", foreign.token)]),
        ("revoked", vec![("x-api-key", revoked.token)]),
        ("two different values", vec![("x-api-key", good.token.clone()), ("authorization", bearer("kr_other"))]),
        ("another scheme", vec![("authorization", "Basic dTpw".to_owned())]),
        ("a JWT that is none of ours", vec![("authorization", bearer("eyJhbGciOiJub25lIn0.e30."))]),
    ];
    let reference = app.anonymous().get("/api/v1/me").await;
    let mcp_reference = app.anonymous().mcp("echo", "", "tools/list", json!({})).await;
    for (what, headers) in &cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = app.headers(&headers).get("/api/v1/me").await;
        answer.refused(401, "unauthenticated");
        assert_eq!(answer.body_without_request_id(), reference.body_without_request_id(), "{what}");
        assert_eq!(answer.headers["www-authenticate"], r#"Bearer realm="keyrack""#, "{what}");
        let answer = app.headers(&headers).mcp("echo", "", "tools/list", json!({})).await;
        answer.refused(401, "unauthenticated");
        assert_eq!(answer.body_without_request_id(), mcp_reference.body_without_request_id(), "{what}");
        assert_eq!(answer.headers["www-authenticate"], r#"Bearer realm="keyrack""#, "{what}");
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
    }
    // Expiry is checked at every request, also of a key that is remembered.
    let expired = acme.key(json!({"expiresAt": in_seconds(2)})).await;
    let caller = app.key(&expired.token);
    caller.get("/api/v1/me").await.expect(200);
    wait_until_refused(&caller).await;
    let answer = caller.get("/api/v1/me").await;
    assert_eq!(answer.body_without_request_id(), reference.body_without_request_id());
    app.key(&good.token).get("/api/v1/me").await.expect(200);
}

async fn wait_until_refused(caller: &support::Actor) {
    for _ in 0..100 {
        if caller.get("/api/v1/me").await.status == 401 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the key never expired");
}

/// A point in time that many seconds from now.
fn in_seconds(seconds: u64) -> String {
    use domain::time::{Clock, SystemClock};
    SystemClock.now().after(std::time::Duration::from_secs(seconds)).to_string()
}

fn flip_last(token: &str) -> String {
    let (start, last) = token.split_at(token.len() - 1);
    format!("{start}{}", if last == "a" { "b" } else { "a" })
}

#[tokio::test]
async fn a_key_in_the_query_string_is_no_key() {
    let app = App::spawn().await;
    let token = app.organization("acme").await.solo().await.token;
    for name in ["api_key", "x-api-key", "token", "access_token"] {
        app.anonymous().get(&format!("/api/v1/me?{name}={token}")).await.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn keys_of_an_earlier_prefix_keep_working() {
    let mut app = App::spawn().await;
    let token = app.organization("acme").await.solo().await.token;
    assert!(token.starts_with("kr_"));
    let data = app.data.path().display().to_string();
    app.stop().await;
    let settings = vec![("data-dir", data), ("key-prefix", "acme".to_owned()), ("signup", "open".to_owned())];
    let renamed = App::with(support::AppOptions { settings, ..Default::default() }).await;
    renamed.key(&token).get("/api/v1/me").await.expect(200);
    let newer = renamed.organization("globex").await.solo().await.token;
    assert!(newer.starts_with("acme_"));
}

#[tokio::test]
async fn oauth_discovery_is_a_json_404() {
    let app = App::spawn().await;
    for path in ["oauth-protected-resource", "oauth-protected-resource/mcp-connect/x/mcp", "oauth-authorization-server"]
    {
        let answer = app.anonymous().get(&format!("/.well-known/{path}")).await;
        answer.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_refused_caller_is_refused_before_its_body_or_query_is_read() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let viewer = app.key(&acme.key(json!({"role": "viewer"})).await.token);
    let nobody = app.key("kr_wrong");
    for body in [json!({"nonsense": 1}), json!("no object")] {
        nobody.post("/api/v1/mcp-servers", &body).await.refused(401, "unauthenticated");
        viewer.post("/api/v1/mcp-servers", &body).await.refused(403, "forbidden_role");
        viewer.post("/api/v1/api-keys", &body).await.refused(403, "forbidden_permission");
    }
    nobody.get("/api/v1/mcp-servers?limit=abc").await.refused(401, "unauthenticated");
    viewer.get("/api/v1/api-keys?limit=abc").await.refused(403, "forbidden_permission");
    viewer.get("/api/v1/mcp-servers?limit=abc&user_id=").await.refused(400, "invalid_tenant");
}
