//! CORS: pages of the origins that the operator named may call and read answers, and no others.

use reqwest::Method;
use serde_json::json;
use support::{Actor, Answer, App, AppOptions, Upstream};

const PAGE: &str = "https://app.example.com";
const PATHS: [&str; 3] = ["/mcp-connect/up/mcp", "/mcp-connect/nothing", "/api/v1/me"];

async fn scene() -> (App, Upstream, Actor) {
    let settings = vec![("signup", "open".to_owned()), ("allowed-origins", PAGE.to_owned())];
    let (app, upstream) = (App::with(AppOptions { settings, ..AppOptions::default() }).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/session")).await;
    let caller = app.key(&acme.solo().await.token);
    (app, upstream, caller)
}

async fn preflight(app: &App, origin: &str, path: &str, headers: &str) -> Answer {
    let page = app.anonymous().and("origin", origin).and("access-control-request-method", "POST");
    let page = page.and("access-control-request-headers", headers);
    page.send(format!("OPTIONS {path} from {origin}"), page.request(Method::OPTIONS, path)).await
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_ask_and_is_told_what_it_may_send() {
    let (app, upstream, _) = scene().await;
    for path in PATHS {
        let asked = "Authorization,x-api-key, Content-Type,mcp-protocol-version,Mcp-Session-Id,mcp-method,mcp-name,\
                     mcp-param-region,last-event-id,traceparent,idempotency-key,cookie,x-forwarded-for,x-keyrack-assertion";
        let answer = preflight(&app, PAGE, path, asked).await;
        answer.expect(204);
        assert_eq!(header(&answer, "access-control-allow-origin"), PAGE);
        assert_eq!(
            header(&answer, "access-control-allow-headers"),
            "authorization, x-api-key, content-type, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, \
             mcp-param-region, last-event-id, traceparent, idempotency-key"
        );
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
            assert!(
                header(&answer, "access-control-allow-methods").split(", ").any(|allowed| allowed == method),
                "{method}"
            );
        }
        assert_eq!(header(&answer, "vary"), "origin");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
    assert_eq!(upstream.seen().len(), 0, "a browser's question went upstream");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_answers_and_refusals() {
    let (app, _upstream, caller) = scene().await;
    let page = caller.and("origin", PAGE);
    let nobody = app.anonymous().and("origin", PAGE);
    for answer in [
        page.mcp("up", "", "initialize", json!({})).await,
        page.mcp("nothing", "", "ping", json!({})).await,
        page.get("/api/v1/me").await,
        page.get("/api/v1/nothing").await,
        nobody.mcp("up", "", "ping", json!({})).await,
        nobody.get("/api/v1/me").await,
    ] {
        assert_eq!(header(&answer, "access-control-allow-origin"), PAGE, "{}", answer.asked);
        assert_eq!(answer.headers.get_all("access-control-allow-origin").iter().count(), 1);
        assert_eq!(header(&answer, "vary"), "origin");
        let exposed: Vec<_> = header(&answer, "access-control-expose-headers").split(", ").collect();
        for name in [
            "Mcp-Session-Id",
            "MCP-Protocol-Version",
            "WWW-Authenticate",
            "Retry-After",
            "RateLimit-Limit",
            "RateLimit-Remaining",
            "RateLimit-Reset",
            "X-Request-Id",
        ] {
            assert!(exposed.contains(&name), "{name}");
        }
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
}

#[tokio::test]
async fn other_origins_are_403_and_are_told_nothing() {
    let (app, upstream, caller) = scene().await;
    for origin in
        ["https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", "null", "*"]
    {
        for path in PATHS {
            let answer = preflight(&app, origin, path, "x-api-key").await;
            answer.refused(403, "origin_not_allowed");
            assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{origin}");
        }
        let page = caller.clone().and("origin", origin);
        for answer in [page.mcp("up", "", "ping", json!({})).await, page.get("/api/v1/me").await] {
            answer.refused(403, "origin_not_allowed");
            assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{origin}");
        }
        // Probes answer whoever asks, and no page may read it.
        let probe = app.anonymous().and("origin", origin).get("/health").await;
        assert!(!probe.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn options_that_is_no_browsers_question_tells_nothing_of_servers_and_goes_nowhere() {
    let (app, upstream, _) = scene().await;
    let nobody = app.anonymous();
    for path in ["/mcp-connect/up/mcp", "/mcp-connect/nothing"] {
        let answer = nobody.send(format!("OPTIONS {path}"), nobody.request(Method::OPTIONS, path)).await;
        answer.expect(204);
        assert_eq!(header(&answer, "allow"), "GET, POST, DELETE, OPTIONS");
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn clients_that_are_no_pages_see_nothing_of_it() {
    let (_app, _upstream, caller) = scene().await;
    for answer in [caller.mcp("up", "", "ping", json!({})).await, caller.get("/api/v1/me").await] {
        answer.expect(200);
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-") || name == "vary"));
    }
}
